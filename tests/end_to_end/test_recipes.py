"""Every recipe of our plugins, trained on a few samples, tested, and read with; fine-tuning on top."""

import contextlib
import json
import random
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from drawn import draw, draw_lines
from lstmapps_handwriting.digits import DigitStrings
from rich.console import Console

from lstmapps import finetuning
from lstmapps.cli.main import main
from lstmapps.data import SequenceData
from lstmapps.errors import UserError
from lstmapps.model import Model
from lstmapps.tasks import Masks
from lstmapps.training import Trained, train

CPU = "--trainer.accelerator=cpu"
SMALL = [f"--model.init_args.encoder.init_args.{name}" for name in ("hidden_size=16", "num_layers=1")]


def call(capsys, *arguments):
    code = main([str(argument) for argument in arguments])
    printed = capsys.readouterr()
    assert code == 0, printed.err
    return printed.out


def peraire_layout(folder: Path) -> Path:
    """A few made lines with the names and tables of the real set."""
    generator = random.Random(0)
    pages = {"train": ["B.1.a_0005", "D.1.b_0010", "D.3.eurasie-5-6_0019"], "test": ["test_B.12.japon3_0048"]}
    for part, names in pages.items():
        (folder / part).mkdir(parents=True)
        rows = []
        for page in names:
            for number in range(4):
                text = "".join(generator.choices("abé 12", k=5)).strip() or "a"
                name = f"{part}/{page}_{number:03d}.jpg"
                draw(text).resize((8 * 40, 64)).save(folder / name)
                rows.append(f"{name}\t{text}\n")
        (folder / f"{part}.tsv").write_text("".join(rows), encoding="utf-8")
    return folder


def test_digits(capsys, tmp_path):
    overrides = [f"--data.{part}.init_args.count=12" for part in ("train", "validation")]
    run = tmp_path / "run"
    arguments = ["--trainer.max_epochs=2", "--trainer.check_val_every_n_epoch=1", CPU, "--json"]
    out = call(capsys, "train", "handwriting/digits", "--output", run, *overrides, *arguments)
    assert set(json.loads(out)["metrics"]) == {"cer", "wer"}
    tested = json.loads(call(capsys, "test", run / "model", "--data.test.init_args.count=8", "--json"))
    assert tested["samples"] == 8
    assert tested["recipe"] == "handwriting/digits"
    model, (sample, *_) = Model.load(run / "model"), DigitStrings("test", count=1).samples()
    (read,) = model.predict([sample])
    assert model.align(sample).sample.size == read.sample.size  # in whose steps places are told
    report = (run / "report.html").read_text()
    assert all(title in report for title in ("Scores", "Learning", "Confusions", "Worst samples", "Alignments"))
    assert "http://" not in report.replace("http://www.w3.org", "")


def test_peraire(capsys, tmp_path):
    data = peraire_layout(tmp_path / "peraire_lines")
    run = tmp_path / "run"
    root = f"--data.root={data}"
    arguments = ["--trainer.max_epochs=1", "--trainer.check_val_every_n_epoch=1", CPU]
    call(capsys, "train", "handwriting/peraire", "--output", run, root, *arguments, *SMALL)
    tested = json.loads(call(capsys, "test", run / "model", root, "--json"))
    assert tested["samples"] == 4
    assert Model.load(run / "model").results["training"]["validation_samples"] == 4


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    """A model that has learnt drawn figures a little."""
    folder = tmp_path_factory.mktemp("base")
    lines = draw_lines(folder / "lines", 120)
    tiny = Path(__file__).parents[1] / "tiny.yaml"
    overrides = [f"--data.root={lines}", "--trainer.max_epochs=60", "--trainer.check_val_every_n_epoch=20", CPU]
    overrides += ["--data.batch_steps=600", "--model.init_args.optimisation.learning_rate=0.02"]
    overrides += ["--data.domain.init_args.augmentation=0", "--model.init_args.encoder.init_args.hidden_size=32"]
    assert main(["train", str(tiny), "--output", str(folder / "run"), *overrides]) == 0
    return folder / "run" / "model"


