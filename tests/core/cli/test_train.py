"""`train`, `finetune` and `check`: faults of data and settings are all told before anything is trained."""

import json
from pathlib import Path

import pytest

TINY = Path(__file__).parents[2] / "tiny.yaml"


def test_check_lists_every_kind_of_fault(call, lines):
    pictures = sorted(path.name for path in lines.glob("page1*.png"))
    held_out = next(path.name for path in lines.glob("page0*.png"))
    (lines / "leak.png").write_bytes((lines / held_out).read_bytes())
    (lines / "cut.png").write_bytes((lines / pictures[0]).read_bytes()[:-30])
    extra = f"leak.png\t12\ncut.png\t1\n{pictures[0]}\t\n"
    (lines / "short.png").write_bytes((lines / pictures[1]).read_bytes())
    extra += "short.png\t" + "1" * 80 + "\n"
    (lines / "train.tsv").write_text((lines / "train.tsv").read_text() + extra)
    code, out, _ = call("check", TINY, f"--data.root={lines}", "--json")
    assert code == 1
    kinds = {problem["kind"]: problem["message"] for problem in json.loads(out)["problems"]}
    assert set(kinds) == {"leak", "unreadable", "empty", "short"}
    assert held_out in kinds["leak"]
    assert "cut.png" in kinds["unreadable"]
    assert pictures[0] in kinds["empty"]
    assert "159 needed" in kinds["short"]


def test_training_lists_all_bad_lines_at_once(call, lines, tmp_path):
    (lines / "train.tsv").write_text((lines / "train.tsv").read_text() + "no tab\nnor here\n")
    for command in (["check", TINY], ["train", TINY, "--output", tmp_path / "run"]):
        code, out, err = call(*command, f"--data.root={lines}")
        assert code == 1
        assert "train.tsv:25 has no tab" in out + err
        assert "train.tsv:26 has no tab" in out + err


def test_training_stops_at_bad_samples_unless_told_to_skip_them(call, lines, tmp_path):
    (lines / "train.tsv").write_text((lines / "train.tsv").read_text() + "gone.png\t12\n")
    arguments = ["train", TINY, f"--data.root={lines}", "--trainer.max_epochs=1", "--trainer.accelerator=cpu"]
    code, _, err = call(*arguments, "--output", tmp_path / "strict")
    assert code == 1
    assert "gone.png" in err
    assert "--skip-bad" in err
    code, _, err = call(*arguments, "--output", tmp_path / "skipping", "--skip-bad")
    assert code == 0
    assert "left out: " in err


def test_nothing_left_to_validate_on_says_so(call, lines, tmp_path):
    for held_out in lines.glob("page0*.png"):
        held_out.write_bytes(b"")
    code, _, err = call("train", TINY, f"--data.root={lines}", "--output", tmp_path / "run", "--skip-bad")
    assert code == 1
    assert "of the validation part can be used: " in err
    (lines / "one.tsv").write_text((lines / "train.tsv").read_text().splitlines()[1])
    arguments = ["train", TINY, f"--data.root={lines}", "--data.train=one.tsv", "--output", tmp_path / "run"]
    for holdout, fault in (
        ("0.1", "1 training sample cannot be split"),
        ("[page0]", "names none of the training samp"),
    ):
        code, _, err = call(*arguments, f"--data.holdout={holdout}")
        assert code == 1
        assert fault in err


