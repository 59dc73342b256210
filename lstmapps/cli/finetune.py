"""`lstmapps finetune`: train a model further on your own data."""

from __future__ import annotations

import argparse
import json
import shlex
import sys
from pathlib import Path

TAKES_OVERRIDES = True


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("model", help="a model's name or folder")
    parser.add_argument("--output", type=Path, required=True, help="the run's folder; the model lies in its model/")
    parser.add_argument("--resume", action="store_true", help="continue the run in --output")
    parser.add_argument("--skip-bad", action="store_true", help="go on without unusable samples")
    parser.add_argument("--json", action="store_true", help="print the result as one JSON object on the last line")
    parser.epilog = "Name the data with --data.train FILE; --data.…, --trainer.… and --optimisation.… settings follow."


def run(arguments: argparse.Namespace) -> int:
    from rich.console import Console

    from lstmapps.finetuning import finetune
    from lstmapps.model import Model
    from lstmapps.report import write_report
    from lstmapps.training import Interrupted

    console = Console(stderr=True)
    overrides = arguments.overrides + (["--data.skip_bad=true"] if arguments.skip_bad else [])
    model = Model.load(arguments.model)
    try:
        tuned = finetune(model, overrides, arguments.output, resume=arguments.resume, console=console)
    except Interrupted:
        words = ["lstmapps", "finetune", arguments.model, "--output", str(arguments.output), "--resume", *overrides]
        command = shlex.join(words)
        print(f"interrupted; everything is saved, continue with: {command}", file=sys.stderr)
        return 130
    if tuned is None:
        return 0
    report = arguments.output / "report.html"
    write_report(report, tuned.model, "validation", tuned.after, tuned.trained.history)
    for when, evaluation in (("before", tuned.before), ("after", tuned.after)):
        console.print(f"{when:<7}{evaluation} on {len(evaluation.cases)} held-out samples", highlight=False)
    console.print(f"model:  {tuned.trained.package}\nreport: {report}", highlight=False)
    if arguments.json:
        result = {"model": str(tuned.trained.package), "symbols": str(tuned.change), "report": str(report)}
        result |= {"before": tuned.before.metrics(), "after": tuned.after.metrics()}  # type: ignore[dict-item]
        print(json.dumps(result, ensure_ascii=False))
    return 0
