"""chrF: how far the character n-grams of two texts agree (Popović 2015), as sacreBLEU computes it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from lstmapps.scores.score import Score, Sums

_ORDER, _BETA = 6, 2.0


class ChrF(Score):
    """F score, beta 2, of the mean precision and recall of character n-grams of 1 to 6, without white space.

    Of several references the one of the highest score counts.
    """

    name = "chrf"
    unit = ""
    higher_is_better = True

    @property
    def signature(self) -> str:
        return "nrefs:var|case:mixed|eff:yes|nc:6|nw:0|space:no"

    def statistics(self, references: Sequence[str], hypothesis: str) -> Sequence[float]:
        found = [_counts(reference, hypothesis) for reference in references]
        return max(found, key=_f_score)

    def value(self, sums: Sums) -> float:
        return _f_score(sums.tolist()) if sums[1] else float("nan")


def _counts(reference: str, hypothesis: str) -> list[float]:
    """Return for each order how many n-grams the hypothesis and the reference have, and how many in common.

    Those of an order that the reference is too short for do not count.
    """
    a, b = "".join(reference.split()), "".join(hypothesis.split())
    counts: list[float] = []
    for order in range(1, _ORDER + 1):
        left, right = (Counter(text[i : i + order] for i in range(len(text) - order + 1)) for text in (a, b))
        counts += [right.total() if left else 0, left.total(), (left & right).total()]
    return counts


def _f_score(counts: Sequence[float]) -> float:
    orders = [counts[i : i + 3] for i in range(0, len(counts), 3)]
    orders = [order for order in orders if order[0] and order[1]]
    if not orders:
        return 0.0
    precision = sum(common / hypothesis for hypothesis, _, common in orders) / len(orders)
    recall = sum(common / reference for _, reference, common in orders) / len(orders)
    if not precision + recall:
        return 0.0
    return 100.0 * (1 + _BETA**2) * precision * recall / (_BETA**2 * precision + recall)
