"""Scores of captions, over words: BLEU-n, ROUGE-L, CIDEr and CIDEr-D.

Words are what white space parts; normalise texts alike first. BLEU-n, ROUGE-L and CIDEr-D are computed as coco-caption
does (Chen et al. 2015, "Microsoft COCO captions: data collection and evaluation server"), which calls CIDEr-D CIDEr.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Self

from rapidfuzz.distance import LCSseq

from lstmapps.scores.score import Score, Sums

NGram = tuple[str, ...]

_ORDERS = 4
_KEPT = 20_000  # references whose n-grams are held, of six kilobytes each
_SMALL, _TINY = 1e-9, 1e-15  # what coco-caption adds to counts, so that nothing is divided by zero


class BLEUn(Score):
    """The geometric mean of the precisions of 1-grams to n-grams, times a penalty for texts that are shorter than the
    reference nearest in length (Papineni et al. 2002), without smoothing; 0 to 100."""

    unit = ""
    higher_is_better = True
    counts_words = True

    def __init__(self, n: int) -> None:
        self.name, self.n = f"bleu{n}", n

    def statistics(self, references: Sequence[str], hypothesis: str) -> Sequence[float]:
        words = hypothesis.split()
        counts, most = _ngrams(words, self.n), Counter[NGram]()
        for reference in references:
            most |= _ngrams(reference.split(), self.n)
        common = Counter(len(ngram) for ngram in (counts & most).elements())
        lengths = [len(reference.split()) for reference in references]
        nearest = min(lengths, key=lambda length: (abs(length - len(words)), length))
        orders = range(1, self.n + 1)
        return len(words), nearest, *(common[n] for n in orders), *(max(0, len(words) - n + 1) for n in orders)

    def value(self, sums: Sums) -> float:
        written, wanted, *counts = sums.tolist()
        if not wanted:
            return float("nan")
        precisions = [(counts[i] + _TINY) / (counts[i + self.n] + _SMALL) for i in range(self.n)]
        ratio = (written + _TINY) / (wanted + _SMALL)
        penalty = math.exp(min(0.0, 1.0 - 1.0 / ratio))
        return float(100.0 * math.prod(precisions) ** (1.0 / self.n) * penalty)

    def details(self, sums: Sums) -> dict[str, int]:
        return {"words": int(sums[0]), "of": int(sums[1])}


class RougeL(Score):
    """The F score, beta 1.2, of the longest common subsequence of words; the best precision and the best recall are
    taken each over all references (Lin 2004); the mean over texts, 0 to 100."""

    name = "rouge_l"
    unit = ""
    higher_is_better = True

    def statistics(self, references: Sequence[str], hypothesis: str) -> Sequence[float]:
        # coco-caption takes an empty text for one empty word
        words = hypothesis.split() or [""]
        others = [reference.split() or [""] for reference in references]
        common = [LCSseq.similarity(words, other) for other in others]
        precision = max(common) / len(words)
        recall = max(same / len(other) for same, other in zip(common, others, strict=True))
        square = 1.2**2
        f_score = (1 + square) * precision * recall / (recall + square * precision) if precision and recall else 0.0
        return f_score, 1.0

    def value(self, sums: Sums) -> float:
        return float(100.0 * sums[0] / sums[1]) if sums[1] else float("nan")


class CIDEr(Score):
    """How near a text's n-grams, of 1 to 4 words, are to those of its references, each weighted by how few inputs have
    references with it (Vedantam et al. 2015); the mean over orders, references and texts, times 10.

    clipped: CIDEr-D, in which no n-gram counts more often than it stands in a reference, and texts of other lengths
    than a reference count less (the same, section 5).
    The weights are those of the references of all texts that are measured, see `over`; of one text alone they are 0.
    """

    unit = ""
    higher_is_better = True
    counts_words = True

    def __init__(self, clipped: bool) -> None:
        self.name, self.clipped = "cider_d" if clipped else "cider", clipped
        self._frequencies: Mapping[NGram, int] = {}
        self._inputs = 0
        self._known: dict[str, _Vector] = {}

    def over(self, references: Sequence[Sequence[str]]) -> Self:
        if self._inputs:
            return self
        frequencies = Counter[NGram]()
        for texts in references:
            frequencies.update({ngram for text in texts for ngram in _ngrams(text.split(), _ORDERS)})
        score = type(self)(self.clipped)
        score._frequencies, score._inputs = frequencies, len(references)
        return score

    def statistics(self, references: Sequence[str], hypothesis: str) -> Sequence[float]:
        if not self._inputs:
            return self.over([references]).statistics(references, hypothesis)
        written = self._vector(hypothesis)
        total = sum(self._similarity(written, self._reference(reference)) for reference in references)
        return 10.0 * total / (_ORDERS * len(references)), 1.0

    def value(self, sums: Sums) -> float:
        return float(sums[0] / sums[1]) if sums[1] else float("nan")

    def _reference(self, text: str) -> _Vector:
        if text not in self._known:
            if len(self._known) >= _KEPT:
                self._known.clear()
            self._known[text] = self._vector(text)
        return self._known[text]

    def _vector(self, text: str) -> _Vector:
        words = text.split()
        weights: list[dict[NGram, float]] = [{} for _ in range(_ORDERS)]
        for ngram, count in _ngrams(words, _ORDERS).items():
            rarity = math.log(self._inputs) - math.log(max(1, self._frequencies.get(ngram, 0)))
            weights[len(ngram) - 1][ngram] = count * rarity
        norms = [math.sqrt(sum(weight * weight for weight in each.values())) for each in weights]
        return _Vector(weights, norms, max(0, len(words) - 1))

    def _similarity(self, written: _Vector, wanted: _Vector) -> float:
        """Return the sum over orders of how near two texts are."""
        total = 0.0
        for own, other, norm, other_norm in zip(
            written.weights, wanted.weights, written.norms, wanted.norms, strict=True
        ):
            if not norm or not other_norm:
                continue
            shared = [(weight, other[ngram]) for ngram, weight in own.items() if ngram in other]
            products = ((min(a, b) if self.clipped else a) * b for a, b in shared)
            total += sum(products) / (norm * other_norm)
        if not self.clipped:
            return total
        return total * math.exp(-((written.bigrams - wanted.bigrams) ** 2) / (2 * 6.0**2))


class _Vector:
    """The weights of a text's n-grams by order, their norms, and how many bigrams the text has."""

    def __init__(self, weights: list[dict[NGram, float]], norms: list[float], bigrams: int) -> None:
        self.weights, self.norms, self.bigrams = weights, norms, bigrams


def distinct(texts: Sequence[str], n: int) -> float:
    """Return how many of the n-grams of texts are different ones, in percent (Li et al. 2016, distinct-n)."""
    ngrams = [ngram for text in texts for ngram in _ngrams(text.split(), n).elements() if len(ngram) == n]
    return 100.0 * len(set(ngrams)) / max(1, len(ngrams))


def _ngrams(words: Sequence[str], orders: int) -> Counter[NGram]:
    """Count the n-grams of 1 to `orders` words."""
    return Counter(tuple(words[i : i + n]) for n in range(1, orders + 1) for i in range(len(words) - n + 1))
