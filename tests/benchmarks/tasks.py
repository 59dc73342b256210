"""The early tasks by many seeds and networks, in one table: `python -m tests.benchmarks.tasks [TASK …] [--seeds N]`.

Every run is a recipe with a few settings and leaves its results in `runs/tasks`; one that is there is not repeated.
Chance is the probability that a task's first network be as much better than this one if nothing but seeds told them
apart (one-sided rank-sum test; Mann & Whitney 1947).
"""

import argparse
import itertools
import json
import statistics
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from scipy.stats import mannwhitneyu

from lstmapps.experiment import build_experiment, run_experiment
from lstmapps.training import CHECKPOINT

RUNS = Path("runs/tasks")
Figures = dict[str, float]


@dataclass(frozen=True)
class Trial:
    """A recipe with settings. figure: what of its test is told; solved: whether that is enough."""

    network: str
    recipe: str
    settings: tuple[str, ...] = ()
    figure: str = "right"
    solved: Callable[[float], bool] = lambda right: right == 100
    best: Callable[[list[float]], float] = max


def layer(name: str, **settings: object) -> tuple[str, ...]:
    """Return the settings of a recipe that put another layer in its place."""
    place = "--model.init_args.layer"
    given = [part for key, value in settings.items() for part in (f"{place}.{key}", str(value).lower())]
    return (place, f"lstmapps.nn.{name}", *given)


def elman(inputs: int, hidden: int) -> tuple[str, ...]:
    return (*layer("RNN", input_size=inputs, hidden_size=hidden), "--model.init_args.lag", "null")


def long(steps: int, lag: bool = True) -> tuple[str, ...]:
    settings = ("--data.init_args.problem.init_args.length", str(steps))
    return (*settings, "--model.init_args.lag", str(steps)) if lag else settings


def parity_of(bits: int) -> tuple[str, ...]:
    """Return the settings that train on up to fifty bits, as the recipe does, and validate and test on so many."""
    tested = itertools.product(("validation", "test"), ("shortest", "longest"))
    return tuple(word for part, end in tested for word in (f"--data.init_args.{part}.init_args.{end}", str(bits)))


def one_cell(peepholes: bool) -> tuple[str, ...]:
    """Return the settings of spike delays that a single cell measures, in shorter streams, for 2,000 steps."""
    place = "--model.init_args.layer.init_args"
    cell = (f"{place}.hidden_size", "1", f"{place}.peepholes", str(peepholes).lower())
    return (*cell, "--data.init_args.problem.init_args.spikes", "4", "--trainer.max_epochs", "10")


def small(error: float) -> bool:
    return error < 0.01


def nearly(right: float) -> bool:
    return right > 99


