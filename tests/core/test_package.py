"""The model package: what is written is read back, and nothing unsafe or damaged ever is."""

import gzip
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
from lstmapps.building import WEIGHTS
from lstmapps.errors import UserError
from lstmapps.language_model import ArpaFile, estimate, parse_arpa, write_arpa
from lstmapps.model import Model
from lstmapps.prediction import Failure
from lstmapps.training import train

TINY = Path(__file__).parents[1] / "tiny.yaml"
STORED = Path(__file__).parent / "stored"


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    from drawn import draw_lines

    folder = tmp_path_factory.mktemp("trained")
    lines = draw_lines(folder / "lines", 24)
    run = recipe.build(str(TINY), [f"--data.root={lines}", "--trainer.max_epochs=1", "--trainer.accelerator=cpu"])
    return train(run, folder / "run", resume=False, console=Console(quiet=True)).package


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


def test_matrices_may_be_kept_in_eight_bits(folder, tmp_path, monkeypatch):
    monkeypatch.setattr(package, "_SMALL", 8)
    exact = Model.load(folder)
    exact.save(tmp_path / "small", small=True)
    kept = load_file(tmp_path / "small" / WEIGHTS)
    matrices = [name for name, value in kept.items() if name + "/scale" in kept]
    assert matrices
    assert {kept[name].dtype for name in matrices} == {torch.int8}
    small = Model.load(tmp_path / "small")
    for name, value in exact.network.state_dict().items():
        near = small.network.state_dict()[name]
        step = value.abs().amax(dim=1, keepdim=True) / 127 if value.dim() == 2 else torch.tensor(1e-3)
        assert bool(((near - value).abs() <= 0.51 * step).all()), name
    small.save(tmp_path / "again")
    assert (tmp_path / "again" / WEIGHTS).stat().st_size == (tmp_path / "small" / WEIGHTS).stat().st_size
    again = Model.load(tmp_path / "again").network.state_dict()
    for name, value in small.network.state_dict().items():
        torch.testing.assert_close(again[name], value)
    save_file({name: value for name, value in kept.items() if name not in matrices}, tmp_path / "spoilt")
    (tmp_path / "spoilt").replace(tmp_path / "small" / WEIGHTS)
    with pytest.raises(UserError, match="damaged"):
        Model.load(tmp_path / "small")


def test_a_package_has_its_files_and_nothing_else(folder):
    expected = ["README.md", "config.yaml", "results.json", "vocabulary.json", "weights.safetensors"]
    assert sorted(path.name for path in folder.iterdir()) == expected
    assert set(expected) < set(package.FILES)
    weights = load_file(folder / "weights.safetensors")
    assert all(value.dtype == torch.float16 for value in weights.values() if value.is_floating_point())
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


def encoder(config):
    return config["network"]["init_args"]["encoder"]["init_args"]


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
    "no scores": (lambda f: edit_config(f, lambda c: c.pop("scores")), "lacks 'scores'"),
    "scores of no kind": (lambda f: edit_config(f, lambda c: c.update(scores=5)), "'scores' is no list of names"),
    "unknown score": (lambda f: edit_config(f, lambda c: c.update(scores=["cerr"])), "did you mean 'cer'"),
    "an empty list of scores": (lambda f: edit_config(f, lambda c: c.update(scores=[])), "no score is named"),
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
    "aliases": (
        lambda f: (f / "config.yaml").write_text("format: 1\na: &a [x, x]\nb: &b [*a, *a]\nc: [*b, *b]\n"),
        r"config\.yaml has YAML aliases",
    ),
    "very deep YAML": (lambda f: (f / "config.yaml").write_text("[" * 500_000), "nested more than 50 deep"),
    "very long YAML": (lambda f: (f / "config.yaml").write_text("x" * (2 << 20)), r"config\.yaml is larger than 1 MB"),
    "very deep JSON": (lambda f: (f / "vocabulary.json").write_text("[" * 100_000), r"vocabulary\.json is not a voc"),
    "a huge layer": (
        lambda f: edit_config(f, lambda c: encoder(c).update(hidden_size=2_000_000)),
        r"weights\.safetensors is smaller than the network",
    ),
    "very many layers": (
        lambda f: edit_config(f, lambda c: encoder(c).update(num_layers=2_000_000_000)),
        r"weights\.safetensors is smaller than the network",
    ),
    "a huge look-ahead": (
        lambda f: edit_config(f, lambda c: encoder(c).update(look_ahead=10**9)),
        r"weights\.safetensors is smaller than the network",
    ),
    "a layer of no size": (lambda f: edit_config(f, lambda c: encoder(c).update(hidden_size="x")), "cannot be built"),
    "no network at all": (
        lambda f: edit_config(f, lambda c: c.update(network={"class_path": "lstmapps.errors.UserError"})),
        "is no network",
    ),
    "no domain at all": (
        lambda f: edit_config(f, lambda c: c.update(domain={"class_path": "lstmapps.errors.UserError"})),
        "is no domain",
    ),
    "huge lines": (lambda f: edit_config(f, lambda c: c["domain"]["init_args"].update(height=10**9)), "1,000 pixels"),
    "a huge beam": (lambda f: edit_config(f, lambda c: c["decoder"].update(beam=10**9)), "the beam is 1000000000"),
    "an odd normalisation": (lambda f: edit_config(f, lambda c: c["normalisation"].update(x=1)), "cannot be used"),
    "a name with commands to the terminal": (
        lambda f: edit_config(f, lambda c: c.update(name="\x1b[2J")),
        "is no name",
    ),
    "markup in the results": (
        lambda f: (f / "results.json").write_text('{"training": {"epochs": "<script>alert(1)</script>"}}'),
        r"results\.json is not readable JSON \(the entry 'training' holds what is no number\)",
    ),
    "markup for a score": (
        lambda f: (f / "results.json").write_text(
            '{"test": {"samples": 1, "metrics": {"<b>": {"value": 1, "low": 1, "high": 1}}}}'
        ),
        "names of other than letters",
    ),
    "a score without numbers": (
        lambda f: (f / "results.json").write_text('{"test": {"samples": 1, "metrics": {"cer": {"value": "x"}}}}'),
        "no value, low and high",
    ),
    "a link out of the package": (
        lambda f: ((f / "results.json").unlink(), (f / "results.json").symlink_to("/etc/passwd")),
        r"results\.json is a link out of the package",
    ),
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


