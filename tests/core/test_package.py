"""The model package: what is written is read back, and nothing unsafe or damaged ever is."""

import json
import os
import pickle
import shutil
import sys
import types
from pathlib import Path

import pytest
import torch
import yaml
from rich.console import Console
from safetensors.torch import load_file, save_file

import lstmapps
from lstmapps import package, recipe
from lstmapps.errors import UserError
from lstmapps.model import Model
from lstmapps.predictions import Failure

TINY = Path(__file__).parents[1] / "tiny.yaml"
STORED = Path(__file__).parent / "stored"


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    from drawn import draw_lines

    folder = tmp_path_factory.mktemp("trained")
    lines = draw_lines(folder / "lines", 24)
    run = recipe.build(str(TINY), [f"--data.root={lines}", "--trainer.max_epochs=1", "--trainer.accelerator=cpu"])
    return recipe.train(run, folder / "run", resume=False, console=Console(quiet=True)).package


@pytest.fixture
def folder(trained, tmp_path):
    shutil.copytree(trained, tmp_path / "model")
    return tmp_path / "model"


def test_a_saved_model_predicts_the_same(folder, lines, tmp_path):
    model = lstmapps.load(str(folder), device="cpu")
    model.save(tmp_path / "copy")
    again = lstmapps.load(str(tmp_path / "copy"), device="cpu")
    table = str(lines / "train.tsv")
    assert list(model.predict([table])) == list(again.predict([table]))


def test_a_package_has_its_files_and_nothing_else(folder):
    assert sorted(path.name for path in folder.iterdir()) == sorted(set(package.FILES) - {package.LANGUAGE_MODEL})
    assert all(value.dtype == torch.float16 for value in load_file(folder / "weights.safetensors").values())
    assert all(p.dtype == torch.float32 for p in Model.load(folder).network.parameters())


@pytest.mark.parametrize("stored", sorted(STORED.glob("format-*")), ids=lambda path: path.name)
def test_packages_of_every_format_are_still_read(stored):
    model = Model.load(stored, device="cpu")
    (result,) = model.predict([str(stored.parent / "line.png")])
    assert result.text == json.loads((stored.parent / "readings.json").read_text())[stored.name]


def edit_config(folder, change):
    config = yaml.safe_load((folder / "config.yaml").read_text())
    change(config)
    (folder / "config.yaml").write_text(yaml.safe_dump(config))


def edit_weights(folder, change):
    weights = load_file(folder / "weights.safetensors")
    change(weights)
    save_file(weights, folder / "weights.safetensors")


class Trap:
    def __reduce__(self):
        return (os.system, ("touch sprung",))


SPOILT = {
    "no config": (lambda f: (f / "config.yaml").unlink(), r"config\.yaml is missing"),
    "config is no YAML": (lambda f: (f / "config.yaml").write_text("{"), r"config\.yaml is not readable YAML"),
    "config is a list": (lambda f: (f / "config.yaml").write_text("[]"), "names no package format"),
    "newer format": (lambda f: edit_config(f, lambda c: c.update(format=99)), "format 99, newer than 1; update"),
    "no network": (lambda f: edit_config(f, lambda c: c.pop("network")), "lacks 'network'"),
    "class elsewhere": (
        lambda f: edit_config(f, lambda c: c["domain"].update(class_path="os.system")),
        r"class os\.system lies outside",
    ),
    "nested class elsewhere": (
        lambda f: edit_config(f, lambda c: c["network"]["init_args"].update(frontend={"class_path": "shutil.rmtree"})),
        r"class shutil\.rmtree lies outside",
    ),
    "class that is not there": (
        lambda f: edit_config(f, lambda c: c["network"].update(class_path="lstmapps.nn.Nothing")),
        r"no class lstmapps\.nn\.Nothing",
    ),
    "function inside": (
        lambda f: edit_config(f, lambda c: c["domain"].update(class_path="lstmapps.cli.main.main")),
        r"lstmapps\.cli\.main\.main is not a class",
    ),
    "class passed on": (
        lambda f: edit_config(f, lambda c: c["domain"].update(class_path="lstmapps.package.Path")),
        r"lstmapps\.package\.Path is not a class of that package",
    ),
    "no weights": (lambda f: (f / "weights.safetensors").unlink(), r"weights\.safetensors is missing"),
    "truncated weights": (
        lambda f: (f / "weights.safetensors").write_bytes((f / "weights.safetensors").read_bytes()[:500]),
        r"weights\.safetensors is damaged",
    ),
    "empty weights": (lambda f: (f / "weights.safetensors").write_bytes(b""), r"weights\.safetensors is damaged"),
    "pickled weights": (
        lambda f: (f / "weights.safetensors").write_bytes(pickle.dumps(Trap())),
        r"weights\.safetensors is damaged or not safetensors",
    ),
    "missing tensor": (lambda f: edit_weights(f, lambda w: w.pop("head.bias")), r"lacks head\.bias"),
    "foreign tensor": (lambda f: edit_weights(f, lambda w: w.update(x=torch.zeros(1))), "holds x, unknown"),
    "wrong shape": (lambda f: edit_weights(f, lambda w: w.update({"head.bias": torch.zeros(2)})), r"the shape \(2,\)"),
    "results are no JSON": (lambda f: (f / "results.json").write_text("{"), r"results\.json is not readable JSON"),
    "no vocabulary": (lambda f: (f / "vocabulary.json").unlink(), r"vocabulary\.json is missing"),
}


