"""`lstmapps score`: tell how probable known texts are."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterable
from typing import TYPE_CHECKING, TextIO

from lstmapps.cli.progress import watch
from lstmapps.errors import escaped

if TYPE_CHECKING:
    from lstmapps.prediction import Prediction


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("model", help="a model's name or folder")
    parser.add_argument("inputs", nargs="+", metavar="INPUT", help="tables or folders of inputs with their texts")
    parser.add_argument("--format", choices=("text", "jsonl"), default="text", help="score and input, or all of it")
    parser.add_argument("--json", action="store_true", help="print a summary as one JSON object on the last line")


def run(arguments: argparse.Namespace) -> int:
    from lstmapps.model import Model
    from lstmapps.prediction import Failure, Prediction, write_jsonl

    model = Model.load(arguments.model)
    counts = {"inputs": 0, "failed": 0}
    total = 0.0

    def scored() -> Iterable[Prediction]:
        nonlocal total
        results = model.score(arguments.inputs)
        for result in results if sys.stdout.isatty() else watch(results, None, "score"):
            counts["inputs"] += 1
            if isinstance(result, Failure):
                counts["failed"] += 1
                print(escaped(result.reason), file=sys.stderr)
                result = Prediction(result.sample, "", 0.0)
            total += result.score or 0.0
            yield result

    write = write_jsonl if arguments.format == "jsonl" else _write_scores
    write(scored(), sys.stdout)
    if arguments.json:
        print(json.dumps({"model": model.name, **counts, "mean": total / max(1, counts["inputs"] - counts["failed"])}))
    return 1 if counts["failed"] else 0


def _write_scores(predictions: Iterable[Prediction], file: TextIO) -> None:
    """Write `score<TAB>input` a line; no score where there is none."""
    for prediction in predictions:
        score = "" if prediction.score is None else f"{prediction.score:.4f}"
        file.write(f"{score}\t{escaped(prediction.sample.id)}\n")