def test_a_language_model_that_unpacks_to_very_much_is_refused_quickly(folder, lines):
    with gzip.open(folder / package.LANGUAGE_MODEL, "wb", compresslevel=1) as file:
        for _ in range(200):
            file.write(b"x" * (1 << 20))
    edit_config(folder, lambda c: c["decoder"].update(language_model={"units": "characters", "weight": 1, "bonus": 0}))
    model = Model.load(folder)
    with pytest.raises(UserError, match=r"language_model\.arpa\.gz holds more than 50 MB"):
        list(model.predict([str(lines / "train.tsv")], decoder="beam"))


def test_a_language_model_is_parsed_once(folder, lines, monkeypatch):
    model = Model.load(folder)
    write_arpa(estimate([list("1234")], 2), folder / package.LANGUAGE_MODEL)
    content = (folder / package.LANGUAGE_MODEL).read_bytes()
    model.package.language_model = ArpaFile(content, folder / package.LANGUAGE_MODEL)
    model.config["decoder"]["language_model"] = {"units": "characters", "weight": 0.5, "bonus": 0.0}
    parsed = []
    monkeypatch.setattr("lstmapps.language_model.arpa.parse_arpa", lambda *a: parsed.append(a) or parse_arpa(*a))
    for _ in range(3):
        list(model.predict([str(lines / "train.tsv")], decoder="beam"))
    assert len(parsed) == 1


def test_a_hub_s_links_into_its_cache_are_followed(folder, tmp_path):
    blobs, snapshot = tmp_path / "cache" / "blobs", tmp_path / "cache" / "snapshots" / "abc"
    blobs.mkdir(parents=True)
    snapshot.mkdir(parents=True)
    for file in folder.iterdir():
        shutil.copy(file, blobs / file.name)
        (snapshot / file.name).symlink_to(Path("../../blobs") / file.name)
    assert Model.load(snapshot).name == "tests/tiny"


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("decoder", ["greedy", "beam"])
def test_a_network_reads_in_every_precision(folder, lines, dtype, decoder):
    model = Model.load(folder)
    expected = [result.text for result in model.predict([str(lines / "train.tsv")], decoder=decoder)]
    model.network.to(dtype)
    texts = [result.text for result in model.predict([str(lines / "train.tsv")], decoder=decoder)]
    assert len(texts) == len(expected)
    if dtype == torch.float64:
        assert texts == expected


def test_a_model_is_read_under_another_default_dtype(folder, lines):
    expected = [result.text for result in Model.load(folder).predict([str(lines / "train.tsv")])]
    torch.set_default_dtype(torch.float64)
    try:
        assert [result.text for result in Model.load(folder).predict([str(lines / "train.tsv")])] == expected
    finally:
        torch.set_default_dtype(torch.float32)


def test_whole_numbers_in_a_network_keep_their_values(folder, tmp_path):
    held = package.Package(Model.load(folder).config, {"count": torch.tensor(100_001)}, Model.load(folder).vocabulary)
    package.write(held, tmp_path / "copy")
    assert package.read(tmp_path / "copy").weights["count"].item() == 100_001


@pytest.mark.parametrize("name", ["speech/an4", "speech/an4-streaming"])
def test_the_statistics_of_shipped_models_are_learnt(name):
    assert int(lstmapps.load(name).network.frontend.learnt) >= 100_000


def test_the_old_package_stands_until_the_new_one_does(folder, monkeypatch):
    seen = []
    rename = Path.rename

    def watched(self, target):
        if Path(target) == folder:
            seen.append([path for path in folder.parent.iterdir() if (path / "config.yaml").exists()])
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", watched)
    Model.load(folder).save(folder)
    assert [len(packages) for packages in seen] == [2], "the old one, moved aside, and the new one"

    def refuse(self, target):
        if Path(target) == folder and ".old" not in self.name:
            raise OSError(28, "No space left on device")
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", refuse)
    with pytest.raises(UserError, match="could not be written"):
        Model.load(folder).save(folder)
    assert Model.load(folder).name == "tests/tiny"


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
    model.results["test"] = {
        "samples": 7,
        "metrics": {"cer": {"value": 12.345, "low": 10, "high": 15, "unit": "%"}},
    }
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


def test_results_that_would_not_be_read_again_are_not_written(folder):
    model = Model.load(folder)
    model.results["test (louder, clipped)"] = {"samples": 1, "metrics": {}}
    before = (folder / "results.json").read_text()
    with pytest.raises(ValueError, match="louder, clipped"):
        model.save(folder)
    assert (folder / "results.json").read_text() == before
