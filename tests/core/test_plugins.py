"""Plugins: found, refused by name when broken, and installable from a wheel beside the core."""

import subprocess
import sys
import venv
from importlib import metadata
from pathlib import Path

import pytest

from lstmapps import plugins
from lstmapps.plugins import Plugin, find, installed
from lstmapps.testing import check_plugin

ROOT = Path(__file__).parents[2]


class Entry:
    def __init__(self, name, value):
        self.name, self.value = name, value

    def load(self):
        if isinstance(self.value, Exception):
            raise self.value
        return self.value


def announce(monkeypatch, *entries):
    monkeypatch.setattr(metadata, "entry_points", lambda **_: list(entries))


def plugin(name="made", core=">=0.1,<0.2"):
    return Plugin(name, "A plugin made for a test.", "lstmapps.domain:Made", core)


def test_broken_plugins_never_stop_the_others(monkeypatch):
    announce(
        monkeypatch,
        Entry("good", plugin("good")),
        Entry("new", plugin("new", ">=9")),
        Entry("lost", ImportError("no module named lost")),
        Entry("odd", 3),
    )
    usable, broken = installed()
    assert list(usable) == ["good"]
    reasons = {b.name: b.reason for b in broken}
    assert "needs lstmapps >=9" in reasons["new"]
    assert "no module named lost" in reasons["lost"]
    assert "not a Plugin" in reasons["odd"]
    with pytest.raises(plugins.UserError, match="belongs to the plugin new, which needs"):
        find("model", "new/thing")


@pytest.mark.parametrize(
    ("version", "requirement", "usable"),
    [("0.1.0", ">=0.1,<0.2", True), ("0.2.0", ">=0.1,<0.2", False), ("0.10.0", ">=0.9", True), ("1.1rc1", ">=1", True)],
)
def test_a_plugin_is_used_with_the_versions_it_names(monkeypatch, version, requirement, usable):
    announce(monkeypatch, Entry("made", plugin("made", requirement)))
    monkeypatch.setattr(plugins, "core_version", lambda: version)
    assert ("made" in installed()[0]) is usable


def test_a_plugin_with_an_unreadable_requirement_is_broken(monkeypatch):
    announce(monkeypatch, Entry("made", plugin("made", "about 1")))
    _, (broken,) = installed()
    assert "about 1" in broken.reason


def test_our_own_plugins_keep_the_contract(lines):
    usable, broken = installed()
    assert not broken
    check_plugin(usable["handwriting"], str(lines / "train.tsv"))


def test_recipes_and_models_are_found_by_name():
    assert find("recipe", "handwriting/digits").name == "digits.yaml"
    with pytest.raises(plugins.UserError, match="did you mean 'handwriting/digits'"):
        find("recipe", "handwriting/digit")
    with pytest.raises(plugins.UserError, match="make one with `lstmapps train handwriting/french`"):
        find("model", "handwriting/french")


def run(*command, cwd=None):
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True, check=False, cwd=cwd)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_a_plugin_from_elsewhere_is_installed_from_its_wheel(tmp_path):
    """Core and a tiny plugin as wheels in a clean environment; only what they depend on comes from here."""
    sources = (ROOT, ROOT / "plugins" / "handwriting", Path(__file__).parent / "shapes")
    for source in sources:
        run(sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", tmp_path / "wheels", cwd=source)
    environment = tmp_path / "environment"
    venv.create(environment, with_pip=False)
    python = environment / "bin" / "python"
    site = next((environment / "lib").glob("python*")) / "site-packages"
    (site / "dependencies.pth").write_text(metadata.distribution("torch").locate_file("").as_posix() + "\n")
    wheels = sorted((tmp_path / "wheels").glob("*.whl"))
    pip = [sys.executable, "-m", "pip", "--python", python]
    run(*pip, "install", "--quiet", "--no-deps", "--no-index", *wheels)

    listed = run(python, "-m", "lstmapps.cli.main", "list", cwd=tmp_path)
    assert "handwriting/peraire" in listed
    assert "shapes/strokes" in listed
    example = tmp_path / "strokes.txt"
    example.write_text("///\n//\\\n")
    check = f"""
import lstmapps, lstmapps.plugins as p, lstmapps.testing as t
assert {str(site)!r} in lstmapps.__file__, lstmapps.__file__
t.check_plugin(p.installed()[0]["shapes"], {str(example)!r})
"""
    run(python, "-c", check, cwd=tmp_path)
    output = tmp_path / "run"
    held_out = tmp_path / "held_out.txt"
    held_out.write_text("/\\/\n")
    overrides = [f"--data.train={example}", f"--data.validation={held_out}", "--trainer.accelerator=cpu"]
    run(python, "-m", "lstmapps.cli.main", "train", "shapes/strokes", "--output", output, *overrides, cwd=tmp_path)
    assert "strokes" in run(python, "-m", "lstmapps.cli.main", "predict", output / "model", example, cwd=tmp_path)

    run(*pip, "uninstall", "--quiet", "--yes", "shapes")
    listed = run(python, "-m", "lstmapps.cli.main", "list", cwd=tmp_path)
    assert "handwriting/peraire" in listed
    assert "shapes" not in listed
