"""Lines of any text, set in fonts that imitate handwriting: what a network may learn before it sees real hands."""

from __future__ import annotations

import os
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from lstmapps.data import Sample, Source, between, chance, read_lines, seeded
from lstmapps.errors import UserError
from lstmapps_handwriting.disturbances import noisy, ruled, squared, unevenly_lit

_ROWS = 80  # of a line
_LOWEST, _HIGHEST = 13.0, 24.0  # pixels of a small letter
_WIDEST = 3_000  # columns that a line has at most
_FONTS = {".ttf", ".otf"}
_TRIES = 100  # to find words that make a text of the length that is asked for
_UNKNOWN = "\U0010fffe"  # no font has this symbol: what is drawn for it is drawn for all that it lacks


class TypesetLines(Source):
    """Lines of `shortest` to `longest` characters, cut between words out of texts, each in a font drawn by chance.

    Words stand unevenly, in pencil or in ink, on paper that is plain, ruled or squared. A font that lacks a character
    of a line does not write it; a line that no font can write, or that is too wide, is left out.

    fonts: a folder of TrueType or OpenType fonts. texts: a file of texts in UTF-8, read as one. Both may begin with a
    variable, as in `$LSTMAPPS_DATA/french/fonts`.
    """

    def __init__(self, fonts: str, texts: str, count: int, shortest: int = 4, longest: int = 60, seed: int = 0) -> None:
        if not 1 <= shortest <= longest:
            raise ValueError(f"lines of {shortest} to {longest} characters: give 1 or more, the shortest first")
        self.fonts, self.texts = _path(fonts), _path(texts)
        self.count, self.shortest, self.longest, self.seed = count, shortest, longest, seed

    def samples(self) -> Iterator[Sample]:
        fonts = sorted(path for path in self.fonts.glob("*") if path.suffix.lower() in _FONTS)
        if not fonts:
            raise UserError(f"{self.fonts} holds no fonts (.ttf, .otf); give their folder")
        words = [word for _, line in read_lines(self.texts) for word in line.split()]
        if not words:
            raise UserError(f"{self.texts} holds no words; give a file of texts")
        for number in range(self.count):
            with seeded(self.seed * 1_000_003 + number):
                text = self._text(words)
                able = [font for font in fonts if _writes(font, text)]
                line = _line(text, _any(able)) if able else None
            if line is not None:
                yield Sample(f"typeset {number}", line, text)

    def _text(self, words: list[str]) -> str:
        """Return some words that follow each other, a few in capitals; too short a text only if there is no other."""
        text = ""
        for _ in range(_TRIES):
            length = between(self.shortest, self.longest + 1)
            place = int(torch.randint(len(words), ()))
            text = words[place]
            while len(text) + 1 + len(words[(place + 1) % len(words)]) <= length:
                place = (place + 1) % len(words)
                text = f"{text} {words[place]}"
            if self.shortest <= len(text) <= self.longest:
                break
        return text.upper() if chance(0.05) else text


def _path(text: str) -> Path:
    return Path(os.path.expandvars(text)).expanduser()


def _line(text: str, path: Path) -> np.ndarray | None:
    """Return a picture (rows, columns) of a text in a font, 0 for black to 255 for white; None if it is too wide."""
    ink = _written(text, _font(path, between(_LOWEST, _HIGHEST)))
    if ink is None:
        return None
    dark = between(0.15, 0.95)  # pencil is pale, and leaves grains of the paper white
    if dark < 0.6:
        ink = ink * (1 - between(0.0, 0.8) * torch.rand(ink.shape))
    paper = torch.full(ink.shape, between(0.0, 0.35))
    if chance(0.5):
        paper = squared(paper, between(1.0, 4.0)) if chance(0.5) else ruled(paper, between(1.0, 4.0))
    x = paper + (1 - paper) * dark * ink
    x = unevenly_lit(x, between(0.0, 30.0)) if chance(0.3) else x
    return _bytes(noisy(x, between(0.0, 4.0)))


def _font(path: Path, height: float) -> ImageFont.FreeTypeFont:
    """Return a font whose small letters are so many pixels high."""
    font = ImageFont.truetype(path, 100)
    _, top, _, bottom = font.getbbox("x", anchor="ls")
    return font.font_variant(size=round(100 * height / max(1.0, bottom - top)))


def _written(text: str, font: ImageFont.FreeTypeFont) -> Tensor | None:
    """Return the ink (columns, rows) of words, each a little higher or lower, larger or smaller than the one before."""
    picture = Image.new("L", (_WIDEST, _ROWS), 0)
    draw = ImageDraw.Draw(picture)
    space = font.size * between(0.25, 0.9)
    stroke = 1 if chance(0.2) else 0
    x, base = between(2.0, 30.0), _ROWS * between(0.6, 0.75)
    drift = between(-0.003, 0.003)
    for word in text.split(" "):
        font = font.font_variant(size=round(font.size * between(0.95, 1.05)))
        draw.text((x, base + between(-2.0, 2.0)), word, fill=255, font=font, anchor="ls", stroke_width=stroke)
        width = font.getlength(word) + space * between(0.7, 1.4)
        x, base = x + width, base + drift * width
    columns = max(8, round(x - space / 2 + between(2.0, 30.0)))
    if columns > _WIDEST:
        return None
    return torch.from_numpy(np.asarray(picture)[:, :columns].T.copy()).float() / 255


def _bytes(x: Tensor) -> np.ndarray:
    return ((1 - x.T) * 255).round().clamp(0, 255).to(torch.uint8).numpy()


def _writes(font: Path, text: str) -> bool:
    """Tell whether a font has every character of a text."""
    return all(_has(font, character) for character in set(text) - {" "})


@lru_cache(maxsize=100_000)
def _has(path: Path, character: str) -> bool:
    font = ImageFont.truetype(path, 20)
    drawn = font.getmask(character)
    unknown = font.getmask(_UNKNOWN)
    return drawn.getbbox() is not None and (drawn.size, bytes(drawn)) != (unknown.size, bytes(unknown))


def _any(fonts: list[Path]) -> Path:
    return fonts[int(torch.randint(len(fonts), ()))]
