"""`lstmapps info`: describe a model, or a recipe where there is no model of that name."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from lstmapps.errors import UserError, escaped

_SHOWN = 500  # characters of all symbols


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", help="a model's or recipe's name, folder or file")
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def run(arguments: argparse.Namespace) -> int:
    from lstmapps.plugins import installed

    plugins, _ = installed()
    recipes = {name: path for plugin in plugins.values() for name, path in plugin.recipes().items()}
    models = {name for plugin in plugins.values() for name in plugin.models()}
    name = arguments.name
    if name not in models and (name in recipes or name.endswith((".yaml", ".yml"))):
        path = recipes.get(name, Path(name))
        if not path.is_file():
            raise UserError(f"there is no recipe at {path}; check the path, or see `lstmapps list`")
        text = path.read_text(encoding="utf-8")
        print(json.dumps({"recipe": name, "file": str(path)}) if arguments.json else f"{path}\n\n{text}", end="")
        return 0
    from lstmapps.model import Model
    from lstmapps.prediction import FORMATS

    model = Model.load(name)
    facts: dict[str, Any] = {
        "model": model.name,
        "recipe": model.config.get("recipe"),
        "parameters": sum(parameter.numel() for parameter in model.network.parameters()),
        "symbols": (" " if model.vocabulary.is_subword else "").join(model.vocabulary.symbols),
        "formats": list(FORMATS | model.domain.formats()),
        "results": model.results,
    }
    if arguments.json:
        print(json.dumps(facts))
        return 0
    rows = [
        ("model", facts["model"] + (f", from the recipe {facts['recipe']}" if facts["recipe"] else "")),
        ("parameters", f"{facts['parameters']:,}"),
        ("symbols", facts["symbols"] if len(facts["symbols"]) < _SHOWN else f"{facts['symbols'][:_SHOWN]}…"),
        ("formats", ", ".join(facts["formats"])),
    ]
    for part, scores in model.results.items():
        for metric, value in scores.get("metrics", {}).items():
            measured = f"{metric.upper()} {value['value']:5.2f} {value['unit']}".rstrip()
            interval = f"({value['low']:.2f} to {value['high']:.2f})"
            rows.append((part, f"{measured} {interval}, {scores['samples']} samples"))
    width = max(len(name) for name, _ in rows)
    for name, text in rows:
        print(escaped(f"{name:<{width}}  {text}"))
    return 0