def test_fine_tuning_learns_new_symbols_and_gets_better(capsys, base, tmp_path):
    lines = draw_lines(tmp_path / "own", 90, symbols="0123456789ab", seed=7)
    output = tmp_path / "tuned"
    arguments = [f"--data.train={lines / 'train.tsv'}", "--data.holdout=0.4", "--trainer.max_epochs=20", CPU, "--json"]
    arguments.append("--optimisation.learning_rate=0.01")  # the network is tiny
    result = json.loads(call(capsys, "finetune", base, "--output", output, *arguments))
    assert result["after"]["cer"]["value"] < result["before"]["cer"]["value"]
    assert "10 symbols kept; 2 new: 'a', 'b'; 0 dropped" in result["symbols"]
    tuned = Model.load(output / "model")
    assert tuned.vocabulary.symbols == tuple("0123456789ab")
    assert tuned.results["validation"]["metrics"]["cer"]["value"] == result["after"]["cer"]["value"]
    card = (output / "model" / "README.md").read_text()
    assert f"# {tuned.name}" in card
    assert f"Trained on: {tuned.results['training']['train_samples']} samples of one's own" in card
    assert f"Begun with: {tuned.name.removesuffix('-finetuned')}" in card
    assert "lstmapps predict FOLDER" in card
    tested = json.loads(call(capsys, "test", output / "model", f"--data.test={lines / 'train.tsv'}", "--json"))
    assert (tested["recipe"], tested["samples"]) == (None, 90)
    arguments = ["--split", "validation", f"--data.train={lines / 'train.tsv'}", "--data.holdout=0.4", "--json"]
    tested = json.loads(call(capsys, "test", output / "model", *arguments))
    assert tested["metrics"]["cer"]["value"] == result["after"]["cer"]["value"]
    assert main(["test", str(output / "model")]) == 1
    assert "no test data is named" in capsys.readouterr().err


def test_fine_tuning_takes_callbacks_and_loggers_and_keeps_what_the_recipe_did(base, tmp_path, monkeypatch):
    lines = draw_lines(tmp_path / "own", 40, seed=7)
    model = Model.load(base)
    model.config["training"] = {"auxiliary": 0.7, "masks": {"bands": 1, "frames": 0}}
    model.config["scores"] = ["exact", "cer"]
    runs, prepared = [], []
    monkeypatch.setattr(finetuning, "train", lambda run, *a, **k: runs.append(run) or train(run, *a, **k))
    prepare = SequenceData.prepare
    monkeypatch.setattr(SequenceData, "prepare", lambda self, *a, **k: prepared.append(self) or prepare(self, *a, **k))
    settings = [f"--data.train={lines / 'train.tsv'}", "--data.holdout=0.4", "--trainer.max_epochs=9", CPU]
    settings += ["--trainer.callbacks+=lightning.pytorch.callbacks.LearningRateMonitor", "--trainer.logger=true"]
    settings += ["--optimisation.learning_rate=0.01"]
    with contextlib.suppress(UserError):  # whether it gets better does not matter here
        finetuning.finetune(model, settings, tmp_path / "tuned", resume=False, console=Console(quiet=True))
    (task,) = [run.task for run in runs]
    assert (task.auxiliary, task.masks) == (0.7, Masks(bands=1, frames=0))
    assert [score.name for score in task.validation.scores] == ["exact", "cer"]
    assert len(prepared) == 1
    metrics = next((tmp_path / "tuned").rglob("metrics.csv"), None)
    assert metrics is None or "lr-" in metrics.read_text()
    assert metrics or list((tmp_path / "tuned").rglob("events.*"))


