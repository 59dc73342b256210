"""`lstmapps check`: look through a recipe's data before training on it."""

from __future__ import annotations

import argparse
import json

TAKES_OVERRIDES = True


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("recipe", help="a recipe's name or file")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.epilog = "Settings of the recipe can follow, as in --data.root DIR or --data.train FILE."


def run(arguments: argparse.Namespace) -> int:
    from lstmapps import recipe

    made = recipe.build(arguments.recipe, arguments.overrides)
    data = made.data
    parts = [part for part in ("train", "validation", "test") if data.has(part)]
    data.skip_bad = True
    data.prepare(made.task.network.output_lengths, parts)
    if arguments.json:
        problems = [vars(problem) for problem in data.left_out]
        print(
            json.dumps({"recipe": made.name, "samples": {p: len(data.parts[p]) for p in parts}, "problems": problems})
        )
    else:
        for problem in data.left_out:
            print(f"{problem.kind}: {problem.message}")
        counts = ", ".join(f"{len(data.parts[part])} {part}" for part in parts)
        print(f"{made.name}: {counts} samples can be used; {len(data.left_out)} faults")
    return 1 if data.left_out else 0
