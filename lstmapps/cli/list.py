"""`lstmapps list`: recipes and models of the installed plugins."""

from __future__ import annotations

import argparse
import fnmatch
import json
import sys

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
            if fnmatch.fnmatch(name, arguments.pattern):
                rows.append({"name": name, "recipe": name in recipes, "model": name in models})
    for plugin_broken in broken:
        print(f"the plugin {plugin_broken.name} {plugin_broken.reason}", file=sys.stderr)
    if arguments.json:
        print(json.dumps({"entries": rows, "broken": [vars(b) for b in broken]}))
        return 0
    if not plugins:
        print("no plugins are installed; try `pip install lstmapps-handwriting`", file=sys.stderr)
    width = max((len(str(row["name"])) for row in rows), default=0)
    for row in rows:
        kinds = [kind for kind in ("recipe", "model") if row[kind]]
        print(f"{row['name']:<{width}}  {', '.join(kinds)}")
    return 0
