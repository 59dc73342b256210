"""The documentation: its Python runs, its commands exist, and its links lead somewhere."""

import argparse
import importlib
import pkgutil
import re
import shlex
from pathlib import Path

import pytest

from lstmapps.cli.main import COMMANDS

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
PAGES += [*ROOT.glob("plugins/*/README.md"), *ROOT.glob("recipes/*/README.md")]
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)


def blocks(page, language):
    text = re.sub(r'--8<-- "(.*?)"', lambda m: (ROOT / m.group(1)).read_text(), page.read_text(encoding="utf-8"))
    return [code for found, code in BLOCK.findall(text) if found == language]


def drawings_of(page):
    """Run the Python of a page; return what it has drawn, by the names that it gives to it."""
    names: dict[str, object] = {}
    for code in blocks(page, "python"):
        exec(compile(code, str(page), "exec"), names)
    return {name: value for name, value in names.items() if isinstance(value, str) and value.startswith("<svg")}


WITH_PYTHON = [page for page in PAGES if blocks(page, "python")]


@pytest.mark.parametrize("page", WITH_PYTHON, ids=lambda page: str(page.relative_to(ROOT)))
def test_python_runs(page):
    drawn = set(drawings_of(page))
    assert drawn == set(re.findall(r"\]\(figures/(\w+)\.svg\)", page.read_text(encoding="utf-8")))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_commands_exist(page):
    for code in blocks(page, ""):
        for line in code.replace("\\\n", " ").splitlines():
            words = shlex.split(line, comments=True)
            if len(words) < 2 or words[0] != "lstmapps":
                continue
            assert words[1] in COMMANDS, line
            module = importlib.import_module(f"lstmapps.cli.{words[1]}")
            parser = argparse.ArgumentParser(allow_abbrev=False, exit_on_error=False)
            module.add_arguments(parser)
            _, rest = parser.parse_known_args(words[2:])
            settings = [word for word in rest if word.startswith("--")]
            assert all(
                re.match(r"--((data|model|trainer|optimisation)\.|seed_everything$|start$)", word) for word in settings
            ), line
            assert not settings or module.TAKES_OVERRIDES, line


def test_every_public_name_is_in_the_reference():
    page = (ROOT / "docs" / "reference.md").read_text()
    listed = [pkgutil.resolve_name(name) for name in re.findall(r"^::: (\S+)", page, re.MULTILINE)]
    rooms = ("nn", "ctc", "data", "text", "scores", "tasks", "training", "learning")
    for name in ("lstmapps", *(f"lstmapps.{room}" for room in rooms)):
        module = importlib.import_module(name)
        for public in module.__all__:
            value = getattr(module, public)
            shown = any(value is item or value in getattr(item, "__dict__", {}).values() for item in listed)
            assert shown, f"{name}.{public} is not in docs/reference.md"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page):
    for target in re.findall(r"\]\(([^)#]+)", page.read_text(encoding="utf-8")):
        if not target.startswith("https://"):
            assert (page.parent / target).exists(), target
