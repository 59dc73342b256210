"""Lexical constraints: what the texts that are found must, and must not, hold."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from torch import Tensor

END = 0
"""The symbol before the first and after the last of a text."""

Phrase = tuple[int, ...]
"""Symbols that follow one another."""

NEVER = float("-inf")


@dataclass(frozen=True)
class Constraints:
    """What one text must be: begin with `prefix`, have each phrase of `must` in it, and none of `must_not`."""

    prefix: Phrase = ()
    must: Sequence[Phrase] = ()
    must_not: Sequence[Phrase] = ()

    def refuse_impossible(self, longest: int) -> None:
        """Raise ValueError if no text of at most `longest` symbols can keep them."""
        if not all(self.must) or not all(self.must_not) or END in (*self.prefix, *sum(self.must, ())):
            raise ValueError("phrases that must, or must not, come have symbols, and not the end among them")
        for phrase in self.must:
            if len(phrase) > longest:
                raise ValueError(f"a phrase of {len(phrase)} symbols does not fit into a text of {longest}")
        for banned in self.must_not:
            if any(_contains(phrase, banned) for phrase in (self.prefix, *self.must)):
                raise ValueError("what must come holds what must not")
        if len(self.prefix) > longest:
            raise ValueError(f"a prefix of {len(self.prefix)} symbols does not fit into a text of {longest}")

    def progress(self, symbols: Phrase) -> int:
        """Return how many symbols of the phrases that must come have come: those of whole phrases, and of the one that
        has got furthest."""
        matched = [_matched(symbols, phrase) for phrase in self.must]
        whole = sum(count for count, phrase in zip(matched, self.must, strict=True) if count == len(phrase))
        begun = [count for count, phrase in zip(matched, self.must, strict=True) if count < len(phrase)]
        return whole + max(begun, default=0)

    @property
    def wanted(self) -> int:
        """The progress of a text that has every phrase."""
        return sum(map(len, self.must))

    def banned(self, symbols: Phrase) -> Iterator[int]:
        """Yield the symbols that must not come after these."""
        for phrase in self.must_not:
            head = len(phrase) - 1
            if head <= len(symbols) and symbols[len(symbols) - head :] == phrase[:-1]:
                yield phrase[-1]
        if self.must and self.progress(symbols) < self.wanted:
            yield END


def repeated(symbols: Phrase, count: int) -> Iterator[int]:
    """Yield the symbols that would make a sequence of `count` symbols come a second time."""
    if not count or len(symbols) < count:
        return
    head = symbols[len(symbols) - count + 1 :]
    for begin in range(len(symbols) - count + 1):
        if symbols[begin : begin + count - 1] == head:
            yield symbols[begin + count - 1]


def with_phrases(total: Tensor, texts: Sequence[Phrase], constraints: Constraints) -> list[tuple[int, int]]:
    """Choose how the texts of one row go on so that every phrase gets its turn; return `(text, symbol)`, best first.

    total (width, symbols): the log-probability of each text with each symbol. Candidates are the best ones, and for
    each text its best one and those that a phrase needs next; as many are taken of each progress as there are, in turn
    from the furthest down (after the banks of Post & Vilar 2018, "Fast lexically constrained decoding").
    """
    width, symbols = total.shape
    values, best = total.flatten().topk(min(2 * width, total.numel()))
    candidates = {divmod(place, symbols) for place in best[values > NEVER].tolist()}
    for row, text in enumerate(texts):
        needed = {phrase[_matched(text, phrase) % len(phrase)] for phrase in constraints.must}
        candidates |= {(row, symbol) for symbol in (*needed, int(total[row].argmax())) if total[row, symbol] > NEVER}
    banks: dict[int, list[tuple[float, int, int]]] = {}
    for row, symbol in candidates:
        text = texts[row] if symbol == END else (*texts[row], symbol)
        banks.setdefault(constraints.progress(text), []).append((-float(total[row, symbol]), row, symbol))
    queues = [sorted(banks[progress]) for progress in sorted(banks, reverse=True)]
    chosen: list[tuple[float, int, int]] = []
    while len(chosen) < width and any(queues):
        chosen += [queue.pop(0) for queue in queues if queue][: width - len(chosen)]
    return [(row, symbol) for _, row, symbol in sorted(chosen)]


def _matched(symbols: Phrase, phrase: Phrase) -> int:
    """Return the length of a phrase that has come, or of the beginning of it with which the symbols end."""
    if _contains(symbols, phrase):
        return len(phrase)
    for length in range(min(len(phrase) - 1, len(symbols)), 0, -1):
        if symbols[-length:] == phrase[:length]:
            return length
    return 0


def _contains(symbols: Phrase, phrase: Phrase) -> bool:
    return any(symbols[begin : begin + len(phrase)] == phrase for begin in range(len(symbols) - len(phrase) + 1))
