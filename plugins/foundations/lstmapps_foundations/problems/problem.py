"""What an early task is: sequences without end, drawn by chance, and what is to be said of each step."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Generator, Tensor

Loss = Literal["squared", "classes", "chances"]
"""How targets are given: numbers; the number of one class; for each output whether it is on."""


@dataclass
class Episodes:
    """Sequences of a task: x (batch, time, inputs) and lengths (batch,).

    targets: (batch, time, outputs), or (batch, time) where they are numbers of classes. counts (batch, time): whether
    something is to be said at that step. allowed (batch, time, outputs): where more than one class would be right, all
    that would.
    """

    x: Tensor
    lengths: Tensor
    targets: Tensor
    counts: Tensor
    allowed: Tensor | None = None

    def at(self, step: int) -> Episodes:
        """Return one step of every sequence."""
        now = slice(step, step + 1)
        allowed = None if self.allowed is None else self.allowed[:, now]
        lengths = (self.lengths - step).clamp(0, 1)
        return Episodes(self.x[:, now], lengths, self.targets[:, now], self.counts[:, now], allowed)

    def to(self, device: torch.device | str) -> Episodes:
        allowed = None if self.allowed is None else self.allowed.to(device)
        return Episodes(*(part.to(device) for part in (self.x, self.lengths, self.targets, self.counts)), allowed)


class Problem(ABC):
    """A task that can be drawn without end.

    inputs, outputs: features of x, and of what is to be said. loss: see `Loss`. near: how near a number is right.
    """

    inputs: int
    outputs: int
    loss: Loss
    near = 0.5

    @abstractmethod
    def draw(self, count: int, generator: Generator) -> Episodes:
        """Return so many sequences."""

    def right(self, y: Tensor, episodes: Episodes) -> Tensor:
        """Return (batch,), whether all that is to be said of each sequence is right; y (batch, time, outputs), before a
        softmax or sigmoid."""
        return (self.right_steps(y, episodes) | ~episodes.counts).all(dim=1)

    def right_steps(self, y: Tensor, episodes: Episodes) -> Tensor:
        """Return (batch, time), whether what is said of each step is right.

        Of classes, the likeliest has to be the one; where several are allowed, they have to be likelier than all
        others. Outputs that are on or off have to be on the right side of one half, and numbers nearer than `near`.
        """
        if self.loss == "squared":
            return (y - episodes.targets).abs().amax(dim=2) < self.near
        if self.loss == "chances":
            return ((y > 0) == (episodes.targets > 0.5)).all(dim=2)
        if episodes.allowed is None:
            return y.argmax(dim=2) == episodes.targets
        infinite = torch.tensor(float("inf"), device=y.device)
        lowest = torch.where(episodes.allowed, y, infinite).min(dim=2).values
        return lowest > torch.where(episodes.allowed, -infinite, y).max(dim=2).values

    def examine(self, say: Callable[[Episodes], Tensor], generator: Generator) -> dict[str, float]:
        """Return further figures of a network that says y of sequences, by name; it is asked once, at the end."""
        return {}


def last_steps(lengths: Tensor, time: int) -> Tensor:
    """Return (batch, time), true at the last step of each sequence."""
    return torch.arange(time).unsqueeze(0) == (lengths - 1).unsqueeze(1)


def one_hot(symbols: Tensor, count: int) -> Tensor:
    """Return (…, count) of numbers of symbols; none is hot for one below 0."""
    hot = torch.nn.functional.one_hot(symbols.clamp(min=0), count).float()
    return hot * (symbols >= 0).unsqueeze(-1)


def whole_number(generator: Generator, low: int, high: int, *shape: int) -> Tensor:
    """Return numbers drawn evenly from low to high, both included."""
    return torch.randint(low, high + 1, shape, generator=generator)


def check_lengths(least: int, shortest: int, longest: int | None = None, most: int = 100_000) -> None:
    """Raise ValueError unless the lengths asked for make sense."""
    longest = shortest if longest is None else longest
    if not least <= shortest <= longest <= most:
        asked = f"{shortest}" if shortest == longest else f"{shortest} to {longest}"
        raise ValueError(f"lengths of {asked}: give {least} to {most}, the shortest first")
