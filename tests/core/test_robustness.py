"""A model under disturbances, and before inputs that hold nothing."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from lstmapps.cli.main import main
from lstmapps.data import Disturbance, Domain, Sample
from lstmapps.errors import UserError
from lstmapps.evaluation import evaluate
from lstmapps.model import Model
from lstmapps.robustness import disturbed, read_in_blanks

STORED = Path(__file__).parent / "stored"


@pytest.fixture
def model():
    return Model.load(STORED / "format-1", device="cpu")


@pytest.fixture
def line():
    return [Sample("line", STORED / "line.png", json.loads((STORED / "readings.json").read_text())["format-1"])]


def test_inputs_are_disturbed_before_the_network_reads_them(model, line, monkeypatch):
    strong = Disturbance("all ink", 1, "", lambda x, strength: torch.full_like(x, strength))
    none = Disturbance("none", 0, "", lambda x, strength: x.clone())
    monkeypatch.setattr(type(model.domain), "disturbances", lambda self: [none, strong])
    under = disturbed(model, line)
    clean = evaluate(model, line)
    assert under[none].metrics() == clean.metrics()
    assert under[strong].first.value > clean.first.value
    assert model.disturbance is None


def test_an_input_too_long_to_hold_is_disturbed_whole(model, line, monkeypatch):
    monkeypatch.setattr("lstmapps.model.is_long", lambda *_: True)
    ink = Disturbance("all ink", 1, "", lambda x, strength: torch.full_like(x, strength))
    (read,) = replace(model, disturbance=ink).predict(line)
    assert read.text != line[0].text


def test_a_domain_without_disturbances_is_named(model, line, monkeypatch):
    monkeypatch.setattr(type(model.domain), "disturbances", Domain.disturbances)
    with pytest.raises(UserError, match="names no disturbances"):
        disturbed(model, line)


def test_what_is_read_in_blanks_is_told(model, monkeypatch, line):
    monkeypatch.setattr(type(model.domain), "blanks", lambda self: iter([replace(line[0], id="no blank")]))
    assert read_in_blanks(model) == {"no blank": line[0].text}


def test_scores_under_disturbances_are_printed_recorded_and_drawn(lines, tmp_path, capsys):
    shutil.copytree(STORED / "format-1", tmp_path / "model")
    common = ["test", str(tmp_path / "model"), "--recipe", str(Path(__file__).parents[1] / "tiny.yaml")]
    common += [f"--data.root={lines}", "--split", "train", "--disturbed"]
    report = tmp_path / "report.html"
    assert main([*common, "--json", "--record", "--report", str(report)]) == 0
    result = json.loads(capsys.readouterr().out.strip().split("\n")[-1])
    names = [(one["name"], one["strength"], one["unit"]) for one in result["disturbed"]]
    assert names == [(d.name, d.strength, d.unit) for d in Model.load(tmp_path / "model").domain.disturbances()]
    assert all({"value", "low", "high"} <= set(one["metrics"]["cer"]) for one in result["disturbed"])
    assert all(set(one["confidence_of_words"]) <= {"right", "wrong"} for one in result["disturbed"])
    assert "white paper" in result["read_in_blanks"]
    recorded = Model.load(tmp_path / "model").results
    assert recorded["train (turned 2 degrees)"]["strength"] == 2
    card = (tmp_path / "model" / "README.md").read_text()
    assert card.count("| train (turned 2 degrees) | CER |") == 1
    assert "inverted" in report.read_text()
    assert (tmp_path / "report-drawings" / "disturbed.svg").exists()
    assert main(common) == 0
    assert "JPEG quality 10" in capsys.readouterr().out
