"""Measuring time: how long ago the last spike was (Gers, Schraudolph & Schmidhuber 2002, "Learning precise timing")."""

from __future__ import annotations

import torch
from torch import Generator

from lstmapps_foundations.problems.problem import Episodes, Loss, Problem, check_lengths, whole_number

_MOST = 1_000_000  # steps of a stream


class SpikeDelays(Problem):
    """At every spike but the first of a stream the time since the one before is to be said.

    Intervals are drawn evenly from `shortest` to `longest` steps, and told as 0 to 1. spikes: in a stream.
    """

    inputs, outputs = 1, 1
    loss: Loss = "squared"

    def __init__(self, shortest: int = 10, longest: int = 20, spikes: int = 10) -> None:
        check_lengths(1, shortest, longest)
        if not 2 <= spikes <= _MOST // longest:
            raise ValueError(
                f"{spikes} spikes of up to {longest} steps each; give 2 or more, and at most {_MOST:,} steps in all"
            )
        if shortest == longest:
            raise ValueError("intervals of one length alone leave nothing to be measured; give a longer longest")
        self.shortest, self.longest, self.spikes = shortest, longest, spikes
        self.near = 0.5 / (longest - shortest)  # nearer to the right number of steps than to any other

    def draw(self, count: int, generator: Generator) -> Episodes:
        intervals = whole_number(generator, self.shortest, self.longest, count, self.spikes)
        places = intervals.cumsum(dim=1)
        lengths = places[:, -1] + 1
        time = int(lengths.max()) if count else 1
        x = torch.zeros(count, time).scatter_(1, places, 1.0)
        span = self.longest - self.shortest
        targets = torch.zeros(count, time).scatter_(1, places, (intervals - self.shortest) / span)
        counts = x.bool()
        counts[torch.arange(count), places[:, 0]] = False
        return Episodes(x.unsqueeze(2), lengths, targets.unsqueeze(2), counts)
