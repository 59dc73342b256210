"""The sum and the product of two numbers of a long sequence (Hochreiter & Schmidhuber 1997, sections 5.4 and 5.5)."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Generator

from lstmapps_foundations.problems.problem import Episodes, Loss, Problem, check_lengths, last_steps, whole_number

_MORE = 10  # sequences are up to a tenth longer than the shortest


class Arithmetic(Problem):
    """Two numbers of a sequence are marked, one of the first ten and one of its first half; at the end their result is
    to be said.

    Each step has a number and a mark: 1 at the two that count, -1 at the first and last step, else 0. For sums, numbers
    are drawn from [-1, 1] and the answer is 0.5 + (a + b) / 4; for products, from [0, 1], and it is a * b.

    length: sequences have this many steps, to a tenth more.
    """

    inputs, outputs = 2, 1
    loss: Loss = "squared"
    near = 0.04  # as in the paper

    def __init__(self, length: int = 100, operation: Literal["sum", "product"] = "sum") -> None:
        check_lengths(20, length)
        if operation not in ("sum", "product"):
            raise ValueError(f"an operation is sum or product, not {operation!r}")
        self.length, self.operation = length, operation

    def draw(self, count: int, generator: Generator) -> Episodes:
        lengths = whole_number(generator, self.length, self.length + self.length // _MORE, count)
        time = int(lengths.max()) if count else self.length
        numbers = torch.rand(count, time, generator=generator)
        numbers = 2 * numbers - 1 if self.operation == "sum" else numbers
        first = whole_number(generator, 0, 9, count)
        second = whole_number(generator, 0, self.length // 2 - 2, count)
        second = second + (second >= first)  # any of the first half but the first one marked
        rows = torch.arange(count)
        marks = torch.zeros(count, time)
        marks[rows, lengths - 1] = -1.0
        a, b = numbers[rows, first], numbers[rows, second]
        marks[rows, first], marks[rows, second] = 1.0, 1.0
        neutral = 0.0 if self.operation == "sum" else 1.0  # the first step keeps its mark of -1 and does not count
        marks[:, 0] = -1.0
        a, b = torch.where(first == 0, neutral, a), torch.where(second == 0, neutral, b)
        result = 0.5 + (a + b) / 4 if self.operation == "sum" else a * b
        counts = last_steps(lengths, time)
        targets = torch.zeros(count, time, 1)
        targets[counts] = result.unsqueeze(1)
        return Episodes(torch.stack([numbers, marks], dim=2), lengths, targets, counts)