@pytest.mark.parametrize("case", SPOILT)
def test_a_spoilt_package_is_refused_by_file(folder, monkeypatch, case):
    monkeypatch.chdir(folder.parent)
    spoil, message = SPOILT[case]
    spoil(folder)
    with pytest.raises(UserError, match=message) as error:
        Model.load(folder)
    assert "\n" not in str(error.value)
    assert not Path("sprung").exists()


def test_a_model_is_fetched_from_a_hub(folder, monkeypatch):
    asked = []

    def snapshot_download(repository, *, revision, allow_patterns):
        asked.append((repository, revision))
        if repository == "owner/gone":
            raise OSError("404 Client Error\nfor url")
        assert "weights.safetensors" in allow_patterns
        return str(folder)

    hub = types.SimpleNamespace(snapshot_download=snapshot_download)
    monkeypatch.setitem(sys.modules, "huggingface_hub", hub)
    assert lstmapps.load("hf://owner/name").name == "tests/tiny"
    assert lstmapps.load("hf://owner/name@v1").name == "tests/tiny"
    with pytest.raises(UserError, match=r"hf://owner/gone could not be fetched \(404 Client Error\)"):
        lstmapps.load("hf://owner/gone")
    assert asked == [("owner/name", None), ("owner/name", "v1"), ("owner/gone", None)]
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(UserError, match=r"pip install 'lstmapps\[hub\]'"):
        lstmapps.load("hf://owner/name")


def test_a_folder_that_is_not_there_is_named(tmp_path):
    with pytest.raises(UserError, match="nowhere"):
        Model.load(tmp_path / "nowhere")


def test_a_wrong_name_gets_a_suggestion():
    with pytest.raises(UserError, match="there is no model 'handwriting/nothing'"):
        lstmapps.load("handwriting/nothing")


def test_a_full_disk_leaves_the_previous_package_whole(folder, monkeypatch):
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    model = Model.load(folder)

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(package, "save", full)
    with pytest.raises(UserError, match="could not be written"):
        model.save(folder)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    assert [path.name for path in folder.parent.iterdir() if path.name.startswith(".")] == []


def test_a_place_that_cannot_be_written_is_named(folder, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="could not be written"):
        Model.load(folder).save(tmp_path / "file" / "model")


def test_saving_replaces_a_package_whole(folder):
    (folder / "stray").write_text("x")
    Model.load(folder).save(folder)
    assert not (folder / "stray").exists()
    assert Model.load(folder).name == "tests/tiny"


def test_the_card_tells_figures_from_the_results(folder):
    model = Model.load(folder)
    model.results["test"] = {"samples": 7, "metrics": {"cer": {"value": 12.345, "low": 10.0, "high": 15.0}}}
    model.save(folder)
    card = (folder / "README.md").read_text()
    assert card.startswith("---\n")
    assert yaml.safe_load(card.split("---")[1])["library_name"] == "lstmapps"
    assert "| test | 7 | CER | 12.35 % | 10.00 to 15.00 % |" in card or "12.34 %" in card


def test_a_bad_input_never_stops_the_others(folder, lines, tmp_path):
    model = Model.load(folder, device="cpu")
    pictures = sorted(lines.glob("*.png"))
    inputs = [str(pictures[i % len(pictures)]) for i in range(1000)]
    broken = {3: tmp_path / "empty.png", 500: tmp_path / "text.png", 999: tmp_path / "cut.png"}
    broken[3].write_bytes(b"")
    broken[500].write_text("no picture")
    broken[999].write_bytes(pictures[0].read_bytes()[:-60])
    for place, path in broken.items():
        inputs[place] = str(path)
    results = list(model.predict(inputs))
    assert [r.sample.id for r in results] == inputs
    failed = {i: r.reason for i, r in enumerate(results) if isinstance(r, Failure)}
    assert set(failed) == set(broken)
    assert all(str(broken[i]) in reason for i, reason in failed.items())


def test_pieces_lie_in_order_inside_the_input(folder, lines):
    model = Model.load(folder, device="cpu")
    for decoder in ("greedy", "beam"):
        for result in model.predict([str(lines / "train.tsv")], decoder=decoder):
            assert "".join(piece.text for piece in result.characters) == result.text
            edges = [edge for piece in result.characters for edge in (piece.start, piece.end)]
            assert edges == sorted(edges)
            assert all(0 <= edge <= result.sample.size for edge in edges)
            assert all(0 <= piece.confidence <= 1 for piece in result.characters + result.words)
            assert " ".join(word.text for word in result.words) == " ".join(result.text.split())


def test_alternatives_come_best_first(folder, lines):
    model = Model.load(folder, device="cpu")
    result = next(iter(model.predict([str(lines / "train.tsv")], n_best=4)))
    assert len(result.alternatives) == 3
    scores = [score for _, score in result.alternatives]
    assert scores == sorted(scores, reverse=True)
