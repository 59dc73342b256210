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

_END = " </s>"  # a word behind texts whose words are counted, so that how they end counts too


class Rewards:
    """What texts drawn of training inputs score, each against the others of its input.

    draws: how many there are of each input.
    """

    def __init__(self, score: Score, draws: int) -> None:
        self.score, self.draws = score, draws
        self._end = _END if score.counts_words else ""
        self._references: dict[tuple[Any, Any], list[str]] = {}

    def know(self, samples: Sequence[Sample]) -> None:
        """Take the references of all training inputs."""
        together = merged(samples)
        self._references = {
            (sample.source, sample.region): [text + self._end for text in sample.references] for sample in together
        }
        self.score = self.score.over(list(self._references.values()))

    def __call__(self, samples: Sequence[Sample], texts: Sequence[str]) -> tuple[list[float], float]:
        """Return how much each text, `draws` of a sample, scores above the mean of its others, and the mean of all."""
        advantages, total = [], 0.0
        for number, sample in enumerate(samples):
            references = self._references[sample.source, sample.region]
            drawn = texts[number * self.draws : (number + 1) * self.draws]
            own = [self.score.sign * self.score.of(references, text + self._end) for text in drawn]
            mean = sum(own) / self.draws
            total += mean
            advantages += [(each - mean) * self.draws / (self.draws - 1) for each in own]
        return advantages, self.score.sign * total / len(samples)
