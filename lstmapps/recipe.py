"""From a recipe's name or path to trainer, task and data, and from there to a run's folder.

A run's folder holds `model/` (the package, rewritten at each validation that is the best so far),
`checkpoint.ckpt` (everything needed to continue) and, once it is done, `report.html`.
"""

from __future__ import annotations

import logging
import re
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
import yaml
from jsonargparse import ActionConfigFile, ArgumentError, Namespace
from lightning import Callback, LightningModule, Trainer
from lightning.pytorch.callbacks import RichProgressBar
from lightning.pytorch.cli import LightningArgumentParser, LightningCLI
from rich.console import Console

from lstmapps import package as packages
from lstmapps.data import Sample, SequenceData
from lstmapps.errors import UserError
from lstmapps.package import Package
from lstmapps.plugins import find
from lstmapps.tasks import CTCTask
from lstmapps.tasks.callbacks import AveragedWeights, ExactResume, History, Interrupted, KeepBest, ShowReadings
from lstmapps.tasks.checkpoints import SafeCheckpointIO

CHECKPOINT = "checkpoint.ckpt"
TRAINER_DEFAULTS: dict[str, Any] = {
    "logger": False,
    "enable_checkpointing": False,
    "use_distributed_sampler": False,
    "enable_model_summary": False,
    "num_sanity_val_steps": 0,
    "log_every_n_steps": 1,
    "plugins": [SafeCheckpointIO()],
}
"""What every run has in common; batches, checkpoints and curves are the library's own."""


@dataclass
class Run:
    """A training made ready: its parts, built and linked.

    config: what will stand in the package's config.yaml. average: decay of the averaged weights.
    """

    name: str
    config: dict[str, Any]
    average: float
    trainer: Trainer
    task: CTCTask
    data: SequenceData


class RecipeParser(LightningArgumentParser):
    """Takes the path of a table as that path: LightningCLI would read the file in as a configuration."""

    def add_class_arguments(self, *args: Any, **settings: Any) -> Any:
        return super().add_class_arguments(*args, **{**settings, "sub_configs": False})


class RecipeCLI(LightningCLI):
    """LightningCLI that links the vocabulary, the normalisation and the seed of the data to the task."""

    def init_parser(self, **settings: Any) -> LightningArgumentParser:
        parser = RecipeParser(**settings)
        parser.add_argument("--config", action=ActionConfigFile, help="the recipe")
        return parser

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        parser.add_argument("--card", type=dict[str, Any], default={}, help="what the model card says")
        parser.add_argument("--average", type=float, default=0.998, help="decay of the averaged weights")
        parser.link_arguments("data.vocabulary", "model.init_args.vocabulary", apply_on="instantiate")
        parser.link_arguments("data.normalisation", "model.init_args.normalisation")
        parser.link_arguments("seed_everything", "data.seed")


def progress(console: Console | None) -> list[Callback]:
    """Return the progress bar, on standard error, if anybody watches."""
    return [RichProgressBar(console_kwargs={"stderr": True})] if console else []


def recipe_file(name: str) -> tuple[str, Path]:
    """Return a recipe's name and file, from its name or its path."""
    path = Path(name).expanduser()
    if path.suffix in {".yaml", ".yml"}:
        if not path.is_file():
            raise UserError(f"there is no recipe at {path}; check the path, or see `lstmapps list`")
        return f"{path.absolute().parent.name}/{path.stem}", path
    return name, find("recipe", name)


