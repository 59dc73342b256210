"""What belongs together among pairs of sentences, and what looks as if it did not."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Iterator, Sequence

from lstmapps.data import Problem, Sample

_SHARE = 0.5  # of a text's letters that are of another script than the other texts of its side


def families(samples: Sequence[Sample]) -> list[str]:
    """Return the family of each pair: those that share a sentence, or a translation of one, are of one family.

    Sentences that differ in case and punctuation alone count as one.
    """
    parents: dict[str, str] = {}

    def root(key: str) -> str:
        parents.setdefault(key, key)
        top = key
        while parents[top] != top:
            top = parents[top]
        while parents[key] != top:
            parents[key], key = top, parents[key]
        return top

    keys = []
    for sample in samples:
        first, *others = [f"s {_bare(str(sample.source))}", *(f"t {_bare(text)}" for text in sample.references)]
        keys.append(first)
        for other in others:
            a, b = sorted((root(first), root(other)))
            parents[b] = a  # the smallest names the family, whatever the order of the pairs
    return [root(key) for key in keys]


def doubts(samples: Sequence[Sample]) -> Iterator[Problem]:
    """Yield pairs that stand there twice, and texts of another script than nearly all others of their side."""
    seen: dict[tuple[str, str | None], str] = {}
    sides = [[str(sample.source) for sample in samples], [sample.text or "" for sample in samples]]
    usual = [_main_script("".join(side)) for side in sides]
    for sample, *texts in zip(samples, *sides, strict=True):
        pair = (str(sample.source), sample.text)
        if pair in seen:
            yield Problem(sample.id, "duplicate", f"{sample.id} is the same pair as {seen[pair]}; remove one")
        seen.setdefault(pair, sample.id)
        for name, text, script in zip(("source", "translation"), texts, usual, strict=True):
            own = _scripts(text)
            if script and own and own[script] < _SHARE * own.total():
                message = f"{sample.id} has a {name} in {own.most_common(1)[0][0].title()} letters, others are in"
                yield Problem(sample.id, "script", f"{message} {script.title()}; see whether it is of the language")
        if sample.text and sample.text == sample.source and len(sample.text.split()) > 3:
            yield Problem(sample.id, "copy", f"{sample.id} has one text on both sides; see whether it is translated")


def _bare(text: str) -> str:
    return re.sub(r"[\W_]+", " ", text.casefold()).strip() or text


def _main_script(text: str) -> str:
    counts = _scripts(text[:100_000])
    return counts.most_common(1)[0][0] if counts else ""


def _scripts(text: str) -> Counter[str]:
    """Count the letters of each script, as the first word of their Unicode names tells it."""
    return Counter(unicodedata.name(c, "UNKNOWN").partition(" ")[0] for c in text if c.isalpha())
