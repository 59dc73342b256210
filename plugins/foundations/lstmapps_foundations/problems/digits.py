"""Sums of long numbers, parity, and pictures of digits, read one by one."""

from __future__ import annotations

from functools import cache
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

_NOTHING = 10  # the symbol between and behind numbers
_SYMBOLS = 11
_SIDE = 8


class Parity(Problem):
    """Whether the number of ones among some bits is odd is to be said at the end (Kalchbrenner et al. 2016).

    shortest, longest: how many bits there are is drawn evenly from these. Of fifty bits alone a net hears nothing that
    it could learn from before it knows their parity; short strings lead it there.
    """

    inputs, outputs = 1, 2
    loss: Loss = "classes"

    def __init__(self, shortest: int = 1, longest: int = 50) -> None:
        check_lengths(1, shortest, longest)
        self.shortest, self.longest = shortest, longest

    def draw(self, count: int, generator: Generator) -> Episodes:
        lengths = whole_number(generator, self.shortest, self.longest, count)
        time = int(lengths.max()) if count else self.longest
        bits = whole_number(generator, 0, 1, count, time)
        within = torch.arange(time) < lengths.unsqueeze(1)
        counts = last_steps(lengths, time)
        targets = torch.where(counts, (bits * within).sum(dim=1, keepdim=True) % 2, 0)
        x = torch.where(within, 2.0 * bits - 1.0, 0.0)
        return Episodes(x.unsqueeze(2), lengths, targets, counts)


class Addition(Problem):
    """The sum of two numbers is to be said digit by digit (Kalchbrenner et al. 2016, section 4.2).

    shortest, longest: how many digits each number has, the first of which may be 0, is drawn evenly from these, and is
    the same for all that are drawn at once; a sum has one more. columns: both digits of a place are read at once, the
    last place first, and the sum's is said there, as one adds on paper; otherwise, as in the paper cited, one number is
    read after the other from its first digit on, and all of the sum is said after that.
    """

    outputs = 10
    loss: Loss = "classes"

    def __init__(self, shortest: int = 15, longest: int = 15, columns: bool = False) -> None:
        check_lengths(1, shortest, longest, most=1_000)
        self.shortest, self.longest, self.columns = shortest, longest, columns
        self.inputs = 2 * _SYMBOLS if columns else _SYMBOLS

    def draw(self, count: int, generator: Generator) -> Episodes:
        digits = int(whole_number(generator, self.shortest, self.longest))
        a, b = (whole_number(generator, 0, 9, count, digits) for _ in range(2))
        sums = _sums(a, b)
        gap = torch.full((count, 1), _NOTHING)
        if self.columns:
            both = torch.stack([a, b], dim=2).flip(1)
            x = one_hot(torch.cat([both, gap.unsqueeze(2).expand(-1, -1, 2)], dim=1), _SYMBOLS).flatten(2)
            said = sums.flip(1)
        else:
            x = one_hot(torch.cat([gap, a, gap, b, gap.expand(-1, digits + 2)], dim=1), _SYMBOLS)
            said = sums
        time = x.shape[1]
        begin = time - said.shape[1]
        targets = torch.cat([torch.zeros(count, begin, dtype=torch.long), said], dim=1)
        counts = (torch.arange(time) >= begin).expand(count, -1)
        return Episodes(x, torch.full((count,), time), targets, counts)


def _sums(a: Tensor, b: Tensor) -> Tensor:
    """Return the digits of sums (count, digits + 1) of numbers given by theirs (count, digits), the first one first."""
    said, carry = [], torch.zeros(len(a), dtype=torch.long)
    for place in reversed(range(a.shape[1])):
        total = a[:, place] + b[:, place] + carry
        said.append(total % 10)
        carry = total // 10
    return torch.stack([carry, *reversed(said)], dim=1)


class Pixels(Problem):
    """Which digit a picture shows is to be said after all of its 64 pixels, read row by row.

    The pictures are optdigits (Alpaydin & Kaynak 1998, in scikit-learn); every sixth is of the test part, the one after
    it of the validation part.
    """

    inputs, outputs = 1, 10
    loss: Loss = "classes"

    def __init__(self, part: Literal["train", "validation", "test"] = "train") -> None:
        if part not in ("train", "validation", "test"):
            raise ValueError(f"a part is train, validation or test, not {part!r}")
        self.part = part

    def draw(self, count: int, generator: Generator) -> Episodes:
        pictures, labels = _pictures()
        place = {"test": (0,), "validation": (1,), "train": (2, 3, 4, 5)}[self.part]
        own = [number for number in range(len(labels)) if number % 6 in place]
        if self.part == "train":
            chosen = torch.tensor(own)[torch.randint(len(own), (count,), generator=generator)]
        else:
            chosen = torch.tensor(own[:count])
        x = pictures[chosen].flatten(1).unsqueeze(2)
        lengths = torch.full((len(chosen),), _SIDE * _SIDE)
        counts = last_steps(lengths, _SIDE * _SIDE)
        return Episodes(x, lengths, torch.where(counts, labels[chosen].unsqueeze(1), 0), counts)


@cache
def _pictures() -> tuple[Tensor, Tensor]:
    from sklearn.datasets import load_digits  # takes a second to import

    data = load_digits()
    return torch.tensor(data.images, dtype=torch.float32) / 8.0 - 1.0, torch.tensor(data.target, dtype=torch.long)
