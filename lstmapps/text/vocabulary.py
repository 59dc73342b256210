"""The symbols a network can write, and how a trained network changes them."""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import get_args

from lstmapps.errors import UserError
from lstmapps.text.direction import logical_order, visual_order
from lstmapps.text.normalisation import UnicodeForm
from lstmapps.text.pieces import SPACE, UNKNOWN, Pieces, Units

BLANK = 0
"""The index in every vocabulary that writes nothing: CTC's blank, or where a text that is generated begins and ends."""


class Vocabulary:
    """Symbols at indices 1, 2, …; index 0 writes nothing.

    Symbols are characters of texts in `unicode_form`, and texts are brought into it before they are
    looked up: `é` is found whether it was typed as one character or as two. With `pieces`, the first symbols are the
    pieces of words of that SentencePiece model, in its order. If `visual`, the symbols of
    a text come in the order in which they stand on a line (see `lstmapps.text.direction`).
    """

    def __init__(
        self,
        symbols: Sequence[str],
        unicode_form: UnicodeForm = "NFC",
        pieces: Pieces | None = None,
        *,
        visual: bool = False,
    ) -> None:
        if len(set(symbols)) != len(symbols):
            raise ValueError("a vocabulary holds each symbol once")
        if pieces is not None and list(symbols[: len(pieces.symbols())]) != pieces.symbols():
            raise ValueError("its symbols are not the pieces of the SentencePiece model")
        self.pieces = pieces
        self.symbols = tuple(symbols)
        self.unicode_form = unicode_form
        self.visual = visual
        self._index = {symbol: i for i, symbol in enumerate(self.symbols, start=1)}

    @classmethod
    def learn(
        cls,
        texts: Iterable[str],
        unicode_form: UnicodeForm = "NFC",
        units: Units | int = 0,
        *,
        visual: bool = False,
    ) -> Vocabulary:
        """Return the characters of the texts, in code-point order, or about so many pieces of their words."""
        units = Units(units) if isinstance(units, int) else units
        empty = cls([], unicode_form, visual=visual)
        written = [empty.written(text) for text in texts]
        if units.count:
            pieces = Pieces.learn(written, units)
            return cls(pieces.symbols(), unicode_form, pieces, visual=visual)
        return cls(sorted({character for text in written for character in text}), unicode_form, visual=visual)

    @property
    def is_subword(self) -> bool:
        """Whether symbols are pieces of words, which write the space before a word with it."""
        return self.pieces is not None

    def written(self, text: str) -> str:
        """Return a text in the vocabulary's Unicode form and order."""
        text = unicodedata.normalize(self.unicode_form, text)
        return visual_order(text)[0] if self.visual else text

    def read(self, text: str) -> tuple[str, list[int]]:
        """Return, of a text in the vocabulary's order, how it is read, and each character's place in `text`."""
        return logical_order(text) if self.visual else (text, list(range(len(text))))

    def extended(self, symbols: Iterable[str], *, visual: bool = False) -> Vocabulary:
        """Return this vocabulary with further characters behind its own symbols, in visual order if either asks so."""
        own = {*self.symbols, " "} if self.is_subword else set(self.symbols)
        added = tuple(symbol for symbol in symbols if symbol not in own)
        return Vocabulary(self.symbols + added, self.unicode_form, self.pieces, visual=visual or self.visual)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Vocabulary):
            return NotImplemented
        return self._content() == other._content()

    def __hash__(self) -> int:
        return hash((self.symbols, self.unicode_form))

    def _content(self) -> tuple[object, ...]:
        return self.symbols, self.unicode_form, self.pieces and self.pieces.content, self.visual

    def __len__(self) -> int:
        """The number of indices, that of nothing included."""
        return len(self.symbols) + 1

    def encode(self, text: str) -> list[int]:
        """Return the indices of a text's symbols; raises KeyError on an unknown one (see `unknown`)."""
        return [self._index[symbol] for symbol in self._cut(text)]

    def read_in(self, text: str, sampling: float = 0.0, seed: int = 0) -> list[int]:
        """Return the indices of a text that a network reads: 0 for an unknown symbol.

        With `sampling`, of a way to cut it into pieces that is drawn by `seed` (see `Units`).
        """
        return [self._index.get(symbol, BLANK) for symbol in self._cut(text, sampling, seed)]

    def _cut(self, text: str, sampling: float = 0.0, seed: int = 0) -> list[str]:
        text = self.written(text)
        if self.pieces is None:
            return list(text)
        cut = self.pieces.drawn(text, sampling, seed) if sampling else self.pieces.cut(text)
        symbols: list[str] = []
        for piece in cut:
            if piece in self._index:
                symbols.append(piece)
            else:  # a stretch of unknown words, or of characters that the model has not, but perhaps the vocabulary
                symbols += [UNKNOWN] * piece.count(SPACE) if self.has_unknown else piece
        return symbols

    def unknown(self, text: str) -> list[str]:
        """Return the characters of a text that are not in the vocabulary, each once, in order."""
        if self.has_unknown:
            return []
        characters = dict.fromkeys(self.written(text))
        if self.is_subword:
            characters.pop(" ", None)
        return [character for character in characters if character not in self._index]

    def decode(self, indices: Iterable[int]) -> str:
        """Return the text of indices; those that write nothing are left out."""
        text = "".join(self.text_of(i) for i in indices if i != BLANK).removeprefix(" " if self.is_subword else "")
        return self.read(text)[0]

    def text_of(self, index: int) -> str:
        """Return what a symbol writes; a piece that begins a word writes a space before it."""
        symbol = self.symbols[index - 1]
        return symbol.replace(SPACE, " ") if self.is_subword else symbol

    @property
    def has_unknown(self) -> bool:
        """Whether a symbol of its own stands for every word that the vocabulary has not."""
        return UNKNOWN in self._index

    @property
    def never_written(self) -> list[int]:
        """The indices that stand in texts that are learnt, and in none that is written."""
        return [self._index[UNKNOWN]] if self.has_unknown else []

    @cached_property
    def silent(self) -> list[int]:
        """The indices that write nothing, or white space alone."""
        return [BLANK, *(i for i in range(1, len(self)) if not self.text_of(i).strip())]

    def save(self, path: Path) -> None:
        """Write the vocabulary as JSON, and its pieces, if it has any, beside it (see `pieces_path`)."""
        content: dict[str, object] = {"unicode_form": self.unicode_form, "symbols": list(self.symbols)}
        if self.visual:
            content["order"] = "visual"
        if self.pieces is not None:
            content["pieces"] = pieces_path(path).name
            pieces_path(path).write_bytes(self.pieces.content)
        path.write_text(json.dumps(content, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")

    @classmethod
    def load(cls, path: Path) -> Vocabulary:
        """Read what `save` has written; raises UserError."""
        at_fault = path
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
            symbols, form = content["symbols"], content["unicode_form"]
            if not all(isinstance(symbol, str) and symbol for symbol in symbols):
                raise ValueError("a symbol is not a character")
            if form not in get_args(UnicodeForm):
                raise ValueError(f"unknown Unicode form {form!r}")
            pieces = None
            if content.get("pieces"):
                at_fault = pieces_path(path)
                pieces = Pieces(at_fault.read_bytes())
            return cls(symbols, form, pieces, visual=content.get("order") == "visual")
        except FileNotFoundError:
            raise UserError(f"{at_fault} is missing; the model package is incomplete, copy it again") from None
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            raise UserError(f"{at_fault} is not a vocabulary ({error}); copy the model package again") from None


def pieces_path(path: Path) -> Path:
    """Return where the SentencePiece model of a vocabulary's file lies."""
    return path.with_suffix(".model")


@dataclass(frozen=True)
class VocabularyChange:
    """How a network moves from one vocabulary to another.

    `sources` gives for each index of the new vocabulary, the blank included, the index of the old
    one whose row it starts from, or None for a row that starts from the mean of all.
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
