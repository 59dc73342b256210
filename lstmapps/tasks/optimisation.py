"""Optimiser and learning-rate schedule of every task."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal

import torch
from lightning import LightningModule
from torch import Tensor, nn
from torch.optim.lr_scheduler import LambdaLR, LinearLR, ReduceLROnPlateau

from lstmapps.scores import Score


@dataclass(frozen=True)
class Optimisation:
    """AdamW (Loshchilov & Hutter 2019) with a warm-up and a schedule of the learning rate, counted in optimiser steps.

    warmup: share of all steps over which the rate rises linearly.
    schedule: what follows: a cosine to zero, a line to zero, a constant, or a plateau, from which the rate is halved
        whenever the first score has not become better for `patience` validations.
    layer_decay: factor on the rate for each level below the top one; 1 trains all levels alike.
    """

    learning_rate: float = 1e-3
    weight_decay: float = 0.01
    warmup: float = 0.05
    schedule: Literal["cosine", "linear", "constant", "plateau"] = "cosine"
    patience: int = 2
    layer_decay: float = 1.0

    def __post_init__(self) -> None:
        if min(self.learning_rate, self.weight_decay, self.patience) < 0:
            raise ValueError(f"learning_rate, weight_decay and patience are 0 or more, unlike {self}")
        if not (0.0 <= self.warmup <= 1.0 and 0.0 < self.layer_decay <= 1.0):
            raise ValueError(f"warmup is a share of 0 to 1, layer_decay above 0 and at most 1, unlike {self}")

    def configure(self, levels: list[nn.Module], steps: int, score: Score) -> Any:
        """Return what Lightning's `configure_optimizers` returns.

        levels: of the network, from the input to the top. score: the one that decides, for a plateau.
        """
        groups = []
        seen: set[nn.Parameter] = set()
        for depth, level in enumerate(reversed(levels)):
            parameters = [p for p in level.parameters() if p.requires_grad and p not in seen]
            seen |= set(parameters)  # what levels share is of the upper one
            rate = self.learning_rate * self.layer_decay**depth
            for decays in (True, False):  # biases and gains are not decayed
                chosen = [p for p in parameters if (p.dim() > 1) == decays]
                if chosen:
                    decay = self.weight_decay if decays else 0.0
                    groups.append({"params": chosen, "lr": rate, "weight_decay": decay})
        optimiser = torch.optim.AdamW(groups, lr=self.learning_rate, betas=(0.9, 0.98))
        if self.schedule != "plateau":
            scheduler = LambdaLR(optimiser, lambda step: self.factor(step, steps))
            return {"optimizer": optimiser, "lr_scheduler": {"scheduler": scheduler, "interval": "step"}}
        warmup = max(1, round(self.warmup * steps))
        rising = LinearLR(optimiser, 1.0 / warmup, total_iters=warmup - 1)
        mode: Literal["min", "max"] = "max" if score.higher_is_better else "min"
        plateau = ReduceLROnPlateau(optimiser, mode, factor=0.5, patience=self.patience)
        by_hand = {"interval": "step", "frequency": 10**12, "monitor": f"validation_{score.name}", "strict": False}
        return [optimiser], [{"scheduler": rising, "interval": "step"}, {"scheduler": plateau, **by_hand}]

    def factor(self, step: int, steps: int) -> float:
        """Return the share of the full rate at a step of `steps`."""
        warmup = max(1, round(self.warmup * steps))
        if step < warmup:
            return (step + 1) / warmup
        progress = min(1.0, (step - warmup) / max(1, steps - warmup))
        if self.schedule == "cosine":
            return 0.5 * (1.0 + math.cos(math.pi * progress))
        return 1.0 - progress if self.schedule == "linear" else 1.0


def mean_over_processes(task: LightningModule, count: Tensor) -> Tensor:
    """Return the mean over all processes of a count, by which each divides its sum of losses."""
    if task.trainer.world_size == 1:
        return count
    mean: Tensor = task.trainer.strategy.reduce(count.float(), reduce_op="mean")
    return mean


def after_validation(task: LightningModule, value: float) -> None:
    """Let the rate know the score of a validation, before the state of the epoch is saved (see `Optimisation`)."""
    schedulers: Any = task.lr_schedulers()
    for scheduler in schedulers if isinstance(schedulers, list) else [schedulers]:
        if isinstance(scheduler, ReduceLROnPlateau):
            scheduler.step(value)
