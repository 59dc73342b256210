"""Reber's grammar: which symbols may come next, in strings (Smith & Zipser 1989) and in streams (Gers et al. 2000)."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Generator, Tensor

from lstmapps_foundations.problems.problem import Episodes, Loss, Problem, check_lengths, one_hot

SYMBOLS = "BTSXPVE"
_GRAPH: dict[int, tuple[tuple[str, int], ...]] = {
    0: (("B", 1),),
    1: (("T", 2), ("P", 3)),
    2: (("S", 2), ("X", 4)),
    3: (("T", 3), ("V", 5)),
    4: (("X", 3), ("S", 6)),
    5: (("P", 4), ("V", 6)),
    6: (("E", 7),),
}
_END = 7
_LONG = 100_000


def reber_string(generator: Generator) -> tuple[str, list[str]]:
    """Return a string of Reber's grammar, and for each symbol those that may follow it; nothing follows the last."""
    text, following, state = "", [], 0
    while state != _END:
        symbol, state = _GRAPH[state][int(torch.randint(len(_GRAPH[state]), (), generator=generator))]
        text += symbol
        following.append("".join(other for other, _ in _GRAPH.get(state, ())))
    return text, following


def embedded_string(generator: Generator) -> tuple[str, list[str]]:
    """Return a string that begins and ends with the same T or P around one of Reber's grammar: B T (…) T E."""
    inner, following = reber_string(generator)
    around = "TP"[int(torch.randint(2, (), generator=generator))]
    text = f"B{around}{inner}{around}E"
    return text, ["TP", "B", *following[:-1], around, "E", ""]


class EmbeddedReber(Problem):
    """At each symbol of an embedded Reber string those that may come next are to be said (Hochreiter & Schmidhuber
    1997, section 5.1); it is trained on the one that comes."""

    inputs, outputs = len(SYMBOLS), len(SYMBOLS)
    loss: Loss = "classes"

    def draw(self, count: int, generator: Generator) -> Episodes:
        return _episodes([embedded_string(generator) for _ in range(count)])


class ContinualReber(Problem):
    """The same in a stream of embedded Reber strings without marks between them (Gers, Schmidhuber & Cummins 2000).

    length: of a stream, in symbols.
    """

    inputs, outputs = len(SYMBOLS), len(SYMBOLS)
    loss: Loss = "classes"

    def __init__(self, length: int = 200) -> None:
        check_lengths(2, length, most=10_000_000)
        self.length = length

    def draw(self, count: int, generator: Generator) -> Episodes:
        streams = []
        for _ in range(count):
            text, following = "", []
            while len(text) <= self.length:
                one, after = embedded_string(generator)
                text += one
                following += [*after[:-1], "B"]
            streams.append((text[: self.length + 1], [*following[: self.length], ""]))
        return _episodes(streams)

    def examine(self, say: Callable[[Episodes], Tensor], generator: Generator) -> dict[str, float]:
        """Return the mean number of symbols that come right before the first mistake, in ten streams of 100,000."""
        long = ContinualReber(_LONG)
        episodes = long.draw(10, generator)
        fine = long.right_steps(say(episodes), episodes)
        return {"right_symbols": float(fine.cumprod(dim=1).sum(dim=1).float().mean())}


def _episodes(strings: list[tuple[str, list[str]]]) -> Episodes:
    """Return strings with what may follow each symbol; the last of each is only followed."""
    lengths = torch.tensor([len(text) - 1 for text, _ in strings])
    time = int(lengths.max()) if len(strings) else 0
    symbols = torch.full((len(strings), time + 1), -1)
    allowed = torch.zeros(len(strings), time, len(SYMBOLS), dtype=torch.bool)
    for row, (text, following) in enumerate(strings):
        symbols[row, : len(text)] = torch.tensor([SYMBOLS.index(symbol) for symbol in text])
        for step, others in enumerate(following[:-1]):
            allowed[row, step, [SYMBOLS.index(symbol) for symbol in others]] = True
    counts = torch.arange(time).unsqueeze(0) < lengths.unsqueeze(1)
    x, targets = one_hot(symbols[:, :-1], len(SYMBOLS)), symbols[:, 1:].clamp(min=0)
    return Episodes(x * counts.unsqueeze(2), lengths, _masked(targets, counts), counts, allowed)


def _masked(targets: Tensor, counts: Tensor) -> Tensor:
    return torch.where(counts, targets, 0)