@pytest.mark.parametrize(
    ("score", "before", "samples", "own", "expected"),
    [
        ("cer", 49.0, 10, [], (0.001, 0.85, 60)),
        ("cer", 51.0, 10, [], (0.006, 1.0, 60)),
        ("cer", 51.0, 50, ["--data.batch_steps=1"], (0.006, 1.0, 33)),  # 30 lines, each a batch
        ("cer", 51.0, 90, ["--data.batch_steps=1"], (0.006, 1.0, 20)),
        ("cer", 51.0, 10, ["--trainer.max_epochs=7", "--optimisation.layer_decay=0.5"], (0.006, 0.5, 7)),
        ("exact", 51.0, 10, [], (0.001, 0.85, 60)),
    ],
)
def test_fine_tuning_is_fast_where_most_is_wrong_before(
    base, tmp_path, monkeypatch, score, before, samples, own, expected
):
    lines = draw_lines(tmp_path / "own", samples, seed=9)
    model = Model.load(base)
    model.config["scores"] = [score]
    runs = []
    monkeypatch.setattr(finetuning, "evaluate", lambda *_: SimpleNamespace(first=SimpleNamespace(value=before)))
    monkeypatch.setattr(finetuning, "train", noting(runs))
    settings = [f"--data.train={lines / 'train.tsv'}", "--data.holdout=0.4", CPU, *own]
    with pytest.raises(UserError):
        finetuning.finetune(model, settings, tmp_path / "tuned", resume=False, console=Console(quiet=True))
    (run,) = runs
    optimisation = run.task.optimisation
    assert (optimisation.learning_rate, optimisation.layer_decay, run.trainer.max_epochs) == expected


def noting(seen, what=lambda run: run):
    """What stands for `train`: it notes something of each run, and makes nothing better."""
    return lambda run, *_, **__: seen.append(what(run)) or Trained(Path(), False, [], [])


def test_all_chance_in_fine_tuning_follows_from_the_seed(base, tmp_path, monkeypatch):
    lines = draw_lines(tmp_path / "own", 10, seed=9)
    drawn = []
    monkeypatch.setattr(finetuning, "train", noting(drawn, lambda _: torch.rand(1).item()))
    for seed in (1, 1, 2):
        torch.seed()
        settings = [f"--data.train={lines / 'train.tsv'}", "--data.holdout=0.4", CPU, f"--data.seed={seed}"]
        with pytest.raises(UserError):
            finetuning.finetune(
                Model.load(base), settings, tmp_path / "tuned", resume=False, console=Console(quiet=True)
            )
    assert drawn[0] == drawn[1] != drawn[2]


def test_a_model_fine_tuned_twice_tells_of_both(base, tmp_path, monkeypatch):
    lines = draw_lines(tmp_path / "own", 10, seed=9)
    model, runs = Model.load(base), []
    first = model.name
    monkeypatch.setattr(finetuning, "train", noting(runs))
    settings = [f"--data.train={lines / 'train.tsv'}", "--data.holdout=0.4", CPU]
    for _ in range(2):
        with pytest.raises(UserError):
            finetuning.finetune(model, settings, tmp_path / "tuned", resume=False, console=Console(quiet=True))
        model.config.update(runs[-1].config)
    own = "6 samples of one's own"
    assert model.name == f"{first}-finetuned"
    assert model.config["card"]["data"] == own
    assert model.config["card"]["begun_with"] == f"{first}-finetuned ({own}; begun with {first})"


def test_a_worse_model_replaces_nothing(capsys, base, tmp_path):
    lines = draw_lines(tmp_path / "own", 30, seed=8)
    arguments = [f"--data.train={lines / 'train.tsv'}", "--trainer.max_epochs=1", CPU]
    arguments.append("--optimisation.learning_rate=0.0000000001")
    code = main(["finetune", str(base), "--output", str(tmp_path / "tuned"), *arguments])
    assert code == 1
    assert "was not improved" in capsys.readouterr().err
    assert not (tmp_path / "tuned" / "model").exists()
    assert main(["finetune", str(base), "--output", str(tmp_path / "tuned"), *arguments]) == 1
    assert "already holds a run" in capsys.readouterr().err
    (tmp_path / "other" / "model").mkdir(parents=True)
    assert main(["finetune", str(base), "--output", str(tmp_path / "other"), *arguments]) == 1
    assert "already holds a model" in capsys.readouterr().err
