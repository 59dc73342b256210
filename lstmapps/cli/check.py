"""`lstmapps check`: look through a recipe's data before training on it."""

from __future__ import annotations

import argparse
import json

from lstmapps.cli.progress import watch
from lstmapps.errors import UserError, escaped

TAKES_OVERRIDES = True


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("recipe", help="a recipe's name or file")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.epilog = "Settings of the recipe can follow, as in --data.root DIR or --data.train FILE."


def run(arguments: argparse.Namespace) -> int:
    from lstmapps import recipe
    from lstmapps.data.checks import odd_samples

    made = recipe.build(arguments.recipe, arguments.overrides)
    data = made.data
    parts = [part for part in ("train", "validation", "test") if data.has(part)]
    data.skip_bad = True
    try:
        data.prepare(made.task.network.room, parts, watch=watch)
    except UserError:
        if not data.left_out:  # else the faults below tell why a part is empty
            raise
    odd = [problem for part in parts for problem in odd_samples(data.parts[part])]
    odd += [problem for part in parts for problem in data.domain.doubts(data.parts[part])]
    if arguments.json:
        result = {
            "recipe": made.name,
            "samples": {part: len(data.parts[part]) for part in parts},
            "problems": [vars(problem) for problem in data.left_out],
            "odd": [vars(problem) for problem in odd],
        }
        print(json.dumps(result))
    else:
        for problem in (*data.left_out, *odd):
            print(f"{problem.kind}: {escaped(problem.message)}")
        counts = ", ".join(f"{len(data.parts[part])} {part}" for part in parts)
        print(f"{made.name}: {counts} samples can be used; {len(data.left_out)} faults, {len(odd)} odd ones")
    return 1 if data.left_out else 0
