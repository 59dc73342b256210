"""`lstmapps test`: score a model on a part of its recipe's data, or on your own."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lstmapps.cli.progress import watch

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lstmapps.data import Disturbance
    from lstmapps.evaluation import Evaluation
    from lstmapps.scores import Measured

TAKES_OVERRIDES = True

_SHOWN = 80  # characters of what is read where there is nothing


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("model", help="a model's name or folder")
    parser.add_argument("--split", default="test", choices=("train", "validation", "test"), help="which part")
    parser.add_argument(
        "--decoder", help="how the network's output is read: greedy, beam, or another that the model has"
    )
    parser.add_argument("--int8", action="store_true", help="weights of eight bits: a decoder writes faster on a CPU")
    parser.add_argument("--recipe", help="the recipe whose data is used (default: the model's own)")
    parser.add_argument("--report", type=Path, help="write a report to this HTML file")
    parser.add_argument("--record", action="store_true", help="write the scores into the model's results.json")
    parser.add_argument("--skip-bad", action="store_true", help="go on without unusable samples")
    parser.add_argument("--baselines", action="store_true", help="score what needs no network too, and tell variety")
    parser.add_argument("--disturbed", action="store_true", help="score inputs that are noisy, askew or misspelt too")
    parser.add_argument("--json", action="store_true", help="print the result as one JSON object on the last line")
    parser.epilog = "Settings of the data can follow, as in --data.root DIR or --data.test FILE."


def run(arguments: argparse.Namespace) -> int:
    from lstmapps.baselines import baselines, variety
    from lstmapps.data import Problem
    from lstmapps.data.checks import refuse, text_problems
    from lstmapps.evaluation import evaluate, record
    from lstmapps.model import Model
    from lstmapps.package import package_folder
    from lstmapps.recipe import data_of, recipe_of
    from lstmapps.report import write_report
    from lstmapps.robustness import disturbances_of, disturbed, read_in_blanks

    model = Model.load(arguments.model, int8=arguments.int8)
    if arguments.disturbed:
        disturbances_of(model)
    data = data_of(model.config, arguments.recipe, arguments.overrides)
    samples = data.samples(arguments.split)
    problems = list(text_problems(samples, None))
    bad = {problem.id for problem in problems}
    samples = [sample for sample in samples if sample.id not in bad and not sample.blank]
    evaluation = evaluate(model, samples, arguments.decoder, watch)
    problems += [Problem(failure.sample.id, "unreadable", failure.reason) for failure in evaluation.failures]
    if not arguments.skip_bad or not evaluation.cases:
        refuse(problems)
    for problem in problems:
        print(f"left out: {problem.message}", file=sys.stderr)
    trivial = baselines(model, data, evaluation, watch) if arguments.baselines else {}
    plain = {name: {score: each.as_json() for score, each in scores.items()} for name, scores in trivial.items()}
    wild, blanks = {}, {}
    if arguments.disturbed:
        readable = [case.prediction.sample for case in evaluation.cases]
        wild, blanks = disturbed(model, readable, arguments.decoder, watch), read_in_blanks(model, arguments.decoder)
    read = {disturbance: under for disturbance, under in wild.items() if under.cases}
    if arguments.report:
        write_report(arguments.report, model, arguments.split, evaluation, group=data.group, disturbed=read)
    if arguments.record:
        record(model, arguments.split, evaluation, arguments.decoder)
        for name, metrics in plain.items():
            model.results[f"{arguments.split} ({name})"] = {"samples": len(evaluation.cases), "metrics": metrics}
        for disturbance, under in read.items():
            record(model, arguments.split, under, arguments.decoder, disturbance)
        model.save(package_folder(arguments.model))
    result: dict[str, Any] = {
        "model": model.name,
        "recipe": arguments.recipe or recipe_of(model.config, arguments.overrides),
        "split": arguments.split,
        "samples": len(evaluation.cases),
        "left_out": len(problems),
        "metrics": evaluation.metrics(),
    }
    if model.domain.reads_text:
        by_length = evaluation.by_length()
        result["by_length"] = {name: measured.as_json() for name, measured in by_length.items()}
    if (share := evaluation.pointing(model.domain)) is not None:
        result["attention_on_named"] = round(share, 4)
    if arguments.baselines:
        result["baselines"] = plain
        result["variety"] = variety(data, evaluation)
    if arguments.disturbed:
        result["disturbed"] = [_as_json(disturbance, under) for disturbance, under in wild.items()]
        result["read_in_blanks"] = blanks
    if arguments.json:
        print(json.dumps(result))
    else:
        _print(result, evaluation, trivial, wild)
    return 0


def _as_json(disturbance: Disturbance, under: Evaluation) -> dict[str, Any]:
    error = under.calibration_error()
    return {
        "name": disturbance.name,
        "strength": disturbance.strength,
        "unit": disturbance.unit,
        "left_out": len(under.failures),
        "metrics": under.metrics(),
        "calibration_error": None if error is None else round(error, 2),
        "confidence_of_words": {side: round(value, 2) for side, value in under.confidence_of_words().items()},
    }


def _print(
    result: dict[str, Any],
    evaluation: Evaluation,
    trivial: Mapping[str, Mapping[str, Measured]],
    wild: Mapping[Disturbance, Evaluation],
) -> None:
    print(f"{result['model']} on {result['samples']} samples of {result['recipe'] or 'your own'} ({result['split']})")
    for measured in evaluation.scores.values():
        counts = ", ".join(f"{name} {count}" for name, count in measured.details.items())
        print(f"{measured} (95 %: {measured.low:.2f} to {measured.high:.2f}){counts and f'; {counts}'}")
    if "attention_on_named" in result:
        print(f"{100 * result['attention_on_named']:.1f} % of the attention of words lies on what they name")
    for name, scores in trivial.items():
        print(f"{name}: {', '.join(map(str, scores.values()))}")
    if "variety" in result:
        print(", ".join(f"{name} {value:.2f} %" for name, value in result["variety"].items()))
    width = max((len(str(disturbance)) for disturbance in wild), default=0)
    for disturbance, under in wild.items():
        left_out = f", {len(under.failures)} left out" if under.failures else ""
        change = f" ({under.first.value - evaluation.first.value:+.2f})" if under.cases else ""
        print(f"{disturbance!s:{width}}  {under}{change}{left_out}")
    for name, text in result.get("read_in_blanks", {}).items():
        shown = "could not be read" if text is None else f"read as {text[:_SHOWN]!r}{'…' * (len(text) > _SHOWN)}"
        print(f"{name}: {'nothing is read, which is right' if text == '' else shown}")
