"""`lstmapps list`: recipes and models of the installed plugins."""

from __future__ import annotations

import argparse
import fnmatch
import json
import shutil
import sys
from pathlib import Path
from typing import Any

from lstmapps.errors import escaped
from lstmapps.plugins import installed


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("pattern", nargs="?", default="*", help="show only names like this, e.g. 'handwriting/*'")
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def run(arguments: argparse.Namespace) -> int:
    plugins, broken = installed()
    rows = []
    for plugin in plugins.values():
        recipes, models = plugin.recipes(), plugin.models()
        for name in sorted(recipes.keys() | models.keys()):
            if fnmatch.fnmatch(name, arguments.pattern) or name.startswith(f"{arguments.pattern}/"):
                row: dict[str, Any] = {"name": name, "recipe": name in recipes, "model": name in models}
                rows.append(row | (_model_facts(models[name]) if name in models else _recipe_facts(recipes[name])))
    for plugin_broken in broken:
        print(f"the plugin {plugin_broken.name} {plugin_broken.reason}", file=sys.stderr)
    if arguments.json:
        print(json.dumps({"entries": rows, "broken": [vars(b) for b in broken]}))
        return 0
    if not plugins:
        print("no plugins are installed; try `pip install lstmapps-handwriting`", file=sys.stderr)
    _print_table(rows)
    return 0


def _model_facts(folder: Path) -> dict[str, Any]:
    """Return what a package's card and results tell, read as text: YAML takes longer to import than all the rest."""
    card = (folder / "README.md").read_text(encoding="utf-8").splitlines()
    language = next((line.partition(": ")[2] for line in card if line.startswith("language: ")), "")
    title = next((number for number, line in enumerate(card) if line.startswith("# ")), len(card))
    summary = next((line for line in card[title + 1 :] if line), "")
    results = json.loads((folder / "results.json").read_text(encoding="utf-8"))
    metrics = results.get("test", results.get("validation", {})).get("metrics", {})
    score = {name: [entry["value"], entry["unit"]] for name, entry in metrics.items()}
    size = sum(file.stat().st_size for file in folder.iterdir() if file.is_file())
    return {"summary": summary, "language": language, "score": score, "bytes": size}


def _recipe_facts(path: Path) -> dict[str, Any]:
    """Return what the comment at a recipe's top tells."""
    with path.open(encoding="utf-8") as file:
        first = file.readline()
    return {"summary": first.strip("# \n") if first.startswith("#") else ""}


def _print_table(rows: list[dict[str, Any]]) -> None:
    table = [("name", "there is", "language", "score", "size", "what for")]
    for row in rows:
        kinds = " and ".join(kind for kind in ("recipe", "model") if row[kind])
        score = next((f"{name.upper()} {value:.2f} {unit}" for name, (value, unit) in row.get("score", {}).items()), "")
        size = f"{row['bytes'] / 1e6:.1f} MB" if "bytes" in row else ""
        table.append((row["name"], kinds, row.get("language", ""), score, size, row["summary"]))
    widths = [max(len(line[column]) for line in table) for column in range(5)]
    room = shutil.get_terminal_size().columns if sys.stdout.isatty() else sys.maxsize
    for line in table if rows else []:
        cells = [cell.ljust(width) for cell, width in zip(line, widths, strict=False)]
        shown = escaped("  ".join((*cells, line[5]))).rstrip()
        print(shown if len(shown) <= room else shown[: room - 1] + "…")
