"""How often a text is exactly right."""

from __future__ import annotations

from collections.abc import Sequence

from lstmapps.scores.score import Score, Sums


class ExactMatch(Score):
    """The share of texts that equal one of their references, in percent."""

    name = "exact"
    higher_is_better = True

    def statistics(self, references: Sequence[str], hypothesis: str) -> Sequence[float]:
        return float(hypothesis in references), 1.0

    def value(self, sums: Sums) -> float:
        return float(100.0 * sums[0] / sums[1]) if sums[1] else float("nan")

    def details(self, sums: Sums) -> dict[str, int]:
        return {"right": int(sums[0]), "of": int(sums[1])}
