"""BLEU, as sacreBLEU computes it (Papineni et al. 2002; Post 2018, "A call for clarity in reporting BLEU scores")."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Any

from lstmapps.errors import UserError
from lstmapps.scores.score import Score, Sums


class BLEU(Score):
    """Corpus BLEU of raw texts, tokenised as mteval-v13a does; lowercased first, as papers on small sets do, if asked.

    Needs the package sacrebleu.
    """

    unit = ""
    higher_is_better = True

    def __init__(self, name: str, lowercase: bool = False) -> None:
        self.name, self.lowercase = name, lowercase

    @cached_property
    def _metric(self) -> Any:
        try:
            from sacrebleu.metrics import bleu
        except ImportError:
            raise UserError("BLEU needs the package sacrebleu; pip install 'lstmapps[bleu]'") from None
        return bleu.BLEU(lowercase=self.lowercase, effective_order=True)

    @property
    def signature(self) -> str:
        from importlib.metadata import version

        case = "lc" if self.lowercase else "mixed"
        return f"nrefs:var|case:{case}|eff:no|tok:13a|smooth:exp|version:{version('sacrebleu')}"

    def statistics(self, references: Sequence[str], hypothesis: str) -> Sequence[float]:
        one = self._metric.sentence_score(hypothesis, list(references))
        return one.sys_len, one.ref_len, *one.counts, *one.totals

    def value(self, sums: Sums) -> float:
        if not sums[1]:
            return float("nan")
        numbers = [int(number) for number in sums]
        orders = len(numbers) // 2 - 1
        correct, total = numbers[2 : 2 + orders], numbers[2 + orders :]
        return float(self._metric.compute_bleu(correct, total, numbers[0], numbers[1], smooth_method="exp").score)

    def of(self, references: Sequence[str], hypothesis: str) -> float:
        """See `Score`: of one text alone, the orders of n-grams that it is too short for do not count."""
        return float(self._metric.sentence_score(hypothesis, list(references)).score)

    def details(self, sums: Sums) -> dict[str, int]:
        return {"words": int(sums[0]), "of": int(sums[1])}
