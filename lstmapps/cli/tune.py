"""`lstmapps tune`: give a model a language model, weighed on held-out samples."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from lstmapps.cli.progress import watch

TAKES_OVERRIDES = True


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("model", help="a model's name or folder")
    parser.add_argument("--output", type=Path, help="the new model's folder (default: one in runs/)")
    parser.add_argument("--text", type=Path, help="more texts for the language model, a line each")
    parser.add_argument("--units", choices=("characters", "words"), default="characters", help="what it counts")
    parser.add_argument("--order", type=int, help="how long its n-grams are (default: 6 characters, 3 words)")
    parser.add_argument("--recipe", help="the recipe whose data is used (default: the model's own)")
    parser.add_argument("--json", action="store_true", help="print the result as one JSON object on the last line")
    parser.epilog = "Settings of the data can follow, as in --data.root DIR."


def run(arguments: argparse.Namespace) -> int:
    from rich.console import Console

    from lstmapps.errors import UserError
    from lstmapps.model import Model
    from lstmapps.recipe import data_of
    from lstmapps.training import new_output
    from lstmapps.tuning import tune

    if arguments.order is not None and arguments.order < 1:
        raise UserError(f"--order is {arguments.order}; give 1 or more")
    console = Console(stderr=True)
    model = Model.load(arguments.model)
    data = data_of(model.config, arguments.recipe, arguments.overrides)
    texts = [sample.text for sample in data.samples("train") if sample.text]
    if arguments.text:
        try:
            lines = arguments.text.read_text(encoding="utf-8-sig").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            raise UserError(f"{arguments.text} is not a readable UTF-8 text ({error}); check the path") from None
        texts += [text for line in lines if (text := model.normalisation(line))]
    output = arguments.output or new_output(f"{model.name}-tuned")

    def report(line: str) -> None:
        console.print(line, highlight=False)

    held_out = [sample for sample in data.samples("validation") if sample.text]
    tuned = tune(model, texts, held_out, units=arguments.units, order=arguments.order, report=report, watch=watch)
    tuned.model.save(output)
    for name, evaluation in (("greedy", tuned.before), ("tuned", tuned.after)):
        report(f"{name:<7}{evaluation} on {len(evaluation.cases)} held-out samples")
    report(f"model:  {output}; read with it by --decoder beam")
    if arguments.json:
        result = {"model": str(output), "weight": tuned.weight, "bonus": tuned.bonus}
        print(json.dumps({**result, "before": tuned.before.metrics(), "after": tuned.after.metrics()}))
    return 0