def build(
    recipe: str, overrides: Sequence[str] = (), *, output: Path | None = None, console: Console | None = None
) -> Run:
    """Read a recipe with overrides in LightningCLI's form and build its parts.

    output: the run's folder, where Lightning's loggers write. Raises UserError on a misspelt key or a wrong value.
    """
    name, file = recipe_file(recipe)
    quieten()
    try:
        cli = RecipeCLI(
            CTCTask,
            SequenceData,
            args=[f"--config={file}", *overrides],
            run=False,
            subclass_mode_model=True,
            save_config_callback=None,
            trainer_defaults={
                **TRAINER_DEFAULTS,
                "callbacks": progress(console),
                "enable_progress_bar": bool(console),
                "default_root_dir": None if output is None else str(output),
            },
            parser_kwargs={"exit_on_error": False},
        )
    except ArgumentError as error:
        raise UserError(f"{file}: {_first_cause(error)}") from None
    config = _plain(cli.config)
    package_config = _package_config(name, config, cli.model)
    return Run(name, package_config, config["average"], cli.trainer, cli.model, cli.datamodule)


@dataclass(frozen=True)
class Trained:
    """What a training leaves: its package, whether one was good enough to be written, the validation
    samples, and the numbers of each epoch."""

    package: Path
    improved: bool
    validation: list[Sample]
    history: list[dict[str, float]]


def train(
    run: Run,
    output: Path,
    *,
    resume: bool,
    console: Console,
    better_than: float = float("inf"),
    tolerance: float = 0.0,
) -> Trained:
    """Train a run into a folder; a package is written only if its validation CER is below `better_than`.

    tolerance: share by which a later package may be worse than the best, see `KeepBest`.
    Raises Interrupted after Ctrl-C, when everything is saved.
    """
    _claim(output, resume)
    task, data, trainer = run.task, run.data, run.trainer
    if not data.parts:
        data.prepare(task.network.output_lengths)
    console.quiet = console.quiet or not trainer.is_global_zero
    if trainer.check_val_every_n_epoch and trainer.max_epochs:  # a short run is validated too, at its end
        trainer.check_val_every_n_epoch = min(trainer.check_val_every_n_epoch, trainer.max_epochs)
    for problem in data.left_out:
        console.print(f"left out: {problem.message}", markup=False, highlight=False)
    sizes = ", ".join(f"{len(samples)} {part}" for part, samples in data.parts.items())
    console.print(f"{run.name}: {sizes}, {len(task.vocabulary) - 1} symbols", highlight=False)
    history = History()

    def write(module: LightningModule, scores: dict[str, float]) -> None:
        trained = {
            "train_samples": len(data.parts["train"]),
            "validation_samples": len(data.parts["validation"]),
            "left_out": len(data.left_out),
            "epochs": int(scores["epoch"]),
            "validation_cer": round(scores["validation_cer"], 3),
            "seconds": round(history.seconds()),
            "torch": torch.__version__,
        }
        weights = {name: value.detach().cpu() for name, value in task.network.state_dict().items()}
        package = Package(run.config, weights, task.vocabulary, {"training": trained})
        packages.write(package, output / "model")

    keep_best = KeepBest(write, "validation_cer", better_than, tolerance)
    callbacks: list[Callback] = trainer.callbacks  # type: ignore[attr-defined]
    callbacks += [
        ShowReadings(console),
        keep_best,
        AveragedWeights(run.average),
        history,
        ExactResume(output / CHECKPOINT),
    ]
    trainer.fit(task, data, ckpt_path=str(output / CHECKPOINT) if resume else None)
    return Trained(output / "model", keep_best.best < better_than, data.parts["validation"], history.rows)


def parse_data(defaults: dict[str, Any], overrides: Sequence[str], extra: Mapping[str, type] = {}) -> Namespace:
    """Build SequenceData from plain defaults and overrides, and further groups of settings beside it.

    `extra` names classes whose arguments are taken too, such as `trainer` or `optimisation`; their
    settings are returned unbuilt. Raises UserError on an unknown key or a wrong value.
    """
    quieten()
    parser = LightningArgumentParser(exit_on_error=False)
    parser.add_class_arguments(SequenceData, "data")
    for key, group in extra.items():
        parser.add_class_arguments(group, key, instantiate=False)
    try:
        parser.set_defaults({f"data.{key}": value for key, value in defaults.items()})
        config = parser.parse_args(list(overrides))
        instantiate = getattr(parser, "instantiate", None) or parser.instantiate_classes  # renamed in jsonargparse 4.49
        built: Namespace = instantiate(config)
        return built
    except ArgumentError as error:
        raise UserError(_first_cause(error)) from None


