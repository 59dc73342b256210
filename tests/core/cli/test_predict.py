"""`predict`: a line for each input in its order, files in every form, and one bad input stops no other."""

import json
import os
import subprocess
import sys

import pytest
from lstmapps_handwriting.domain import Handwriting

from lstmapps.cli.main import main


def test_prediction_imports_no_lightning(model, lines):
    code = (
        "import sys, lstmapps.cli.main as m\n"
        f"assert m.main(['predict', {str(model)!r}, {str(lines)!r}]) == 0\n"
        "sys.exit(any(name in sys.modules for name in ('lightning', 'jsonargparse', 'rich')))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_predict_prints_a_line_for_each_input(call, model, lines):
    pictures = sorted(str(path) for path in lines.glob("*.png"))[:5]
    code, out, _ = call("predict", model, *pictures)
    assert code == 0
    assert [line.split("\t")[0] for line in out.splitlines()] == pictures


def test_predict_takes_its_options_anywhere(call, model, lines):
    pictures = sorted(str(path) for path in lines.glob("*.png"))[:3]
    expected = call("predict", model, *pictures, "--decoder", "beam", "--json")
    assert expected[0] == 0
    first, second, third = pictures
    assert call("predict", "--decoder", "beam", model, first, "--json", second, third) == expected
    assert call("predict", model, "--json", "--decoder", "beam", first, second, third) == expected
    assert call("--json", "predict", model, first, second, "--decoder=beam", third) == expected


def test_inputs_come_from_standard_input(call, model, lines, monkeypatch):
    pictures = sorted(str(path) for path in lines.glob("*.png"))[:2]
    monkeypatch.setattr("sys.stdin", iter(f"{path}\n" for path in pictures))
    code, out, _ = call("predict", model, "-")
    assert code == 0
    assert [line.split("\t")[0] for line in out.splitlines()] == pictures


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


def test_predict_goes_on_after_a_bad_input(call, model, lines, tmp_path):
    pictures = sorted(str(path) for path in lines.glob("*.png"))[:3]
    (tmp_path / "bad.png").write_bytes(b"")
    code, out, err = call("predict", model, pictures[0], tmp_path / "bad.png", "gone.tsv", pictures[1], "--json")
    assert code == 1
    assert [line.split("\t")[0] for line in out.splitlines()[:-1]] == [pictures[0], pictures[1]]
    assert json.loads(out.splitlines()[-1]) == {"model": "tests/tiny", "inputs": 4, "failed": 2}
    assert "bad.png" in err
    assert "gone.tsv" in err


def test_a_bad_line_of_a_list_is_named_and_the_rest_read(call, model, lines):
    names = sorted(path.name for path in lines.glob("*.png"))[:2]
    (lines / "m.jsonl").write_text(f'{{"image": "{names[0]}", "text": 5}}\n{{"image": 3}}\n{{"image": "{names[1]}"}}\n')
    code, out, err = call("predict", model, lines / "m.jsonl")
    assert code == 1
    assert [line.split("\t")[0] for line in out.splitlines()] == names
    assert f"{lines / 'm.jsonl'}:2" in err


def test_what_nobody_foresaw_is_the_failure_of_its_input_alone(call, model, lines, monkeypatch):
    pictures = sorted(str(path) for path in lines.glob("*.png"))[:4]
    loaded = Handwriting.load

    def load(self, sample):
        if sample.id == pictures[1]:
            raise ZeroDivisionError("nobody\nforesaw this")
        if sample.id == pictures[2]:
            return loaded(self, sample)[:, :9]  # the network cannot take it
        return loaded(self, sample)

    monkeypatch.setattr(Handwriting, "load", load)
    code, out, err = call("predict", model, *pictures)
    assert code == 1
    assert [line.split("\t")[0] for line in out.splitlines()] == [pictures[0], pictures[3]]
    first, second, summary = err.splitlines()
    assert first.startswith(f"{pictures[1]} cannot be used (ZeroDivisionError: nobody foresaw this)")
    assert pictures[2] in second
    assert "2 of 4" in summary
    _, _, err = call("predict", model, *pictures, "--debug")
    assert "Traceback" in err
    monkeypatch.setattr(Handwriting, "load", lambda self, sample: (_ for _ in ()).throw(MemoryError()))
    with pytest.raises(MemoryError):
        main(["predict", str(model), *pictures])


@pytest.mark.parametrize("form", ["jsonl", "page", "alto"])
def test_predict_writes_other_forms_to_a_file(call, model, lines, tmp_path, form):
    picture = sorted(lines.glob("*.png"))[0]
    code, out, _ = call("predict", model, picture, "--format", form, "--output", tmp_path / "out")
    assert (code, out) == (0, "")
    assert picture.name in (tmp_path / "out").read_text()
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith("out")] == ["out"]


def test_a_document_for_each_picture_goes_into_a_folder(call, model, lines, tmp_path):
    (lines / "again").mkdir()
    first, second = sorted(lines.glob("*.png"))[:2]
    twin = lines / "again" / first.name
    twin.write_bytes(first.read_bytes())
    pictures = [first, second, twin]
    code, _, err = call("predict", model, *pictures, "--format", "page")
    assert code == 1
    assert f"{second} needs a document of its own; give a folder, --output FOLDER/" in err
    folder = f"{tmp_path / 'read'}/"
    code, _, _ = call("predict", model, *pictures, "--format", "page", "--output", folder)
    assert code == 0
    written = {path.name: path.read_text() for path in (tmp_path / "read").iterdir()}
    assert set(written) == {f"{first.stem}.xml", f"{second.stem}.xml", f"{first.stem}-2.xml"}
    assert second.name in written[f"{second.stem}.xml"]


def test_a_wrong_form_gets_a_suggestion(call, model):
    code, _, err = call("predict", model, "x.png", "--format", "pages")
    assert code == 1
    assert "did you mean 'page'" in err
