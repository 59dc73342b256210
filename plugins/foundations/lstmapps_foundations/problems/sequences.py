"""Which of two sequences, and in which order: what came long ago decides (Hochreiter & Schmidhuber 1997)."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Generator, Tensor

from lstmapps_foundations.problems.problem import (
    Episodes,
    Loss,
    Problem,
    check_lengths,
    last_steps,
    one_hot,
    whole_number,
)

_SIGNAL = 3  # steps that tell the class
_NOISE = 0.2**0.5  # deviation of what follows them: a variance of 0.2


class NoiseFree(Problem):
    """Two sequences of symbols, (y, a_1 … a_{lag}, y) and (x, a_1 … a_{lag}, x): the next symbol is to be said, and the
    last is as the first was (section 5.2, experiment 2a).

    lag: symbols between the first and the last.
    """

    loss: Loss = "classes"

    def __init__(self, lag: int = 100) -> None:
        check_lengths(1, lag, most=10_000)
        self.lag = lag
        self.inputs = self.outputs = lag + 2

    def draw(self, count: int, generator: Generator) -> Episodes:
        kind = whole_number(generator, 0, 1, count)
        between = torch.arange(2, self.lag + 2).expand(count, -1)
        symbols = torch.cat([kind.unsqueeze(1), between, kind.unsqueeze(1)], dim=1)
        lengths = torch.full((count,), self.lag + 1)
        counts = torch.ones(count, self.lag + 1, dtype=torch.bool)
        return Episodes(one_hot(symbols[:, :-1], self.inputs), lengths, symbols[:, 1:], counts)


class TwoSequences(Problem):
    """The first three numbers tell the class, and the rest is noise (Bengio et al. 1994; section 5.3, experiments 3a to
    3c): 1 or 0 is to be said at the end.

    length: sequences have this many steps, to a tenth more. noise: the first numbers are 1 or -1, with noise on the
    rest ("rest", 3a) or on them too ("all", 3b); or they are as small as 0.2 or -0.2, with noise on all, and the
    targets are 0.8 and 0.2 with noise of deviation 0.1 ("targets", after 3c).
    """

    inputs, outputs = 1, 1
    loss: Loss = "squared"

    def __init__(self, length: int = 100, noise: Literal["rest", "all", "targets"] = "rest") -> None:
        check_lengths(10, length)
        if noise not in ("rest", "all", "targets"):
            raise ValueError(f"noise is on the rest, on all, or on targets too, not {noise!r}")
        self.length, self.noise = length, noise

    def draw(self, count: int, generator: Generator) -> Episodes:
        lengths = whole_number(generator, self.length, self.length + self.length // 10, count)
        time = int(lengths.max()) if count else self.length
        kind = whole_number(generator, 0, 1, count).float()
        x = _NOISE * torch.randn(count, time, 1, generator=generator)
        signal = (2 * kind - 1).view(-1, 1, 1) * (0.2 if self.noise == "targets" else 1.0)
        x[:, :_SIGNAL] = signal if self.noise == "rest" else signal + x[:, :_SIGNAL]
        targets = torch.zeros(count, time, 1)
        counts = last_steps(lengths, time)
        told = kind
        if self.noise == "targets":
            told = 0.2 + 0.6 * kind + 0.1 * torch.randn(count, generator=generator)
        targets[counts] = told.unsqueeze(1)
        return Episodes(x, lengths, targets, counts)

    def right_steps(self, y: Tensor, episodes: Episodes) -> Tensor:
        """Return (batch, time), whether what is said lies on the right side of one half."""
        return ((y > 0.5) == (episodes.targets > 0.5)).all(dim=2)


class TemporalOrder(Problem):
    """Two or three symbols X or Y stand far apart among others: at the end their order is to be said (section 5.6).

    length: sequences have this many steps, to a tenth more. relevant: how many X and Y there are; the first stands
    a tenth of the length on or up to a tenth later, and likewise two at a half, or three at a third and two thirds.
    """

    loss: Loss = "classes"
    inputs = 8  # the others a b c d, X and Y, the beginning and the end

    def __init__(self, length: int = 100, relevant: Literal[2, 3] = 2) -> None:
        check_lengths(20, length)
        if relevant not in (2, 3):
            raise ValueError(f"2 or 3 symbols are relevant, not {relevant}")
        self.length, self.relevant, self.outputs = length, relevant, 2**relevant

    def draw(self, count: int, generator: Generator) -> Episodes:
        lengths = whole_number(generator, self.length, self.length + self.length // 10, count)
        time = int(lengths.max()) if count else self.length
        symbols, rows = whole_number(generator, 0, 3, count, time), torch.arange(count)
        kind = torch.zeros(count, dtype=torch.long)
        begins = (0.1, 0.5) if self.relevant == 2 else (0.1, 0.33, 0.66)
        for begin in begins:
            low = round(begin * self.length)
            place = whole_number(generator, low, low + self.length // 10 - 1, count)
            which = whole_number(generator, 0, 1, count)
            symbols[rows, place] = 4 + which
            kind = 2 * kind + which
        symbols[:, 0] = 6
        symbols[rows, lengths - 1] = 7
        counts = last_steps(lengths, time)
        inside = torch.arange(time).unsqueeze(0) < lengths.unsqueeze(1)
        symbols = torch.where(inside, symbols, -1)
        return Episodes(one_hot(symbols, self.inputs), lengths, torch.where(counts, kind.unsqueeze(1), 0), counts)
