"""Self-critical training: texts that are drawn are raised by how much better they score than others of their input.

Rennie et al. 2017, "Self-critical sequence training for image captioning"; the baseline of a text is the mean of the
others that were drawn with it (Luo 2020, "A better variant of self-critical sequence training").
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from lstmapps.data import Sample, merged
from lstmapps.scores import Score

LONGEST = 60
"""How many symbols a text may have that is drawn for its reward."""

_END = "</s>"  # a word behind all texts, so that how they end counts too


class Rewards:
    """What texts drawn of training inputs score, each against the others of its input.

    draws: how many there are of each input.
    """

    def __init__(self, score: Score, draws: int) -> None:
        self.score, self.draws = score, draws
        self._references: dict[tuple[Any, Any], list[str]] = {}

    def know(self, samples: Sequence[Sample]) -> None:
        """Take the references of all training inputs."""
        together = merged(samples)
        self._references = {
            (sample.source, sample.region): [f"{text} {_END}" for text in sample.references] for sample in together
        }
        self.score = self.score.over(list(self._references.values()))

    def __call__(self, samples: Sequence[Sample], texts: Sequence[Sequence[str]]) -> tuple[list[float], float]:
        """Return how much each text scores above the mean of the others, those of an input together, and the mean."""
        advantages, total = [], 0.0
        for sample, drawn in zip(samples, texts, strict=True):
            references = self._references[sample.source, sample.region]
            own = [self.score.sign * self.score.of(references, f"{text} {_END}") for text in drawn]
            mean = sum(own) / len(own)
            total += mean
            advantages += [(each - mean) * len(own) / max(1, len(own) - 1) for each in own]
        return advantages, self.score.sign * total / max(1, len(samples))
