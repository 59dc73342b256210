"""How the tests of the command line call it, and a model that they share."""

from pathlib import Path

import pytest
from drawn import draw_lines

from lstmapps.cli.main import main

TINY = Path(__file__).parents[2] / "tiny.yaml"


@pytest.fixture
def call(capsys):
    """Return what runs a command, and gives its exit code and what it printed on both streams."""

    def run(*arguments):
        try:
            code = main([str(argument) for argument in arguments])
        except SystemExit as stop:
            code = stop.code
        printed = capsys.readouterr()
        return code, printed.out, printed.err

    return run


@pytest.fixture(scope="package")
def model(tmp_path_factory):
    """Return a model trained on drawn lines of figures, for all tests of this folder."""
    folder = tmp_path_factory.mktemp("cli")
    lines = draw_lines(folder / "lines", 24)
    arguments = ["train", TINY, "--output", folder / "run", f"--data.root={lines}", "--trainer.accelerator=cpu"]
    assert main([str(a) for a in arguments]) == 0
    assert (folder / "run" / "report.html").read_text().startswith("<!doctype html>")
    return folder / "run" / "model"