FAR = {"figure": "right_up_to", "solved": lambda n: n >= 100}
SQUARED = {"figure": "loss", "solved": small, "best": min}
ENDLESS = {"figure": "right_symbols", "solved": lambda symbols: symbols == 100_000}
FORWARDS = ("--model.init_args.rule", "1997 online")
STACKED = {"input_size": 1, "hidden_size": 32, "num_layers": 2}
TASKS = {
    "embedded Reber grammar": (
        Trial("LSTM", "reber"),
        Trial("1997, its rule forwards", "reber", (*layer("LSTM", variant="1997"), *FORWARDS)),
        Trial("Elman", "reber", elman(7, 16)),
    ),
    "continual Reber grammar": (
        Trial("LSTM", "continual-reber", **ENDLESS),
        Trial("1997, no forget gates", "continual-reber", layer("LSTM", variant="1997"), **ENDLESS),
        Trial("Elman", "continual-reber", elman(7, 24), **ENDLESS),
    ),
    "continual Reber, learnt online": (
        Trial("2000, forget gates", "continual-reber-online", **ENDLESS),
        Trial("1997, no forget gates", "continual-reber-online", layer("LSTM", variant="1997"), **ENDLESS),
    ),
    "adding, 100": (
        Trial("LSTM", "adding", **SQUARED),
        Trial("Elman", "adding", elman(2, 32), **SQUARED),
    ),
    "adding, 500": (
        Trial("LSTM", "adding", long(500), **SQUARED),
        Trial("Elman", "adding", (*long(500, lag=False), *elman(2, 32)), **SQUARED),
    ),
    "adding, 1000": (Trial("LSTM", "adding", long(1000), **SQUARED),),
    "temporal order, 100": (
        Trial("LSTM", "temporal-order", solved=nearly),
        Trial("Elman", "temporal-order", elman(8, 16), solved=nearly),
    ),
    "temporal order, 500": (
        Trial("LSTM", "temporal-order", long(500), solved=nearly),
        Trial("Elman", "temporal-order", (*long(500, lag=False), *elman(8, 16)), solved=nearly),
    ),
    "temporal order of three, 100": (
        Trial("LSTM", "temporal-order-3", solved=nearly),
        Trial("Elman", "temporal-order-3", elman(8, 16), solved=nearly),
    ),
    "temporal order of three, 500": (Trial("LSTM", "temporal-order-3", long(500), solved=nearly),),
    "noise-free, 100": (Trial("LSTM, NOAF", "noise-free"), Trial("Elman", "noise-free", elman(102, 16))),
    "a^n b^n": (
        Trial("LSTM, peepholes", "counting-ab", **FAR),
        Trial("LSTM", "counting-ab", ("--model.init_args.layer.init_args.peepholes", "false"), **FAR),
        Trial("Elman", "counting-ab", elman(3, 4), **FAR),
    ),
    "a^n b^n c^n": (
        Trial("LSTM, peepholes", "counting-abc", **FAR),
        Trial("LSTM", "counting-abc", ("--model.init_args.layer.init_args.peepholes", "false"), **FAR),
        Trial("Elman", "counting-abc", elman(4, 6), **FAR),
    ),
    "spike delays": (
        Trial("LSTM, peepholes", "spikes"),
        Trial("LSTM", "spikes", ("--model.init_args.layer.init_args.peepholes", "false")),
        Trial("Elman", "spikes", elman(1, 8)),
    ),
    "spike delays, one cell": (
        Trial("LSTM, peepholes", "spikes", one_cell(True), solved=nearly),
        Trial("LSTM", "spikes", one_cell(False), solved=nearly),
    ),
    "parity of 50 bits": (
        Trial("Grid LSTM, 2 layers", "parity", solved=nearly),
        Trial("stacked LSTM, 2 layers", "parity", layer("LSTM", **STACKED), solved=nearly),
    ),
    "parity of 250 bits, trained on 50": (
        Trial("Grid LSTM, 2 layers", "parity", parity_of(250), solved=nearly),
        Trial("stacked LSTM, 2 layers", "parity", (*parity_of(250), *layer("LSTM", **STACKED)), solved=nearly),
    ),
}


def run(task: str, trial: Trial, seed: int) -> tuple[Figures, Figures]:
    """Return what a run has measured, and its steps and seconds; one that is there is read."""
    name = "-".join(f"{task} {trial.network} {seed}".replace(",", "").replace("^", "").split())
    folder = RUNS / name
    results = folder / "results.json"
    if not results.exists():
        overrides = [*trial.settings, "--seed_everything", str(seed)]
        experiment = build_experiment(f"foundations/{trial.recipe}", overrides, output=folder)
        run_experiment(experiment, folder, resume=(folder / CHECKPOINT).exists())
    read = json.loads(results.read_text(encoding="utf-8"))
    return read["test"], read["training"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("tasks", nargs="*", help="beginnings of names of tasks; all unless given")
    parser.add_argument("--seeds", type=int, default=10)
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    print("| task | network | solved | best | median | chance | steps | seconds |")
    print("|---|---|---|---|---|---|---|---|")
    for task, trials in TASKS.items():
        if chosen.tasks and not task.startswith(tuple(chosen.tasks)):
            continue
        first: list[float] = []
        for trial in trials:
            runs = [run(task, trial, seed) for seed in range(1, chosen.seeds + 1)]
            figures = [test[trial.figure] for test, _ in runs]
            first = first or figures
            better = "greater" if trial.best is max else "less"
            chance = "" if figures is first else f"{mannwhitneyu(first, figures, alternative=better).pvalue:.2g}"
            solved = sum(trial.solved(figure) for figure in figures)
            steps, seconds = (statistics.median(cost[key] for _, cost in runs) for key in ("steps", "seconds"))
            best, median = trial.best(figures), statistics.median(figures)
            told = f"{trial.figure.replace('_', ' ')} {best:.6g} | {median:.6g}"
            row = (task, trial.network, f"{solved} of {len(runs)}", told, chance, f"{steps:.0f}", f"{seconds:.0f}")
            print(f"| {' | '.join(row)} |", flush=True)


if __name__ == "__main__":
    main()
