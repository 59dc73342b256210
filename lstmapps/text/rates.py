"""Error rates of readings: by characters or words, with counts and an interval."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from rapidfuzz.distance import Levenshtein

Unit = Literal["character", "word"]


@dataclass(frozen=True)
class EditCounts:
    """The fewest substitutions, deletions and insertions that turn a reference into a hypothesis."""

    substitutions: int
    deletions: int
    insertions: int
    length: int  # of the reference

    @property
    def errors(self) -> int:
        return self.substitutions + self.deletions + self.insertions


@dataclass(frozen=True)
class ErrorRate:
    """An error rate in percent, its 95 % bootstrap interval, and what it is made of."""

    value: float
    low: float
    high: float
    substitutions: int
    deletions: int
    insertions: int
    length: int


def edit_counts(reference: str, hypothesis: str, unit: Unit = "character") -> EditCounts:
    """Compare two texts by Levenshtein distance over characters or white-space separated words."""
    a: Sequence[str] = reference if unit == "character" else reference.split()
    b: Sequence[str] = hypothesis if unit == "character" else hypothesis.split()
    tags = [operation.tag for operation in Levenshtein.editops(a, b)]
    return EditCounts(tags.count("replace"), tags.count("delete"), tags.count("insert"), len(a))


def error_rate(
    references: Sequence[str],
    hypotheses: Sequence[str],
    unit: Unit = "character",
    resamples: int = 1000,
    seed: int = 0,
) -> ErrorRate:
    """Return 100 * (S + D + I) / N over all pairs: CER for characters, WER for words.

    The interval is the 2.5th to 97.5th percentile over `resamples` draws of whole lines with
    replacement (Bisani & Ney 2004). Raises ValueError if there is nothing to compare with.
    """
    if len(references) != len(hypotheses):
        raise ValueError(f"{len(references)} references but {len(hypotheses)} hypotheses")
    counts = [edit_counts(r, h, unit) for r, h in zip(references, hypotheses, strict=True)]
    errors = np.array([c.errors for c in counts], dtype=np.float64)
    lengths = np.array([c.length for c in counts], dtype=np.float64)
    if lengths.sum() == 0:
        raise ValueError("the references are empty: there is no error rate")
    draws = np.random.default_rng(seed).integers(0, len(counts), size=(resamples, len(counts)))
    drawn_lengths = lengths[draws].sum(axis=1)
    rates = 100.0 * errors[draws].sum(axis=1)[drawn_lengths > 0] / drawn_lengths[drawn_lengths > 0]
    low, high = np.percentile(rates, [2.5, 97.5])
    return ErrorRate(
        value=float(100.0 * errors.sum() / lengths.sum()),
        low=float(low),
        high=float(high),
        substitutions=sum(c.substitutions for c in counts),
        deletions=sum(c.deletions for c in counts),
        insertions=sum(c.insertions for c in counts),
        length=int(lengths.sum()),
    )