ENCODER = "--model.init_args.encoder.init_args"
REFUSED = {
    "--model.init_args.scores=[cerr]": "did you mean 'cer'",
    "--model.init_args.scores=[]": "no score is named",
    "--model.init_args.auxiliary=-1": "0 or more",
    "--model.init_args.transducer=-4": "0 or more",
    "--model.init_args.masks={bands: -1}": "masks have counts and widths from 0 up",
    "--model.init_args.optimisation.learning_rate=-1": "learning_rate, weight_decay and patience are 0 or more",
    "--model.init_args.optimisation.warmup=2": "warmup is a share",
    f"{ENCODER}.hidden_size=0": "hidden_size and num_layers must be at least 1",
    f"{ENCODER}.recurrent=lstmm": "Expected a typing.Literal['lstm', 'gru', 'rnn']",
    f"{ENCODER}.convolutions=[{{channels: 4, pool: [0, 2]}}]": "at least 1",
    "--data.domain.init_args.height=0": "pixels high, not 0",
    "--data.batch_steps=0": "must be at least 1",
    "--average=7": "average",
    "--trainer.devices=0": "devices",
    "--trainer.max_epochs=x": "max_epochs",
}


@pytest.mark.parametrize("setting", REFUSED)
def test_a_setting_that_cannot_be_is_refused_in_one_sentence(call, lines, tmp_path, setting):
    arguments = ["train", TINY, f"--data.root={lines}", "--output", tmp_path / "run", "--trainer.accelerator=cpu"]
    code, _, err = call(*arguments, setting)
    assert code == 1
    assert REFUSED[setting] in err
    assert len(err.strip().splitlines()) == 1
    assert not (tmp_path / "run" / "model").exists()


@pytest.mark.parametrize("setting", ["--trainer.devices=0", "--optimisation.learning_rate=-1", "--data.batch_steps=0"])
def test_fine_tuning_refuses_a_setting_that_cannot_be_before_it_begins(call, model, lines, tmp_path, setting):
    arguments = ["finetune", model, f"--data.train={lines / 'train.tsv'}", "--output", tmp_path / "tuned"]
    code, _, err = call(*arguments, "--trainer.accelerator=cpu", setting)
    assert code == 1
    assert len(err.strip().splitlines()) == 1
    assert setting[2:].partition("=")[0].rpartition(".")[2] in err


def test_a_recipe_with_a_misspelt_key_is_named(call, tmp_path):
    recipe = tmp_path / "wrong.yaml"
    recipe.write_text(TINY.read_text().replace("batch_steps", "batch_step"))
    code, _, err = call("train", recipe, "--output", tmp_path / "run")
    assert code == 1
    assert "wrong.yaml" in err
    assert "batch_step" in err


@pytest.mark.parametrize("precision", ["bf16-true", "64-true", "bf16-mixed"])
def test_training_in_every_precision(call, lines, tmp_path, precision):
    arguments = ["train", TINY, f"--data.root={lines}", "--trainer.max_epochs=1", "--trainer.accelerator=cpu"]
    code, _, err = call(*arguments, "--output", tmp_path / "run", "--trainer.precision", precision)
    assert code == 0, err


def test_a_logger_writes_into_the_folder_of_the_run(call, lines, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    arguments = ["train", TINY, f"--data.root={lines}", "--trainer.max_epochs=1", "--trainer.accelerator=cpu"]
    code, _, err = call(*arguments, "--output", tmp_path / "run", "--trainer.logger", "true")
    assert code == 0, err
    assert [path.name for path in tmp_path.iterdir() if path != lines] == ["run"]
    assert list((tmp_path / "run").rglob("metrics.csv")) or list((tmp_path / "run").rglob("events.*"))


@pytest.mark.parametrize(
    ("setting", "fault"),
    [
        ("--trainer.max_epoch=3", "unrecognized arguments: --trainer.max_epoch"),
        ("--data.group=(((", "data.group is '(((', no regular expression"),
    ],
)
def test_a_setting_that_cannot_be_is_one_sentence(call, model, lines, tmp_path, setting, fault):
    data = f"--data.train={lines / 'train.tsv'}"
    for command in (["train", TINY, f"--data.root={lines}"], ["finetune", model, data]):
        code, _, err = call(*command, "--output", tmp_path / command[0], setting)
        assert code == 1
        assert fault in err
        assert len(err.strip().splitlines()) == 1
