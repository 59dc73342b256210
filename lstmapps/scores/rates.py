"""Error rates of texts, by characters or words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from rapidfuzz.distance import Levenshtein

from lstmapps.scores.score import Score, Sums

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


def edit_counts(reference: str, hypothesis: str, unit: Unit = "character") -> EditCounts:
    """Compare two texts by Levenshtein distance over characters or white-space separated words."""
    a: Sequence[str] = reference if unit == "character" else reference.split()
    b: Sequence[str] = hypothesis if unit == "character" else hypothesis.split()
    tags = [operation.tag for operation in Levenshtein.editops(a, b)]
    return EditCounts(tags.count("replace"), tags.count("delete"), tags.count("insert"), len(a))


class ErrorRate(Score):
    """100 * (S + D + I) / N over all texts: CER for characters, WER for words.

    Of several references the nearest counts.
    """

    def __init__(self, name: str, counted: Unit) -> None:
        self.name, self.counted = name, counted

    def statistics(self, references: Sequence[str], hypothesis: str) -> Sequence[float]:
        counts = min((edit_counts(r, hypothesis, self.counted) for r in references), key=lambda c: c.errors)
        return counts.substitutions, counts.deletions, counts.insertions, counts.length

    def value(self, sums: Sums) -> float:
        return float(100.0 * sums[:3].sum() / sums[3]) if sums[3] else float("nan")

    def details(self, sums: Sums) -> dict[str, int]:
        return dict(zip(("substituted", "deleted", "inserted", "of"), map(int, sums), strict=True))
