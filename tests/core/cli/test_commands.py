"""The command line: light to start, options anywhere, one line for every mistake."""

import importlib
import json
import subprocess
import sys
from itertools import chain
from pathlib import Path

import pytest

from lstmapps.cli.main import COMMANDS, main, parse

TINY = Path(__file__).parents[2] / "tiny.yaml"


@pytest.mark.parametrize("arguments", [["--help"], ["list"], ["--version"], ["predict", "--help"]])
def test_what_needs_no_torch_does_not_import_it(arguments):
    code = (
        "import sys, lstmapps.cli.main as m\n"
        f"try: m.main({arguments!r})\nexcept SystemExit: pass\n"
        "sys.exit('torch' in sys.modules or 'lightning' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, check=False).returncode == 0


def test_python_m_lstmapps():
    done = subprocess.run([sys.executable, "-m", "lstmapps", "--version"], capture_output=True, text=True, check=True)
    assert done.stdout.strip()


def test_every_command_tells_what_it_does(call):
    for command in COMMANDS:
        code, out, _ = call(command, "--help")
        assert code == 0
        assert COMMANDS[command].lower()[:10] in out.lower()


def test_list_shows_recipes(call):
    code, out, _ = call("list", "handwriting/*", "--json")
    assert code == 0
    names = {entry["name"] for entry in json.loads(out)["entries"]}
    assert {"handwriting/digits", "handwriting/peraire"} <= names


def test_list_is_a_table_of_what_each_is_for(call):
    code, out, _ = call("list", "speech/*")
    assert code == 0
    head, *rows = out.splitlines()
    an4 = next(row for row in rows if row.startswith("speech/an4 "))
    for title, cell in (("language", "en"), ("score", "CER"), ("size", "9."), ("what for", "Recognises")):
        assert an4[head.index(title) :].startswith(cell), (title, an4)
    assert next(row for row in rows if row.startswith("speech/timit"))[head.index("what for") :].strip()


def test_info_describes_models_and_recipes(call, model):
    code, out, _ = call("info", model, "--json")
    assert code == 0
    assert json.loads(out)["symbols"] == "0123456789"
    code, out, _ = call("info", TINY)
    assert code == 0
    assert "max_epochs" in out


def test_what_belongs_to_a_plugin_that_is_not_installed_says_how_to_get_it(call, monkeypatch):
    monkeypatch.setattr("lstmapps.plugins.installed", lambda: ({}, []))
    for arguments in (["predict", "speech/an4", "x"], ["train", "speech/an4"], ["info", "speech/an4"]):
        code, _, err = call(*arguments)
        assert code == 1
        assert "pip install lstmapps-speech" in err


def test_doctor_finds_no_fault(call):
    code, out, _ = call("doctor", "--json")
    assert (code, json.loads(out)["faults"]) == (0, [])


USAGE = [
    (["trian"], "there is no command 'trian'; did you mean 'train'?"),
    (["xyzzy"], "choose from list, train"),
    (["predict"], "required"),
    (["predict", "m", "i", "--oops"], "unrecognised arguments: --oops"),
]


@pytest.mark.parametrize(("arguments", "message"), USAGE)
def test_wrong_usage_exits_with_2(call, arguments, message):
    code, out, err = call(*arguments)
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


def test_a_choice_that_is_none_is_no_command(call):
    for arguments in (["test", "m", "--split", "tset"], ["tune", "m", "--units", "foo"]):
        code, _, err = call(*arguments)
        assert code == 2
        assert "there is no command" not in err
        assert arguments[-2] in err
        assert arguments[-1] in err


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
def test_a_mistake_is_one_line_without_a_traceback(call, monkeypatch, tmp_path, arguments, message):
    monkeypatch.chdir(tmp_path)
    code, out, err = call(*arguments)
    assert (code, out) == (1, "")
    assert message in err
    assert len(err.strip().split("\n")) == 1, err
    assert not list(tmp_path.iterdir())


def test_debug_shows_the_traceback():
    with pytest.raises(Exception, match="nothing"):
        main(["--debug", "predict", "handwriting/nothing", "x.png"])
