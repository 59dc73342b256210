"""What happens around the steps of every task: averaging, packaging, resuming, showing."""

from __future__ import annotations

import random
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from lightning import Callback, LightningModule, Trainer
from lightning.pytorch.utilities import rank_zero_only
from rich.console import Console
from torch import Tensor

from lstmapps.scores import Score
from lstmapps.tasks.validation import Validation


class AveragedWeights(Callback):
    """Keeps an exponential moving average of the weights, which validation and the package use.

    The average after n steps has the decay min(decay, (1 + n) / (10 + n)), so that it follows fast
    at first (Polyak & Juditsky 1992 for the idea; the warm-up is TensorFlow's).
    """

    def __init__(self, decay: float = 0.998) -> None:
        self.decay = decay
        self._steps = 0
        self._average: dict[str, Tensor] = {}
        self._current: dict[str, Tensor] = {}

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        weights = _weights(pl_module)
        if not self._average:
            self._average = {name: value.detach().clone() for name, value in weights.items()}
        self._average = {name: value.to(weights[name].device) for name, value in self._average.items()}

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        if trainer.global_step == self._steps:
            return  # gradients are being accumulated
        self._steps = trainer.global_step
        decay = min(self.decay, (1 + self._steps) / (10 + self._steps))
        weights = _weights(pl_module)
        torch._foreach_lerp_(list(self._average.values()), [w.detach() for w in weights.values()], 1.0 - decay)

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if self._average and not trainer.sanity_checking:
            self._current = {name: value.detach().clone() for name, value in _weights(pl_module).items()}
            _set_weights(pl_module, self._average)

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if self._current:
            _set_weights(pl_module, self._current)
            self._current = {}

    def state_dict(self) -> dict[str, Any]:
        return {"steps": self._steps, "average": self._average}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self._steps, self._average = state_dict["steps"], state_dict["average"]


class KeepBest(Callback):
    """Writes the model package at each validation whose score is the best so far; stands before `AveragedWeights`.

    score: the one that decides. limit: what its value must be better than. tolerance: a later value may be worse than
    the best by this share of it: on few samples an early best is often luck, and weights at the end of the schedule
    are the safer ones.
    """

    def __init__(
        self,
        write: Callable[[LightningModule, dict[str, float]], None],
        score: Score,
        limit: float | None = None,
        tolerance: float = 0.0,
    ) -> None:
        self.write, self.score = write, score
        self.limit, self.tolerance = score.worst if limit is None else limit, tolerance
        self.best = score.worst

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if trainer.sanity_checking:
            return
        value = float(trainer.callback_metrics[f"validation_{self.score.name}"])
        tolerated = self.best * (1.0 - self.score.sign * self.tolerance)
        good = self.score.better(value, self.limit) and self.score.better(value, tolerated)
        self.best = value if self.score.better(value, self.best) else self.best
        if good and trainer.is_global_zero:
            scores = {name: float(value) for name, value in trainer.callback_metrics.items()}
            self.write(pl_module, scores | {"epoch": trainer.current_epoch + 1})

    def state_dict(self) -> dict[str, Any]:
        return {"best": self.best}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.best = state_dict["best"]


class Interrupted(Exception):
    """Training was stopped by Ctrl-C, after its state was saved."""


class ExactResume(Callback):
    """Saves everything that training continues from: at the end of each epoch, and on Ctrl-C.

    The state of torch's random numbers is part of it, so that a resumed run makes the same steps as
    one that was never stopped. The file is replaced whole. The first Ctrl-C finishes the step, saves
    and raises `Interrupted`; a second one stops at once.
    """

    def __init__(self, path: Path, every_steps: int | None = None) -> None:
        self.path = path
        self.every_steps = every_steps
        self._stop = False
        self._restored: dict[str, Any] = {}

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        def stop(number: int, frame: Any) -> None:
            self._stop = True
            signal.signal(signal.SIGINT, signal.default_int_handler)

        signal.signal(signal.SIGINT, stop)

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if self._restored:
            torch.set_rng_state(self._restored["cpu"].cpu())
            if torch.cuda.is_available() and "cuda" in self._restored:
                torch.cuda.set_rng_state(self._restored["cuda"].cpu())

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        stop = trainer.strategy.reduce_boolean_decision(self._stop, all=False)
        if stop or (self.every_steps and trainer.global_step % self.every_steps == 0):
            trainer.save_checkpoint(self.path)
        if stop:
            raise Interrupted

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        trainer.save_checkpoint(self.path)

    def on_fit_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        signal.signal(signal.SIGINT, signal.default_int_handler)

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        signal.signal(signal.SIGINT, signal.default_int_handler)

    def state_dict(self) -> dict[str, Any]:
        state = {"cpu": torch.get_rng_state()}
        if torch.cuda.is_available():
            state["cuda"] = torch.cuda.get_rng_state()
        return state

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self._restored = state_dict


class History(Callback):
    """Keeps the numbers that were logged in each epoch, for the report's learning curves, and the time.

    The training loss of an epoch is the mean over its batches.
    """

    def __init__(self) -> None:
        self.rows: list[dict[str, float]] = []
        self._loss, self._batches = torch.zeros(()), 0  # the sum over the batches of this epoch, and how many
        self._validated = False
        self._began = time.monotonic()
        self._before = 0.0

    def seconds(self) -> float:
        """Return how long the run has taken, that of the runs it continues included."""
        return self._before + time.monotonic() - self._began

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._validated = True

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        loss = trainer.callback_metrics["train_loss"].detach()
        self._loss, self._batches = self._loss.to(loss.device) + loss, self._batches + 1

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        row = {
            name: float(value)
            for name, value in trainer.callback_metrics.items()
            if self._validated or not name.startswith("validation_")  # Lightning keeps those of the last time
        }
        self._validated = False
        if self._batches:
            row["train_loss"] = float(self._loss) / self._batches
        self._loss, self._batches = torch.zeros(()), 0
        self.rows.append(row | {"epoch": trainer.current_epoch + 1, "step": trainer.global_step})

    def state_dict(self) -> dict[str, Any]:
        return {"rows": self.rows, "seconds": self.seconds(), "loss": self._loss.cpu(), "batches": self._batches}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.rows, self._before = state_dict["rows"], state_dict["seconds"]
        self._loss, self._batches = state_dict["loss"], state_dict["batches"]


class ShowReadings(Callback):
    """Prints three references and what was read instead, at each validation."""

    def __init__(self, console: Console) -> None:
        self.console = console

    @rank_zero_only
    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        validation: Validation = pl_module.validation  # type: ignore[assignment]
        readings = validation.readings
        scores = {name: float(value) for name, value in trainer.callback_metrics.items()}
        line = ", ".join(f"{name.replace('_', ' ')} {value:.2f}" for name, value in scores.items())
        self.console.print(f"epoch {trainer.current_epoch + 1}: {line}", style="bold", highlight=False)
        shown = random.Random(trainer.current_epoch).sample(readings, min(3, len(readings)))
        for reading in shown:
            self.console.print(f"  reference  {reading.references[0]}", markup=False, highlight=False)
            self.console.print(f"  hypothesis {reading.hypothesis}", markup=False, highlight=False)


def _weights(module: LightningModule) -> dict[str, Tensor]:
    network: Any = module.network
    return {name: value for name, value in network.state_dict().items() if value.is_floating_point()}


def _set_weights(module: LightningModule, weights: dict[str, Tensor]) -> None:
    with torch.no_grad():
        for name, value in _weights(module).items():
            value.copy_(weights[name])
