"""What a score is, and how it is measured over a whole part, with an interval."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Self

import numpy as np
import numpy.typing as npt

Sums = npt.NDArray[np.float64]


class Score(ABC):
    """A number over all texts of a part, made of the sums of what each text adds.

    name: what a recipe calls it. unit: what stands behind its value. higher_is_better: which way is better.
    signature: the variant that is computed, as sacreBLEU writes it, where there are several. counts_words: whether it
    counts n-grams of the words that white space parts.
    """

    name: str
    unit: str = "%"
    higher_is_better: bool = False
    counts_words: bool = False

    @property
    def signature(self) -> str:
        return ""

    def over(self, references: Sequence[Sequence[str]]) -> Self:
        """Return the score of texts with these references, where it depends on all of them."""
        return self

    @abstractmethod
    def statistics(self, references: Sequence[str], hypothesis: str) -> Sequence[float]:
        """Return what one text adds to the sums, given one reference or several."""

    @abstractmethod
    def value(self, sums: Sums) -> float:
        """Return the score of texts whose statistics have these sums, nan if there is nothing to compare with."""

    def details(self, sums: Sums) -> dict[str, int]:
        """Return counts that explain the value, by name."""
        return {}

    @property
    def sign(self) -> int:
        """1 where higher is better, -1 where lower is: times it, values sort from the worst to the best."""
        return 1 if self.higher_is_better else -1

    @property
    def worst(self) -> float:
        """What every value is better than."""
        return -self.sign * float("inf")

    def better(self, value: float, other: float) -> bool:
        """Tell whether a value is better than another."""
        return self.sign * value > self.sign * other

    def of(self, references: Sequence[str], hypothesis: str) -> float:
        """Return the score of one text alone, the worst where there is nothing to compare with."""
        value = self.value(np.array(self.statistics(references, hypothesis), np.float64))
        return self.worst if np.isnan(value) else value

    def shown(self, value: float) -> str:
        """Return the name, a value and its unit, as in `CER 3.62 %`."""
        return f"{self.name.upper()} {value:.2f} {self.unit}".rstrip()


@dataclass(frozen=True)
class Measured:
    """A score's value over a part, its 95 % bootstrap interval, and counts that explain it."""

    score: Score
    value: float
    low: float
    high: float
    details: dict[str, int] = field(default_factory=dict)

    def __str__(self) -> str:
        return self.score.shown(self.value)

    def as_json(self) -> dict[str, Any]:
        """Return what stands in results.json."""
        numbers = {"value": self.value, "low": self.low, "high": self.high}
        rounded: dict[str, Any] = {name: round(number, 3) for name, number in numbers.items()}
        rounded |= {"unit": self.score.unit, "higher_is_better": self.score.higher_is_better}
        return rounded | ({"signature": self.score.signature} if self.score.signature else {})


def measure(
    score: Score,
    references: Sequence[Sequence[str]],
    hypotheses: Sequence[str],
    resamples: int = 1000,
    seed: int = 0,
) -> Measured:
    """Measure a score over texts, each with one reference or several.

    The interval is the 2.5th to 97.5th percentile over `resamples` draws of whole texts with
    replacement (Bisani & Ney 2004); without resamples it is the value itself. Raises ValueError if there is nothing
    to compare with.
    """
    if len(references) != len(hypotheses):
        raise ValueError(f"{len(references)} references but {len(hypotheses)} hypotheses")
    score = score.over(references)
    statistics = np.array([score.statistics(r, h) for r, h in zip(references, hypotheses, strict=True)], np.float64)
    sums = statistics.sum(axis=0)
    value = score.value(sums) if len(statistics) else float("nan")
    if np.isnan(value):
        raise ValueError(f"the references are empty: there is no {score.name.upper()}")
    count = len(statistics)
    draws = np.random.default_rng(seed).integers(0, count, size=(resamples, count))
    values = [score.value(np.bincount(draw, minlength=count) @ statistics) for draw in draws]
    values = [drawn for drawn in values if not np.isnan(drawn)] or [value]
    low, high = np.percentile(values, [2.5, 97.5])
    return Measured(score, float(value), float(low), float(high), score.details(sums))