def recipe_data(recipe: str, overrides: Sequence[str] = ()) -> SequenceData:
    """Return the data of a recipe without its network."""
    _, file = recipe_file(recipe)
    try:
        defaults = yaml.safe_load(file.read_text(encoding="utf-8"))["data"]
    except (yaml.YAMLError, KeyError, TypeError) as error:
        raise UserError(f"{file} is not a recipe ({error}); mend it") from None
    data: SequenceData = parse_data(defaults, overrides)["data"]
    return data


def _package_config(name: str, config: dict[str, Any], task: CTCTask) -> dict[str, Any]:
    model, data = config["model"]["init_args"], config["data"]
    network = {
        "class_path": "lstmapps.nn.CTCNetwork",
        "init_args": {
            "frontend": model["frontend"],
            "encoder": model["encoder"],
            "symbols": len(task.vocabulary),
            "auxiliary": task.auxiliary > 0,
            "transducer": model["transducer"],
        },
    }
    return {
        "name": name,
        "recipe": name,
        "card": config["card"],
        "domain": data["domain"],
        "network": network,
        "normalisation": asdict(task.normalisation),
        "decoder": {"name": "transducer" if model["transducer"] else "greedy", "beam": 16},
        "training": {"auxiliary": task.auxiliary, "masks": None if task.masks is None else asdict(task.masks)},
    }


def new_output(name: str, folder: Path = Path("runs")) -> Path:
    """Return the first of `runs/<name>`, `runs/<name>-2`, … that does not exist yet."""
    base = folder / name.replace("/", "-")
    candidate, number = base, 2
    while candidate.exists():
        candidate = base.with_name(f"{base.name}-{number}")
        number += 1
    return candidate


def _claim(output: Path, resume: bool) -> None:
    if resume and not (output / CHECKPOINT).exists():
        raise UserError(f"{output} holds no checkpoint; start the run without --resume")
    if not resume and (output / CHECKPOINT).exists():
        raise UserError(f"{output} already holds a run; continue it with --resume or choose another --output")
    output.mkdir(parents=True, exist_ok=True)


def _plain(value: Any) -> Any:
    """Turn a parsed configuration into plain dicts, lists and scalars that YAML can hold."""
    if isinstance(value, Namespace):
        value = vars(value)
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items() if not key.startswith("__")}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value if isinstance(value, str | int | float | bool | type(None)) else str(value)


def _first_cause(error: ArgumentError) -> str:
    """Return from a parser's error of many lines the setting at fault and the line that tells why."""
    text = str(error)
    lines = [line.strip(" -") for line in text.split("\n") if line.strip()]
    words = ("not accepted", "not expected", "does not accept", "required", "nrecognized", "Expected", "Invalid")
    telling = next((line for line in lines if any(word in line for word in words)), lines[-1])
    keys = [key for key in re.findall(r'[Kk]ey "([^"]+)"', text) if key not in telling]
    return (f"{keys[-1]}: " if keys else "") + telling[:300]


def quieten() -> None:
    """Silence what Lightning tells every user at every start."""
    logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)
    warnings.filterwarnings("ignore", module="lightning")
    warnings.filterwarnings("ignore", message=".*lightning.*|.*num_workers.*|.*srun.*")
    warnings.filterwarnings("ignore", message="(?s).*Unable to serialize instance.*SafeCheckpointIO.*")
    logging.getLogger("lightning.fabric.utilities.seed").setLevel(logging.WARNING)


__all__ = [
    "CHECKPOINT",
    "TRAINER_DEFAULTS",
    "Interrupted",
    "Run",
    "Trained",
    "build",
    "new_output",
    "parse_data",
    "progress",
    "quieten",
    "recipe_data",
    "recipe_file",
    "train",
]
