"""The command line: light to start, one line for every mistake, JSON for programs."""

import importlib
import json
import os
import subprocess
import sys
from itertools import chain
from pathlib import Path

import pytest
from drawn import draw_lines
from lstmapps_handwriting.domain import Handwriting

from lstmapps.cli.main import COMMANDS, main, parse

TINY = Path(__file__).parents[2] / "tiny.yaml"


def call(capsys, *arguments):
    """Run a command; return its exit code and what it printed on both streams."""
    try:
        code = main([str(argument) for argument in arguments])
    except SystemExit as stop:
        code = stop.code
    printed = capsys.readouterr()
    return code, printed.out, printed.err


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    folder = tmp_path_factory.mktemp("cli")
    lines = draw_lines(folder / "lines", 24)
    arguments = ["train", TINY, "--output", folder / "run", f"--data.root={lines}", "--trainer.accelerator=cpu"]
    assert main([str(a) for a in arguments]) == 0
    assert (folder / "run" / "report.html").read_text().startswith("<!doctype html>")
    return folder / "run" / "model"


@pytest.mark.parametrize("arguments", [["--help"], ["list"], ["--version"], ["predict", "--help"]])
def test_what_needs_no_torch_does_not_import_it(arguments):
    code = (
        "import sys, lstmapps.cli.main as m\n"
        f"try: m.main({arguments!r})\nexcept SystemExit: pass\n"
        "sys.exit('torch' in sys.modules or 'lightning' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, check=False).returncode == 0


def test_prediction_imports_no_lightning(model, lines):
    code = (
        "import sys, lstmapps.cli.main as m\n"
        f"assert m.main(['predict', {str(model)!r}, {str(lines)!r}]) == 0\n"
        "sys.exit(any(name in sys.modules for name in ('lightning', 'jsonargparse', 'rich')))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_list_shows_recipes(capsys):
    code, out, _ = call(capsys, "list", "handwriting/*", "--json")
    assert code == 0
    names = {entry["name"] for entry in json.loads(out)["entries"]}
    assert {"handwriting/digits", "handwriting/peraire"} <= names


def test_list_is_a_table_of_what_each_is_for(capsys):
    code, out, _ = call(capsys, "list", "speech/*")
    assert code == 0
    head, *rows = out.splitlines()
    an4 = next(row for row in rows if row.startswith("speech/an4 "))
    for title, cell in (("language", "en"), ("score", "CER"), ("size", "9."), ("what for", "Recognises")):
        assert an4[head.index(title) :].startswith(cell), (title, an4)
    assert next(row for row in rows if row.startswith("speech/timit"))[head.index("what for") :].strip()


def test_what_belongs_to_a_plugin_that_is_not_installed_says_how_to_get_it(capsys, monkeypatch):
    monkeypatch.setattr("lstmapps.plugins.installed", lambda: ({}, []))
    for arguments in (["predict", "speech/an4", "x"], ["train", "speech/an4"], ["info", "speech/an4"]):
        code, _, err = call(capsys, *arguments)
        assert code == 1
        assert "pip install lstmapps-speech" in err


def test_doctor_finds_no_fault(capsys):
    code, out, _ = call(capsys, "doctor", "--json")
    assert (code, json.loads(out)["faults"]) == (0, [])


USAGE = [
    (["trian"], "there is no command 'trian'; did you mean 'train'?"),
    (["xyzzy"], "choose from list, train"),
    (["predict"], "required"),
    (["predict", "m", "i", "--oops"], "unrecognised arguments: --oops"),
]


@pytest.mark.parametrize(("arguments", "message"), USAGE)
def test_wrong_usage_exits_with_2(capsys, arguments, message):
    code, out, err = call(capsys, *arguments)
    assert (code, out) == (2, "")
    assert message in err
    assert len(err.strip().split("\n")) == 1


OPTIONS = {
    "list": (["speech/*"], [["--json"]]),
    "train": (["recipe"], [["--output", "x"], ["--resume"], ["--data.root", "d"], ["--trainer.max_epochs=1"]]),
    "test": (["model"], [["--split", "train"], ["--json"], ["--data.root", "d"], ["--seed_everything", "3"]]),
    "predict": (["model", "a", "b", "-"], [["--decoder", "greedy"], ["--json"], ["--hot-word", "x"], ["--n-best=2"]]),
    "finetune": (["model"], [["--output", "x"], ["--data.train", "t"], ["--skip-bad"], ["--optimisation.warmup", "0"]]),
    "tune": (["model"], [["--output", "x"], ["--data.root", "d"], ["--order", "3"]]),
    "align": (["model"], [["--input", "x"], ["--text", "y"], ["--format", "text"]]),
    "score": (["model", "a", "b"], [["--format", "jsonl"], ["--json"]]),
    "check": (["recipe"], [["--json"], ["--data.root", "d"]]),
    "info": (["name"], [["--json"]]),
    "doctor": ([], [["--json"]]),
}


@pytest.mark.parametrize("command", COMMANDS)
def test_options_stand_before_between_and_after_inputs(command):
    module = importlib.import_module(f"lstmapps.cli.{command}")
    inputs, options = OPTIONS[command]
    flat = list(chain.from_iterable(options))
    orders = [inputs + flat, flat + inputs]
    for place in range(1, len(inputs) + 1):
        for number in range(len(options) + 1):
            before, after = (list(chain.from_iterable(part)) for part in (options[:number], options[number:]))
            orders.append([*before, *inputs[:place], *after, *inputs[place:]])
    first = vars(parse(module, command, orders[0]))
    given = set(chain.from_iterable(value if isinstance(value, list) else [value] for value in first.values()))
    assert given.issuperset(inputs)
    for order in orders[1:]:
        found = vars(parse(module, command, order))
        assert sorted(found.pop("overrides")) == sorted(first["overrides"]), order
        assert found == {key: value for key, value in first.items() if key != "overrides"}, order


def test_predict_takes_its_options_anywhere(capsys, model, lines):
    pictures = sorted(str(path) for path in lines.glob("*.png"))[:3]
    expected = call(capsys, "predict", model, *pictures, "--decoder", "beam", "--json")
    assert expected[0] == 0
    first, second, third = pictures
    assert call(capsys, "predict", "--decoder", "beam", model, first, "--json", second, third) == expected
    assert call(capsys, "predict", model, "--json", "--decoder", "beam", first, second, third) == expected
    assert call(capsys, "--json", "predict", model, first, second, "--decoder=beam", third) == expected


def test_a_choice_that_is_none_is_no_command(capsys):
    for arguments in (["test", "m", "--split", "tset"], ["tune", "m", "--units", "foo"]):
        code, _, err = call(capsys, *arguments)
        assert code == 2
        assert "there is no command" not in err
        assert arguments[-2] in err
        assert arguments[-1] in err


def test_python_m_lstmapps():
    done = subprocess.run([sys.executable, "-m", "lstmapps", "--version"], capture_output=True, text=True, check=True)
    assert done.stdout.strip()


NAMES = [b"tab\there.png", b"line\nbreak.png", b"\xff\xfe.png", "\u2028é.png".encode()]
SHOWN = ["tab\\there.png", "line\\nbreak.png", "\\xff\\xfe.png", "\\u2028é.png"]


@pytest.mark.parametrize("encoding", ["utf-8", "ascii"])
def test_names_of_every_kind_are_one_line_each(model, lines, tmp_path, encoding):
    picture = sorted(lines.glob("*.png"))[0].read_bytes()
    for name in NAMES:
        (tmp_path / os.fsdecode(name)).write_bytes(picture)
    (tmp_path / os.fsdecode(b"\xffempty.png")).write_bytes(b"")
    names = [*map(os.fsdecode, NAMES), os.fsdecode(b"\xffempty.png"), os.fsdecode(b"\xffgone.png")]
    command = [sys.executable, "-m", "lstmapps", "predict", str(model), *names]
    environment = {**os.environ, "PYTHONIOENCODING": encoding}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, check=False)
    assert done.returncode == 1
    out, err = done.stdout.decode(encoding).splitlines(), done.stderr.decode(encoding).splitlines()
    shown = SHOWN if encoding == "utf-8" else [name.replace("é", "\\xe9") for name in SHOWN]
    assert [line.split("\t")[0] for line in out] == shown
    assert len(err) == 3
    assert "\\xffempty.png" in err[0]
    done = subprocess.run(
        [*command, "--format", "jsonl"], cwd=tmp_path, env=environment, capture_output=True, check=False
    )
    assert [json.loads(line)["input"] for line in done.stdout.decode(encoding).split("\n")[:-1]] == names[:4]


def test_a_bad_line_of_a_list_is_named_and_the_rest_read(capsys, model, lines):
    names = sorted(path.name for path in lines.glob("*.png"))[:2]
    (lines / "m.jsonl").write_text(f'{{"image": "{names[0]}", "text": 5}}\n{{"image": 3}}\n{{"image": "{names[1]}"}}\n')
    code, out, err = call(capsys, "predict", model, lines / "m.jsonl")
    assert code == 1
    assert [line.split("\t")[0] for line in out.splitlines()] == names
    assert f"{lines / 'm.jsonl'}:2" in err


def test_training_lists_all_bad_lines_at_once(capsys, lines, tmp_path):
    (lines / "train.tsv").write_text((lines / "train.tsv").read_text() + "no tab\nnor here\n")
    for command in (["check", TINY], ["train", TINY, "--output", tmp_path / "run"]):
        code, out, err = call(capsys, *command, f"--data.root={lines}")
        assert code == 1
        assert "train.tsv:25 has no tab" in out + err
        assert "train.tsv:26 has no tab" in out + err


def test_what_nobody_foresaw_is_the_failure_of_its_input_alone(capsys, model, lines, monkeypatch):
    pictures = sorted(str(path) for path in lines.glob("*.png"))[:4]
    loaded = Handwriting.load

    def load(self, sample):
        if sample.id == pictures[1]:
            raise ZeroDivisionError("nobody\nforesaw this")
        if sample.id == pictures[2]:
            return loaded(self, sample)[:, :9]  # the network cannot take it
        return loaded(self, sample)

    monkeypatch.setattr(Handwriting, "load", load)
    code, out, err = call(capsys, "predict", model, *pictures)
    assert code == 1
    assert [line.split("\t")[0] for line in out.splitlines()] == [pictures[0], pictures[3]]
    first, second, summary = err.splitlines()
    assert first.startswith(f"{pictures[1]} cannot be used (ZeroDivisionError: nobody foresaw this)")
    assert pictures[2] in second
    assert "2 of 4" in summary
    _, _, err = call(capsys, "predict", model, *pictures, "--debug")
    assert "Traceback" in err
    monkeypatch.setattr(Handwriting, "load", lambda self, sample: (_ for _ in ()).throw(MemoryError()))
    with pytest.raises(MemoryError):
        main(["predict", str(model), *pictures])


def test_nothing_left_to_validate_on_says_so(capsys, lines, tmp_path):
    for held_out in lines.glob("page0*.png"):
        held_out.write_bytes(b"")
    code, _, err = call(capsys, "train", TINY, f"--data.root={lines}", "--output", tmp_path / "run", "--skip-bad")
    assert code == 1
    assert "of the validation part can be used: " in err
    (lines / "one.tsv").write_text((lines / "train.tsv").read_text().splitlines()[1])
    arguments = ["train", TINY, f"--data.root={lines}", "--data.train=one.tsv", "--output", tmp_path / "run"]
    for holdout, fault in (
        ("0.1", "1 training sample cannot be split"),
        ("[page0]", "names none of the training samp"),
    ):
        code, _, err = call(capsys, *arguments, f"--data.holdout={holdout}")
        assert code == 1
        assert fault in err


@pytest.mark.parametrize("precision", ["bf16-true", "64-true", "bf16-mixed"])
def test_training_in_every_precision(capsys, lines, tmp_path, precision):
    arguments = ["train", TINY, f"--data.root={lines}", "--trainer.max_epochs=1", "--trainer.accelerator=cpu"]
    code, _, err = call(capsys, *arguments, "--output", tmp_path / "run", "--trainer.precision", precision)
    assert code == 0, err


def test_a_logger_writes_into_the_folder_of_the_run(capsys, lines, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    arguments = ["train", TINY, f"--data.root={lines}", "--trainer.max_epochs=1", "--trainer.accelerator=cpu"]
    code, _, err = call(capsys, *arguments, "--output", tmp_path / "run", "--trainer.logger", "true")
    assert code == 0, err
    assert [path.name for path in tmp_path.iterdir() if path != lines] == ["run"]
    assert list((tmp_path / "run").rglob("metrics.csv")) or list((tmp_path / "run").rglob("events.*"))


MISTAKES = [
    (["train", "handwriting/digit"], "did you mean 'handwriting/digits'"),
    (["train", "none.yaml"], "there is no recipe at none.yaml"),
    (["train", "handwriting/digits", "--trainer.max_epochen", "1"], "max_epochen"),
    (["train", "handwriting/digits", "--model.init_args.encoder.init_args.hiden_size=3"], "hiden_size"),
    (["train", "handwriting/digits", "--data.batch_steps", "many"], "batch_steps"),
    (["check", "handwriting/peraire", "--data.root", "/nowhere"], "get the data from https://github.com"),
    (["predict", "handwriting/nothing", "x.png"], "there is no model 'handwriting/nothing'"),
    (["predict", "./nowhere", "x.png"], "there is no model package at nowhere"),
    (["info", "handwriting/nothing"], "there is no model"),
]


@pytest.mark.parametrize(("arguments", "message"), MISTAKES)
def test_a_mistake_is_one_line_without_a_traceback(capsys, monkeypatch, tmp_path, arguments, message):
    monkeypatch.chdir(tmp_path)
    code, out, err = call(capsys, *arguments)
    assert (code, out) == (1, "")
    assert message in err
    assert len(err.strip().split("\n")) == 1, err
    assert not list(tmp_path.iterdir())


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
def test_a_setting_that_cannot_be_is_refused_in_one_sentence(capsys, lines, tmp_path, setting):
    arguments = ["train", TINY, f"--data.root={lines}", "--output", tmp_path / "run", "--trainer.accelerator=cpu"]
    code, _, err = call(capsys, *arguments, setting)
    assert code == 1
    assert REFUSED[setting] in err
    assert len(err.strip().splitlines()) == 1
    assert not (tmp_path / "run" / "model").exists()


@pytest.mark.parametrize("setting", ["--trainer.devices=0", "--optimisation.learning_rate=-1", "--data.batch_steps=0"])
def test_fine_tuning_refuses_a_setting_that_cannot_be_before_it_begins(capsys, model, lines, tmp_path, setting):
    arguments = ["finetune", model, f"--data.train={lines / 'train.tsv'}", "--output", tmp_path / "tuned"]
    code, _, err = call(capsys, *arguments, "--trainer.accelerator=cpu", setting)
    assert code == 1
    assert len(err.strip().splitlines()) == 1
    assert setting[2:].partition("=")[0].rpartition(".")[2] in err


def test_a_recipe_with_a_misspelt_key_is_named(capsys, tmp_path):
    recipe = tmp_path / "wrong.yaml"
    recipe.write_text(TINY.read_text().replace("batch_steps", "batch_step"))
    code, _, err = call(capsys, "train", recipe, "--output", tmp_path / "run")
    assert code == 1
    assert "wrong.yaml" in err
    assert "batch_step" in err


def test_debug_shows_the_traceback():
    with pytest.raises(Exception, match="nothing"):
        main(["--debug", "predict", "handwriting/nothing", "x.png"])


def test_predict_prints_a_line_for_each_input(capsys, model, lines):
    pictures = sorted(str(path) for path in lines.glob("*.png"))[:5]
    code, out, _ = call(capsys, "predict", model, *pictures)
    assert code == 0
    assert [line.split("\t")[0] for line in out.splitlines()] == pictures


def test_predict_goes_on_after_a_bad_input(capsys, model, lines, tmp_path):
    pictures = sorted(str(path) for path in lines.glob("*.png"))[:3]
    (tmp_path / "bad.png").write_bytes(b"")
    code, out, err = call(
        capsys, "predict", model, pictures[0], tmp_path / "bad.png", "gone.tsv", pictures[1], "--json"
    )
    assert code == 1
    assert [line.split("\t")[0] for line in out.splitlines()[:-1]] == [pictures[0], pictures[1]]
    assert json.loads(out.splitlines()[-1]) == {"model": "tests/tiny", "inputs": 4, "failed": 2}
    assert "bad.png" in err
    assert "gone.tsv" in err


@pytest.mark.parametrize("form", ["jsonl", "page", "alto"])
def test_predict_writes_other_forms_to_a_file(capsys, model, lines, tmp_path, form):
    picture = sorted(lines.glob("*.png"))[0]
    code, out, _ = call(capsys, "predict", model, picture, "--format", form, "--output", tmp_path / "out")
    assert (code, out) == (0, "")
    assert picture.name in (tmp_path / "out").read_text()
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith("out")] == ["out"]


def test_a_document_for_each_picture_goes_into_a_folder(capsys, model, lines, tmp_path):
    (lines / "again").mkdir()
    first, second = sorted(lines.glob("*.png"))[:2]
    twin = lines / "again" / first.name
    twin.write_bytes(first.read_bytes())
    pictures = [first, second, twin]
    code, _, err = call(capsys, "predict", model, *pictures, "--format", "page")
    assert code == 1
    assert f"{second} needs a document of its own; give a folder, --output FOLDER/" in err
    folder = f"{tmp_path / 'read'}/"
    code, _, _ = call(capsys, "predict", model, *pictures, "--format", "page", "--output", folder)
    assert code == 0
    written = {path.name: path.read_text() for path in (tmp_path / "read").iterdir()}
    assert set(written) == {f"{first.stem}.xml", f"{second.stem}.xml", f"{first.stem}-2.xml"}
    assert second.name in written[f"{second.stem}.xml"]


def test_a_wrong_form_gets_a_suggestion(capsys, model):
    code, _, err = call(capsys, "predict", model, "x.png", "--format", "pages")
    assert code == 1
    assert "did you mean 'page'" in err


def test_inputs_come_from_standard_input(capsys, model, lines, monkeypatch):
    pictures = sorted(str(path) for path in lines.glob("*.png"))[:2]
    monkeypatch.setattr("sys.stdin", iter(f"{path}\n" for path in pictures))
    code, out, _ = call(capsys, "predict", model, "-")
    assert code == 0
    assert [line.split("\t")[0] for line in out.splitlines()] == pictures


def test_test_reports_rates_with_intervals(capsys, model, lines):
    arguments = ["test", model, "--recipe", TINY, f"--data.root={lines}", "--data.test=train.tsv", "--json"]
    code, out, _ = call(capsys, *arguments)
    assert code == 0
    result = json.loads(out.splitlines()[-1])
    assert (result["model"], result["split"], result["samples"]) == ("tests/tiny", "test", 24)
    for metric in ("cer", "wer"):
        rate = result["metrics"][metric]
        assert rate["low"] <= rate["value"] <= rate["high"]


def test_test_refuses_bad_samples_unless_told_to_skip_them(capsys, model, lines):
    (lines / "train.tsv").write_text((lines / "train.tsv").read_text() + "gone.png\t12\n")
    arguments = ["test", model, "--recipe", TINY, f"--data.root={lines}", "--data.test=train.tsv", "--json"]
    code, _, err = call(capsys, *arguments)
    assert code == 1
    assert "gone.png does not exist" in err
    code, out, err = call(capsys, *arguments, "--skip-bad")
    assert code == 0
    assert (json.loads(out)["samples"], json.loads(out)["left_out"]) == (24, 1)
    assert "left out" in err


def test_info_describes_models_and_recipes(capsys, model):
    code, out, _ = call(capsys, "info", model, "--json")
    assert code == 0
    assert json.loads(out)["symbols"] == "0123456789"
    code, out, _ = call(capsys, "info", TINY)
    assert code == 0
    assert "max_epochs" in out


def test_check_lists_every_kind_of_fault(capsys, lines):
    pictures = sorted(path.name for path in lines.glob("page1*.png"))
    held_out = next(path.name for path in lines.glob("page0*.png"))
    (lines / "leak.png").write_bytes((lines / held_out).read_bytes())
    (lines / "cut.png").write_bytes((lines / pictures[0]).read_bytes()[:-30])
    extra = f"leak.png\t12\ncut.png\t1\n{pictures[0]}\t\n"
    (lines / "short.png").write_bytes((lines / pictures[1]).read_bytes())
    extra += "short.png\t" + "1" * 80 + "\n"
    (lines / "train.tsv").write_text((lines / "train.tsv").read_text() + extra)
    code, out, _ = call(capsys, "check", TINY, f"--data.root={lines}", "--json")
    assert code == 1
    kinds = {problem["kind"]: problem["message"] for problem in json.loads(out)["problems"]}
    assert set(kinds) == {"leak", "unreadable", "empty", "short"}
    assert held_out in kinds["leak"]
    assert "cut.png" in kinds["unreadable"]
    assert pictures[0] in kinds["empty"]
    assert "159 needed" in kinds["short"]


def test_training_stops_at_bad_samples_unless_told_to_skip_them(capsys, lines, tmp_path):
    (lines / "train.tsv").write_text((lines / "train.tsv").read_text() + "gone.png\t12\n")
    arguments = ["train", TINY, f"--data.root={lines}", "--trainer.max_epochs=1", "--trainer.accelerator=cpu"]
    code, _, err = call(capsys, *arguments, "--output", tmp_path / "strict")
    assert code == 1
    assert "gone.png" in err
    assert "--skip-bad" in err
    code, _, err = call(capsys, *arguments, "--output", tmp_path / "skipping", "--skip-bad")
    assert code == 0
    assert "left out: " in err


def test_every_command_tells_what_it_does(capsys):
    for command in COMMANDS:
        code, out, _ = call(capsys, command, "--help")
        assert code == 0
        assert COMMANDS[command].lower()[:10] in out.lower()
