"""The symbols a network can write, and how a trained network changes them."""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

from lstmapps.errors import UserError
from lstmapps.text.direction import logical_order, visual_order
from lstmapps.text.normalisation import UnicodeForm
from lstmapps.text.pieces import SPACE, learn_pieces, split

BLANK = 0
"""The index of the CTC blank in every vocabulary."""


class Vocabulary:
    """Symbols at indices 1, 2, …; index 0 is the blank.

    Symbols are characters of texts in `unicode_form`, and texts are brought into it before they are
    looked up: `é` is found whether it was typed as one character or as two. With `scores`, the
    log-probability of each, symbols are pieces of words (see `lstmapps.text.pieces`). If `visual`, the symbols of
    a text come in the order in which they stand on a line (see `lstmapps.text.direction`).
    """

    def __init__(
        self,
        symbols: Sequence[str],
        unicode_form: UnicodeForm = "NFC",
        scores: Sequence[float] | None = None,
        *,
        visual: bool = False,
    ) -> None:
        if len(set(symbols)) != len(symbols):
            raise ValueError("a vocabulary holds each symbol once")
        if scores is not None and len(scores) != len(symbols):
            raise ValueError("each piece has one score")
        self.scores = None if scores is None else tuple(scores)
        self.symbols = tuple(symbols)
        self.unicode_form = unicode_form
        self.visual = visual
        self._pieces = {} if self.scores is None else dict(zip(self.symbols, self.scores, strict=True))
        self._index = {symbol: i for i, symbol in enumerate(self.symbols, start=1)}

    @classmethod
    def learn(
        cls, texts: Iterable[str], unicode_form: UnicodeForm = "NFC", units: int = 0, *, visual: bool = False
    ) -> Vocabulary:
        """Return the characters of the texts, in code-point order, or about `units` pieces of their words."""
        empty = cls([], unicode_form, visual=visual)
        written = [empty.written(text) for text in texts]
        if units:
            pieces = learn_pieces(written, units)
            return cls(list(pieces), unicode_form, list(pieces.values()), visual=visual)
        return cls(sorted({character for text in written for character in text}), unicode_form, visual=visual)

    def written(self, text: str) -> str:
        """Return a text in the vocabulary's Unicode form and order."""
        text = unicodedata.normalize(self.unicode_form, text)
        return visual_order(text)[0] if self.visual else text

    def read(self, text: str) -> tuple[str, list[int]]:
        """Return, of a text in the vocabulary's order, how it is read, and each character's place in `text`."""
        return logical_order(text) if self.visual else (text, list(range(len(text))))

    def extended(self, symbols: Iterable[str], *, visual: bool = False) -> Vocabulary:
        """Return this vocabulary with further characters behind its own symbols, in visual order if either asks so."""
        visual = visual or self.visual
        own = set(self.symbols) | (set() if self.scores is None else {" "})
        added = tuple(symbol for symbol in symbols if symbol not in own)
        if self.scores is None:
            return Vocabulary(self.symbols + added, self.unicode_form, visual=visual)
        scores = self.scores + (min(self.scores),) * len(added)
        return Vocabulary(self.symbols + added, self.unicode_form, scores, visual=visual)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Vocabulary):
            return NotImplemented
        own = (self.symbols, self.unicode_form, self.scores, self.visual)
        return own == (other.symbols, other.unicode_form, other.scores, other.visual)

    def __hash__(self) -> int:
        return hash((self.symbols, self.unicode_form))

    def __len__(self) -> int:
        """The number of indices, the blank included."""
        return len(self.symbols) + 1

    def encode(self, text: str) -> list[int]:
        """Return the indices of a text's symbols; raises KeyError on an unknown one (see `unknown`)."""
        text = self.written(text)
        if self.scores is None:
            return [self._index[character] for character in text]
        return [self._index[piece] for piece in split(text, self._pieces)]

    def unknown(self, text: str) -> list[str]:
        """Return the characters of a text that are not in the vocabulary, each once, in order."""
        characters = dict.fromkeys(self.written(text))
        if self.scores is not None:
            characters.pop(" ", None)
        return [character for character in characters if character not in self._index]

    def decode(self, indices: Iterable[int]) -> str:
        """Return the text of indices; blanks are left out."""
        text = "".join(self.text_of(i) for i in indices if i != BLANK).removeprefix("" if self.scores is None else " ")
        return self.read(text)[0]

    def text_of(self, index: int) -> str:
        """Return what a symbol writes; a piece that begins a word writes a space before it."""
        symbol = self.symbols[index - 1]
        return symbol if self.scores is None else symbol.replace(SPACE, " ")

    def save(self, path: Path) -> None:
        content: dict[str, object] = {"unicode_form": self.unicode_form, "symbols": list(self.symbols)}
        if self.scores is not None:
            content["scores"] = list(self.scores)
        if self.visual:
            content["order"] = "visual"
        path.write_text(json.dumps(content, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")

    @classmethod
    def load(cls, path: Path) -> Vocabulary:
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
            symbols, form = content["symbols"], content["unicode_form"]
            if not all(isinstance(symbol, str) and symbol for symbol in symbols):
                raise ValueError("a symbol is not a character")
            if form not in get_args(UnicodeForm):
                raise ValueError(f"unknown Unicode form {form!r}")
            scores = content.get("scores")
            scores = None if scores is None else [float(score) for score in scores]
            return cls(symbols, form, scores, visual=content.get("order") == "visual")
        except FileNotFoundError:
            raise UserError(f"{path} is missing; the model package is incomplete, copy it again") from None
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            raise UserError(f"{path} is not a vocabulary ({error}); copy the model package again") from None


@dataclass(frozen=True)
class VocabularyChange:
    """How a network moves from one vocabulary to another.

    `sources` gives for each index of the new vocabulary, the blank included, the index of the old
    one whose row it starts from, or None for a row that starts at random.
    """

    new: Vocabulary
    sources: tuple[int | None, ...]
    kept: tuple[str, ...]
    added: tuple[tuple[str, str | None], ...]  # new symbol, and the old one it looks like
    dropped: tuple[str, ...]

    @classmethod
    def between(cls, old: Vocabulary, new: Vocabulary) -> VocabularyChange:
        """Match symbols by identity; a new one starts from a look-alike: its base letter or other case."""
        index = old._index
        sources: list[int | None] = [BLANK]
        kept, added = [], []
        for symbol in new.symbols:
            if symbol in index:
                sources.append(index[symbol])
                kept.append(symbol)
            else:
                twin = next((c for c in _look_alikes(symbol) if c in index), None)
                sources.append(index[twin] if twin else None)
                added.append((symbol, twin))
        dropped = tuple(symbol for symbol in old.symbols if symbol not in set(new.symbols))
        return cls(new, tuple(sources), tuple(kept), tuple(added), dropped)

    def __str__(self) -> str:
        added = ", ".join(f"{symbol!r}" + (f" (from {twin!r})" if twin else "") for symbol, twin in self.added)
        dropped = ", ".join(repr(symbol) for symbol in self.dropped)
        lines = [f"{len(self.kept)} symbols kept"]
        lines.append(f"{len(self.added)} new" + (f": {added}" if added else ""))
        lines.append(f"{len(self.dropped)} dropped" + (f": {dropped}" if dropped else ""))
        return "; ".join(lines)


_TWINS = {"’": "'", "'": "’", "“": '"', "”": '"', "«": '"', "»": '"', "–": "-", "—": "-", "…": ".", "œ": "o", "æ": "a"}


def _look_alikes(symbol: str) -> list[str]:
    """Return what a symbol resembles, the closest first."""
    base = unicodedata.normalize("NFKD", symbol)[0]
    candidates = [_TWINS.get(symbol, ""), base, symbol.swapcase(), base.swapcase()]
    return [c for c in candidates if c and c != symbol]
