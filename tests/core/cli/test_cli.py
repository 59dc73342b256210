"""The command line: light to start, one line for every mistake, JSON for programs."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from drawn import draw_lines

from lstmapps.cli.main import COMMANDS, main

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
