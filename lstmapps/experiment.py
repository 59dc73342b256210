"""Recipes with data and tasks of their own: trained and tested by Lightning, and told of, without a package.

Such a recipe names a LightningDataModule at `data.class_path`. Its task logs `train_loss`, and whatever it measures as
`validation_…` and `test_…`.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from jsonargparse import ActionConfigFile
from lightning import Callback, LightningDataModule, LightningModule, Trainer
from lightning.pytorch.cli import LightningArgumentParser, LightningCLI
from rich.console import Console

from lstmapps.errors import UserError
from lstmapps.recipe import RecipeParser, parsed, recipe_file, seed_of
from lstmapps.tasks.callbacks import ExactResume, History
from lstmapps.training import CHECKPOINT, claim


class ExperimentCLI(LightningCLI):
    """LightningCLI that links the problem and the seed of the data to where they are needed."""

    def init_parser(self, **settings: Any) -> LightningArgumentParser:
        parser = RecipeParser(**settings)
        parser.add_argument("--config", action=ActionConfigFile, help="the recipe")
        return parser

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        parser.add_argument("--card", type=dict[str, Any], default={}, help="what is said of the recipe")
        parser.link_arguments("data.problem", "model.init_args.problem", apply_on="instantiate")
        parser.link_arguments("seed_everything", "data.init_args.seed", compute_fn=seed_of)


@dataclass
class Experiment:
    """What a recipe describes, built."""

    name: str
    card: dict[str, Any]
    trainer: Trainer
    task: LightningModule
    data: LightningDataModule


@dataclass(frozen=True)
class Outcome:
    """What a run has measured, `validation` and `test`, each by name, and how it learnt."""

    results: dict[str, dict[str, float]]
    history: list[dict[str, float]]


def is_experiment(recipe: str) -> bool:
    """Tell whether a recipe, by its name or path, has data of its own."""
    _, file = recipe_file(recipe)
    try:
        data = yaml.safe_load(file.read_text(encoding="utf-8"))["data"]
    except (yaml.YAMLError, KeyError, TypeError, OSError):
        return False
    return isinstance(data, dict) and "class_path" in data


def build_experiment(
    recipe: str, overrides: list[str], *, output: Path | None = None, console: Console | None = None
) -> Experiment:
    """Read a recipe with overrides in LightningCLI's form and build its parts; raises UserError on a wrong setting."""
    name, file = recipe_file(recipe)
    cli = parsed(ExperimentCLI, LightningDataModule, file, overrides, output, console)
    return Experiment(name, cli.config["card"], cli.trainer, cli.model, cli.datamodule)


def run_experiment(experiment: Experiment, output: Path, *, resume: bool) -> Outcome:
    """Train and test into a folder: a checkpoint, and `results.json`; raises Interrupted after Ctrl-C."""
    trainer, history = experiment.trainer, History()
    shared = trainer.gradient_clip_val or trainer.accumulate_grad_batches > 1
    if shared and not experiment.task.automatic_optimization:
        raise UserError(
            "this task changes its weights itself; leave out trainer.gradient_clip_val and accumulate_grad_batches"
        )
    claim(output, resume)
    callbacks: list[Callback] = trainer.callbacks  # type: ignore[attr-defined]
    callbacks += [history, ExactResume(output / CHECKPOINT)]
    trainer.fit(experiment.task, experiment.data, ckpt_path=str(output / CHECKPOINT) if resume else None)
    rows = history.rows
    if not rows:
        raise UserError("nothing was trained; give trainer.max_epochs, max_steps or max_time more than 0")
    last = next((row for row in reversed(rows) if any(key.startswith("validation_") for key in row)), {})
    tested = trainer.test(experiment.task, experiment.data, verbose=False)[0]
    results = {
        "training": {"steps": rows[-1]["step"], "seconds": round(history.seconds(), 1)},
        "validation": _of_part(last, "validation_"),
        "test": _of_part(tested, "test_"),
    }
    if trainer.is_global_zero:
        partial = output / "results.json.partial"
        partial.write_text(json.dumps(results, indent=2), encoding="utf-8")
        partial.replace(output / "results.json")
    return Outcome(results, rows)


def _of_part(row: Any, prefix: str) -> dict[str, float]:
    return {key.removeprefix(prefix): round(float(value), 6) for key, value in row.items() if key.startswith(prefix)}
