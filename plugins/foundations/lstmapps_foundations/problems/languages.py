"""Counting: the languages a^n b^n and a^n b^n c^n (Gers & Schmidhuber 2001)."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Generator, Tensor

from lstmapps_foundations.problems.problem import Episodes, Loss, Problem, check_lengths, one_hot, whole_number

_FURTHEST = 1_000


class Counting(Problem):
    """At each symbol of S a^n b^n, or S a^n b^n c^n, all that may come next is to be said, and at the end T.

    While a's are read, another may come or the first b; what follows is certain. letters: 2 for a^n b^n, 3 for a^n b^n
    c^n. shortest, longest: n is drawn evenly from these.
    """

    loss: Loss = "chances"

    def __init__(self, letters: int = 2, shortest: int = 1, longest: int = 10) -> None:
        if letters not in (2, 3):
            raise ValueError(f"a language has 2 letters or 3, not {letters}")
        check_lengths(1, shortest, longest)
        self.letters, self.shortest, self.longest = letters, shortest, longest
        self.inputs = self.outputs = letters + 1

    def draw(self, count: int, generator: Generator) -> Episodes:
        return self.strings(whole_number(generator, self.shortest, self.longest, count))

    def strings(self, n: torch.Tensor) -> Episodes:
        """Return the strings of given n (batch,)."""
        lengths = 1 + self.letters * n
        time = int(lengths.max()) if len(n) else 1
        step = torch.arange(time).unsqueeze(0)
        symbols = torch.where(step == 0, 0, 1 + torch.div(step - 1, n.unsqueeze(1), rounding_mode="floor"))
        counts = step < lengths.unsqueeze(1)
        last = self.letters  # the output for T: outputs are the letters and the end
        following = torch.cat([symbols[:, 1:] - 1, torch.full((len(n), 1), last)], dim=1).clamp(max=last)
        targets = one_hot(following, self.outputs)
        targets[:, 1:, :2] += ((symbols[:, 1:] == 1) & (step[:, 1:] > 0)).unsqueeze(2) * torch.tensor([1.0, 1.0])
        targets[:, 0] = 0.0
        targets[:, 0, 0] = 1.0  # at least one a
        targets = targets.clamp(max=1.0) * counts.unsqueeze(2)
        return Episodes(one_hot(torch.where(counts, symbols, -1), self.inputs), lengths, targets, counts)

    def examine(self, say: Callable[[Episodes], Tensor], generator: Generator) -> dict[str, float]:
        """Return the n up to which all strings from the first on are right."""
        for n in range(1, _FURTHEST + 1):
            episodes = self.strings(torch.tensor([n]))
            if not bool(self.right(say(episodes), episodes)):
                return {"right_up_to": n - 1.0}
        return {"right_up_to": float(_FURTHEST)}
