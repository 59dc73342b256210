"""Training a run into its folder.

The folder holds `model/` (the package, rewritten at each validation that is the best so far),
`checkpoint.ckpt` (everything needed to continue) and, once it is done, `report.html`.
"""

from __future__ import annotations

import logging
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from lightning import Callback, LightningModule, Trainer
from lightning.pytorch.callbacks import RichProgressBar
from rich.console import Console

from lstmapps import package as packages
from lstmapps.building import WEIGHTS, build_network, start_from, weights_of
from lstmapps.data import Sample, SequenceData
from lstmapps.data.features import FrozenFrontend
from lstmapps.errors import UserError
from lstmapps.nn import GridEncoder
from lstmapps.package import Package
from lstmapps.tasks import Task
from lstmapps.tasks.callbacks import AveragedWeights, ExactResume, History, Interrupted, KeepBest, ShowReadings
from lstmapps.tasks.checkpoints import SafeCheckpointIO
from lstmapps.text import VocabularyChange

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

    config: what will stand in the package's config.yaml. average: decay of the averaged weights. start: a model, by its
    name or folder, whose weights the network begins with.
    """

    name: str
    config: dict[str, Any]
    average: float
    trainer: Trainer
    task: Task
    data: SequenceData
    start: str | None = None


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
    better_than: float | None = None,
    tolerance: float = 0.0,
) -> Trained:
    """Train a run into a folder; a package is written only if its first score is `better_than` this.

    tolerance: share by which a later package may be worse than the best, see `KeepBest`.
    Raises Interrupted after Ctrl-C, when everything is saved.
    """
    claim(output, resume)
    task, data, trainer = run.task, run.data, run.trainer
    if run.start is not None:
        beginning = _package_at(run.start)
        run.config["card"] = packages.card_begun_with(beginning, run.config)
        if not resume:
            _begin(run, beginning)
    if not data.parts:
        prepare(data, task.network, trainer.strategy.root_device)
    console.quiet = console.quiet or not trainer.is_global_zero
    if trainer.check_val_every_n_epoch and trainer.max_epochs:  # a short run is validated too, at its end
        trainer.check_val_every_n_epoch = min(trainer.check_val_every_n_epoch, trainer.max_epochs)
    for problem in data.left_out:
        console.print(f"left out: {problem.message}", markup=False, highlight=False)
    sizes = ", ".join(f"{len(samples)} {part}" for part, samples in data.parts.items())
    console.print(f"{run.name}: {sizes}, {len(task.validation.vocabulary) - 1} symbols", highlight=False)
    history, first = History(), task.validation.scores[0]
    monitored = f"validation_{first.name}"

    def write(module: LightningModule, scores: dict[str, float]) -> None:
        trained = {
            "train_samples": len(data.parts["train"]),
            "validation_samples": len(data.parts["validation"]),
            "left_out": len(data.left_out),
            "epochs": int(scores["epoch"]),
            monitored: round(scores[monitored], 3),
            "seconds": round(history.seconds()),
            "torch": torch.__version__,
        }
        weights = {name: value.detach().cpu() for name, value in weights_of(task.network).items()}
        read = data.source_vocabulary
        package = Package(
            run.config,
            weights,
            task.validation.vocabulary,
            {"training": trained},
            source_vocabulary=None if read == task.validation.vocabulary else read,
        )
        packages.write(package, output / "model")

    keep_best = KeepBest(write, first, better_than, tolerance)
    callbacks: list[Callback] = trainer.callbacks  # type: ignore[attr-defined]
    callbacks += [
        ShowReadings(console),
        keep_best,
        AveragedWeights(run.average),
        history,
        ExactResume(output / CHECKPOINT),
    ]
    trainer.fit(task, data, ckpt_path=str(output / CHECKPOINT) if resume else None)
    improved = first.better(keep_best.best, keep_best.limit)
    return Trained(output / "model", improved, data.parts["validation"], history.rows)


def prepare(data: SequenceData, network: Any, device: torch.device) -> None:
    """Check the data of a training; if the frontend is frozen, what it gives is computed here, once."""
    if not getattr(network.frontend, "frozen", False):
        data.prepare(network.room)
        return
    data.features = FrozenFrontend(network.frontend, data.cache, device)
    data.prepare(network.room and network.encoder.output_lengths)
    _check_grid(data, network.encoder)


def _check_grid(data: SequenceData, encoder: Any) -> None:
    """Raise UserError if what a frozen frontend gives is not the grid that an encoder takes."""
    if not isinstance(encoder, GridEncoder):
        return
    cells, size = data.inputs.load(data.parts["train"][0]).shape
    if cells != encoder.rows * encoder.columns or size != encoder.norm.normalized_shape[0]:
        raise UserError(
            f"the frontend gives {cells} cells of {size}, and the encoder takes {encoder.rows} x {encoder.columns} of "
            f"{encoder.norm.normalized_shape[0]}; set model.init_args.encoder.init_args to the rows, columns and "
            "input_size that it gives"
        )


def _package_at(start: str) -> Package:
    folder = packages.package_folder(start)
    if not folder.is_dir():
        raise UserError(f"there is no model at {start} to begin with; train it first, or name another with --start")
    return packages.read(folder)


def _begin(run: Run, package: Package) -> None:
    """Give a network the weights of a model; what that lacks of the frontend, this has of its own.

    Symbols that the model does not know begin as those that look like them do, as in fine-tuning. A frontend without
    weights that is set otherwise than the model's learns its statistics anew: those would be of other features.
    """
    task, data, start = run.task, run.data, str(run.start)
    folder = packages.package_folder(start)
    if data.source_vocabulary not in (None, package.source_vocabulary or package.vocabulary):
        raise UserError(f"{folder} reads other symbols than the training texts give; use `lstmapps finetune` instead")
    weights = package.weights
    if package.vocabulary != data.vocabulary:
        network = build_network(package.config["network"], weights, folder)
        network.change_symbols(VocabularyChange.between(package.vocabulary, data.vocabulary).sources)
        weights = weights_of(network)
    if _other_features(run, package):
        weights = {name: value for name, value in weights.items() if not name.startswith("frontend.")}
    try:
        start_from(task.network, weights, folder / WEIGHTS)
    except UserError as error:
        raise UserError(
            f"the recipe's network cannot begin with {start} ({error}); give it the sizes of that model, or another "
            "--start"
        ) from None


def _other_features(run: Run, package: Package) -> bool:
    """Return whether a frontend that has no weights computes something else than that of a model."""
    own, begun = (config["network"]["init_args"].get("frontend") for config in (run.config, package.config))
    if not own or not begun or list(run.task.network.frontend.parameters()):
        return False
    settings, known = own.get("init_args", {}), begun.get("init_args", {})
    shared = settings.keys() & known.keys()
    return own["class_path"] != begun["class_path"] or any(settings[key] != known[key] for key in shared)


def progress(console: Console | None) -> list[Callback]:
    """Return the progress bar, on standard error, if anybody watches."""
    return [RichProgressBar(console_kwargs={"stderr": True})] if console else []


def new_output(name: str, folder: Path = Path("runs")) -> Path:
    """Return the first of `runs/<name>`, `runs/<name>-2`, … that does not exist yet."""
    base = folder / name.replace("/", "-")
    candidate, number = base, 2
    while candidate.exists():
        candidate = base.with_name(f"{base.name}-{number}")
        number += 1
    return candidate


def claim(output: Path, resume: bool) -> None:
    """Make a run's folder; raises UserError if it holds a run or a model that is not to be continued."""
    if resume and not (output / CHECKPOINT).exists():
        raise UserError(f"{output} holds no checkpoint; start the run without --resume")
    if not resume and (output / CHECKPOINT).exists():
        raise UserError(f"{output} already holds a run; continue it with --resume or choose another --output")
    if not resume and (output / "model").exists():
        raise UserError(f"{output} already holds a model; choose another --output")
    output.mkdir(parents=True, exist_ok=True)


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
    "claim",
    "new_output",
    "prepare",
    "progress",
    "quieten",
    "train",
]
