"""`lstmapps test`: score a model on a part of its recipe's data, or on your own."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from lstmapps.cli.progress import watch

TAKES_OVERRIDES = True


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
    parser.add_argument("--json", action="store_true", help="print the result as one JSON object on the last line")
    parser.epilog = "Settings of the data can follow, as in --data.root DIR or --data.test FILE."


def run(arguments: argparse.Namespace) -> int:
    from lstmapps.baselines import baselines, variety
    from lstmapps.data import Problem
    from lstmapps.data.checks import refuse, text_problems
    from lstmapps.evaluation import evaluate, record
    from lstmapps.model import Model
    from lstmapps.package import package_folder
    from lstmapps.recipe import recipe_data
    from lstmapps.report import write_report

    model = Model.load(arguments.model, int8=arguments.int8)
    recipe = arguments.recipe or model.config["recipe"]
    data = recipe_data(recipe, arguments.overrides)
    samples = data.samples(arguments.split)
    problems = list(text_problems(samples, None))
    bad = {problem.id for problem in problems}
    evaluation = evaluate(model, [s for s in samples if s.id not in bad], arguments.decoder, watch)
    problems += [Problem(failure.sample.id, "unreadable", failure.reason) for failure in evaluation.failures]
    if not arguments.skip_bad or not evaluation.cases:
        refuse(problems)
    for problem in problems:
        print(f"left out: {problem.message}", file=sys.stderr)
    if arguments.report:
        write_report(arguments.report, model, arguments.split, evaluation, group=data.group)
    if arguments.record:
        record(model, arguments.split, evaluation, arguments.decoder)
        model.save(package_folder(arguments.model))
    trivial = baselines(model, data, evaluation, watch) if arguments.baselines else {}
    plain = {name: {score: each.as_json() for score, each in scores.items()} for name, scores in trivial.items()}
    if arguments.record and plain:
        for name, metrics in plain.items():
            model.results[f"{arguments.split} ({name})"] = {"samples": len(evaluation.cases), "metrics": metrics}
        model.save(package_folder(arguments.model))
    result = {
        "model": model.name,
        "recipe": recipe,
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
    if arguments.json:
        print(json.dumps(result))
        return 0
    print(f"{model.name} on {len(evaluation.cases)} samples of {recipe} ({arguments.split})")
    for measured in evaluation.scores.values():
        counts = ", ".join(f"{name} {count}" for name, count in measured.details.items())
        print(f"{measured} (95 %: {measured.low:.2f} to {measured.high:.2f}){counts and f'; {counts}'}")
    if share is not None:
        print(f"{100 * share:.1f} % of the attention of words lies on what they name")
    for name, scores in trivial.items():
        print(f"{name}: {', '.join(map(str, scores.values()))}")
    if arguments.baselines:
        print(", ".join(f"{name} {value:.2f} %" for name, value in result["variety"].items()))
    return 0
