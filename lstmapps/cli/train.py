"""`lstmapps train`: train a recipe into a folder."""

from __future__ import annotations

import argparse
import json
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lightning import Trainer
    from rich.console import Console

    from lstmapps.report.section import Section

TAKES_OVERRIDES = True


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("recipe", help="a recipe's name or file")
    parser.add_argument("--output", type=Path, help="the run's folder (default: runs/<recipe>)")
    parser.add_argument("--resume", action="store_true", help="continue the run in --output")
    parser.add_argument("--skip-bad", action="store_true", help="go on without unusable samples")
    parser.add_argument("--json", action="store_true", help="print the result as one JSON object on the last line")
    parser.epilog = "Any setting of the recipe can follow, as in --trainer.max_epochs 5 or --data.root DIR."


def run(arguments: argparse.Namespace) -> int:
    from rich.console import Console

    from lstmapps.evaluation import conclude
    from lstmapps.experiment import is_experiment
    from lstmapps.recipe import build, recipe_file
    from lstmapps.report import write_report
    from lstmapps.training import Interrupted, new_output, train

    console = Console(stderr=True)
    overrides = arguments.overrides + (["--data.skip_bad=true"] if arguments.skip_bad else [])
    output = arguments.output or new_output(recipe_file(arguments.recipe)[0])
    try:
        if is_experiment(arguments.recipe):
            return _experiment(arguments, overrides, output, console)
        made = build(arguments.recipe, overrides, output=output, console=console)
        trained = train(made, output, resume=arguments.resume, console=console)
    except Interrupted:
        command = shlex.join(["lstmapps", "train", arguments.recipe, "--output", str(output), "--resume", *overrides])
        print(f"interrupted; everything is saved, continue with: {command}", file=sys.stderr)
        return 130
    if not made.trainer.is_global_zero:
        return 0
    model, evaluation = conclude(trained.package, trained.validation)
    shown = _watched(made.trainer)
    history, group = trained.history, made.data.group
    write_report(output / "report.html", model, "validation", evaluation, history, group, further=shown)
    first = evaluation.first
    console.print(f"validation {first} ({first.low:.2f} to {first.high:.2f})", highlight=False)
    console.print(f"model:  {trained.package}\nreport: {output / 'report.html'}", highlight=False)
    if arguments.json:
        result = {"recipe": made.name, "model": str(trained.package), "report": str(output / "report.html")}
        print(json.dumps(result | {"metrics": evaluation.metrics()}))
    return 0


def _experiment(arguments: argparse.Namespace, overrides: list[str], output: Path, console: Console) -> int:
    """Run a recipe that leaves no package."""
    from lstmapps.experiment import build_experiment, run_experiment
    from lstmapps.report import write_experiment

    made = build_experiment(arguments.recipe, overrides, output=output, console=console)
    outcome = run_experiment(made, output, resume=arguments.resume)
    if not made.trainer.is_global_zero:
        return 0
    report = output / "report.html"
    shown: list[Section] = [*getattr(made.task, "sections", list)(), *_watched(made.trainer)]
    write_experiment(report, made.name, made.card.get("summary", ""), outcome.results, outcome.history, shown)
    figures = ", ".join(f"{name.replace('_', ' ')} {value:g}" for name, value in outcome.results["test"].items())
    training = outcome.results["training"]
    console.print(f"{training['steps']:g} steps in {training['seconds']:.0f} s; test: {figures}", highlight=False)
    console.print(f"results: {output / 'results.json'}\nreport:  {report}", highlight=False)
    if arguments.json:
        print(json.dumps({"recipe": made.name, "report": str(report), **outcome.results}))
    return 0


def _watched(trainer: Trainer) -> list[Section]:
    """Return what a trainer has seen of gates, if it watched any."""
    from lstmapps.learning import WatchGates
    from lstmapps.report import gates_shown

    callbacks: list[object] = trainer.callbacks  # type: ignore[attr-defined]
    return [section for each in callbacks if isinstance(each, WatchGates) for section in gates_shown(each)]
