"""What is read at each validation, and its scores."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch

from lstmapps.data import Sample
from lstmapps.scores import measure, scores_named
from lstmapps.text import Normalisation, Vocabulary


@dataclass(frozen=True)
class Reading:
    """The references of a sample and what the network read."""

    id: str
    references: tuple[str, ...]
    hypothesis: str


class Validation:
    """Collects the readings of a validation, over all processes, and measures each score; the first decides."""

    def __init__(self, vocabulary: Vocabulary, normalisation: Normalisation, scores: Sequence[str]) -> None:
        self.vocabulary, self.normalisation = vocabulary, normalisation
        self.scores = scores_named(scores)
        self.readings: list[Reading] = []

    def begin(self) -> None:
        self.readings = []

    def add(self, samples: Sequence[Sample], read: Sequence[Sequence[int]]) -> None:
        """Take the symbols that were read of each sample."""
        for sample, symbols in zip(samples, read, strict=True):
            self.readings.append(Reading(sample.id, sample.references or ("",), self.text(symbols)))

    def text(self, symbols: Sequence[int]) -> str:
        """Return the text of symbols as it is scored."""
        return self.normalisation(self.vocabulary.decode(symbols))

    def finish(self, log: Callable[[str, float], None]) -> float:
        """Log each score, as in `validation_cer`; return the one that decides."""
        self.readings = _gather(self.readings)
        references = [reading.references for reading in self.readings]
        hypotheses = [reading.hypothesis for reading in self.readings]
        values = [measure(score, references, hypotheses, resamples=0).value for score in self.scores]
        for score, value in zip(self.scores, values, strict=True):
            log(f"validation_{score.name}", value)
        return values[0]


def _gather(readings: list[Reading]) -> list[Reading]:
    """Return the readings of all processes, sorted by id."""
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        parts: list[list[Reading]] = [[] for _ in range(torch.distributed.get_world_size())]
        torch.distributed.all_gather_object(parts, readings)
        readings = [reading for part in parts for reading in part]
    return sorted(readings, key=lambda reading: reading.id)
