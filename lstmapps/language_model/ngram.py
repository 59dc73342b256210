"""N-gram language models: what they hold, and how they are learnt from texts."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

START, END, UNKNOWN = "<s>", "</s>", "<unk>"
NEVER = -99.0 * math.log(10)
"""The log-probability of what never follows anything, the start mark (-99 in an ARPA file)."""

Gram = tuple[str, ...]


@dataclass(frozen=True)
class NGramModel:
    """A backoff model: natural logs of probabilities and backoff weights by n-gram.

    The probability of a token after a context is that of the longest n-gram the model holds, times
    the backoff weights of the contexts that were too long (Katz 1987). Texts start after `START` and
    finish with `END`; a token it does not know counts as `UNKNOWN`.
    """

    order: int
    probabilities: dict[Gram, float]
    backoffs: dict[Gram, float]

    @property
    def tokens(self) -> list[str]:
        """What can be predicted, the end mark and the unknown token included."""
        return [gram[0] for gram in self.probabilities if len(gram) == 1 and gram[0] != START]

    @cached_property
    def following(self) -> dict[Gram, list[tuple[str, float]]]:
        """What the model holds after each context: `(token, ln p)`."""
        found: dict[Gram, list[tuple[str, float]]] = {}
        for gram, value in self.probabilities.items():
            found.setdefault(gram[:-1], []).append((gram[-1], value))
        return found

    def start(self) -> Gram:
        """Return the context at the beginning of a text."""
        return self.shorten((START,))

    def shorten(self, context: Gram) -> Gram:
        """Return the longest ending of a context that still tells what follows."""
        context = context[-(self.order - 1) :] if self.order > 1 else ()
        while context and context not in self.backoffs:
            context = context[1:]
        return context

    def known(self, token: str) -> str:
        """Return the token, or `UNKNOWN`."""
        return token if (token,) in self.probabilities else UNKNOWN

    def log_probability(self, token: str, context: Gram = ()) -> float:
        """Return ln p(token | context); a context longer than the model's order is cut."""
        token = self.known(token)
        context = context[-(self.order - 1) :] if self.order > 1 else ()
        weight = 0.0
        while (*context, token) not in self.probabilities:
            if not context:
                return NEVER
            weight += self.backoffs.get(context, 0.0)
            context = context[1:]
        return weight + self.probabilities[(*context, token)]

    def score(self, tokens: Sequence[str]) -> float:
        """Return the natural log of the probability of a whole text, its end included."""
        context: Gram = (START,)
        total = 0.0
        for token in (*tokens, END):
            total += self.log_probability(token, context)
            context = (*context, self.known(token))
        return total

    def perplexity(self, texts: Iterable[Sequence[str]]) -> float:
        """Return the perplexity of texts, for each token and end mark."""
        total, count = 0.0, 0
        for text in texts:
            total += self.score(text)
            count += len(text) + 1
        return math.exp(-total / max(1, count))


def estimate(texts: Iterable[Sequence[str]], order: int) -> NGramModel:
    """Learn a model of this order by interpolated modified Kneser-Ney smoothing.

    Chen & Goodman 1998, "An empirical study of smoothing techniques for language modeling", section 3.
    The unigrams are interpolated with the uniform distribution, from which `UNKNOWN` has its share.
    Raises ValueError if there is no text.
    """
    if order < 1:
        raise ValueError(f"the order of an n-gram model is at least 1, not {order}")
    counts = _adjusted_counts(texts, order)
    if not counts[0]:
        raise ValueError("a language model needs at least one text")
    tokens = sorted(({gram[0] for gram in counts[0]} - {START}) | {UNKNOWN})
    probabilities: dict[Gram, float] = {(token,): 0.0 for token in tokens}
    backoffs: dict[Gram, float] = {(): 1.0}
    below = {(): 1.0 / len(tokens)}  # what the unigrams are interpolated with
    for grams in counts:
        discounts = _discounts(grams)
        totals: defaultdict[Gram, int] = defaultdict(int)
        taken: defaultdict[Gram, float] = defaultdict(float)
        for gram, count in grams.items():
            if gram[-1] != START:
                totals[gram[:-1]] += count
                taken[gram[:-1]] += discounts[min(count, 3)]
        for context, total in totals.items():
            backoffs[context] = taken[context] / total
        for gram, count in grams.items():
            if gram[-1] != START:
                context = gram[:-1]
                lower = probabilities[gram[1:]] if len(gram) > 1 else below[()]
                own = (count - discounts[min(count, 3)]) / totals[context]
                probabilities[gram] = own + backoffs[context] * lower
    spare = backoffs.pop(()) * below[()]
    probabilities[(UNKNOWN,)] = probabilities[(UNKNOWN,)] or spare
    logs = {gram: math.log(value) for gram, value in probabilities.items()}
    return NGramModel(order, {**logs, (START,): NEVER}, {gram: math.log(value) for gram, value in backoffs.items()})


def _adjusted_counts(texts: Iterable[Sequence[str]], order: int) -> list[dict[Gram, int]]:
    """Return for each order the counts that its distribution is made of.

    The highest order counts occurrences; a lower one counts the different tokens seen before an
    n-gram (Chen & Goodman 1998, equation 20), but for those at the start of a text, before which
    nothing can stand.
    """
    occurrences: list[Counter[Gram]] = [Counter() for _ in range(order)]
    for text in texts:
        marked = (START, *text, END)
        for size, counter in enumerate(occurrences, 1):
            counter.update(marked[i : i + size] for i in range(len(marked) - size + 1))
    adjusted: list[dict[Gram, int]] = []
    for size in range(1, order):
        lower: dict[Gram, int] = {gram: n for gram, n in occurrences[size - 1].items() if gram[0] == START}
        for gram in occurrences[size]:
            lower[gram[1:]] = lower.get(gram[1:], 0) + 1
        adjusted.append(lower)
    adjusted.append(dict(occurrences[-1]))
    return adjusted


def _discounts(grams: dict[Gram, int]) -> tuple[float, float, float, float]:
    """Return what is taken from counts of 0, 1, 2, and 3 or more (Chen & Goodman 1998, equation 26).

    Texts too few or too regular for the formula get 1/2, 1 and 3/2.
    """
    seen = Counter(count for gram, count in grams.items() if gram[-1] != START and count <= 4)
    if all(seen[k] for k in (1, 2, 3)):
        y = seen[1] / (seen[1] + 2 * seen[2])
        found = tuple(k - (k + 1) * y * seen[k + 1] / seen[k] for k in (1, 2, 3))
        if all(0 < discount <= k for k, discount in zip((1, 2, 3), found, strict=True)):
            return (0.0, found[0], found[1], found[2])
    return (0.0, 0.5, 1.0, 1.5)
