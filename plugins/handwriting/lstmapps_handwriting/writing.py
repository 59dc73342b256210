"""Finds the writing in a line: what is ink and what paper, how it slopes, how high it is, and where it stands.

Every column stands for the same share of the line afterwards as before, so that places stay what they were.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

_PAPER = 75  # percentile of the brightness within a piece of a row that paper has: there is less ink than paper
_SKIP = 2  # every second row and column tell as much of the light
_DARKEST = 99.5  # percentile of the darkness that is black
_BLACK = 0.02  # light that paper has at least
_PALEST = 0.15  # darkness of ink against its paper, from which on contrast is not raised any more: dirt stays pale
_STEEPEST, _COARSE, _FINE = 6, 1.0, 0.25  # degrees to either side, and between slopes that are tried
_CLEARER = 1.02  # how much clearer rows must be for a slope to be believed
_INKED = 0.35  # what counts as ink where writing is looked for
_RULED = 0.6  # of the columns: a row with more ink is ruled, not written
_NOISE = 20  # percentile of the ink in a row that noise has
_FROM, _TO = 0.05, 0.95  # of the ink, counted from above: between them lies the height of the writing
_SMALLEST, _LARGEST = 0.5, 3.0  # what writing is scaled by at most, against the height of its picture
_WIDEST = 12_000  # columns that a line is scaled up to
_SHORT = 4.0  # heights: of a shorter line the writing's own height says less

Ink = NDArray[np.float32]
"""How dark each pixel (rows, columns) is against its paper, 0 to 1."""


def normalised(x: Tensor, height: int, share: float) -> Tensor:
    """Return x (columns, rows), 0 for white to 1 for black, as ink (columns, height), level and of one size.

    share: of the height, that the middle nine tenths of the ink take.
    """
    ink = ink_of(1.0 - x.T.numpy().astype(np.float32))
    rows, columns = ink.shape
    seen = _smooth(ink)
    slope = slope_of(seen)
    middle, scale = _place(seen, slope, height, share)
    width = max(1, round(columns * scale))
    picture = Image.fromarray(ink)
    if scale < 1.0:  # smooth first: a coarse grid would miss strokes
        picture = picture.resize((width, max(1, round(rows * scale))), Image.Resampling.BOX)
        middle, slope = (middle + 0.5) * picture.height / rows - 0.5, slope * picture.height / rows * columns / width
    across, down = picture.width / width, min(1.0, 1.0 / scale)
    # row r of the result shows row middle + (r - (height - 1) / 2) * down, lowered along the slope
    top = middle + 0.5 - down * height / 2 - slope * picture.width / 2
    matrix = (across, 0.0, 0.0, slope * across, down, top)
    moved = picture.transform((width, height), Image.Transform.AFFINE, matrix, Image.Resampling.BILINEAR)
    return torch.from_numpy(np.asarray(moved, dtype=np.float32).T.copy()).clamp_(0.0, 1.0)


def ink_of(light: Ink) -> Ink:
    """Return how dark each pixel is against the paper around it, of light (rows, columns), 0 for black to 1 for white.

    Writing lighter than its paper, as on a blackboard, is turned. Light may fall along the line and across it.
    """
    pieces = _pieces(light)
    if _paler(light, pieces):
        light, pieces = 1.0 - light, 1.0 - pieces
    paper = _paper(pieces, light.shape)
    ink = (paper - light) / np.maximum(paper, _BLACK)
    darkest = float(_percentile(ink[::_SKIP, ::_SKIP].ravel(), _DARKEST, 0))
    return np.asarray(np.clip(ink / max(darkest, _PALEST), 0.0, 1.0), dtype=np.float32)


def slope_of(ink: Ink) -> float:
    """Return by how many rows the writing falls with each column: the slope along which rows are clearest.

    Rows are clear if few hold much ink: the sum of squares of the ink in each is tried for many slopes, coarsely, and
    then finely around the best.
    """
    rows, columns = ink.shape
    if columns < 2 * rows or not (ink > _INKED).any():
        return 0.0
    coarse = [degrees * _COARSE for degrees in range(-_STEEPEST, _STEEPEST + 1)]
    pixels = _Pixels(ink)
    clearness = {degrees: pixels.clearness(degrees) for degrees in coarse}
    best = max(clearness, key=clearness.__getitem__)
    fine = [best + part * _FINE for part in range(-3, 4) if part]
    clearness |= {degrees: pixels.clearness(degrees) for degrees in fine}
    best = max(clearness, key=clearness.__getitem__)
    if clearness[best] < _CLEARER * clearness[0.0]:
        return 0.0
    left, right = (clearness.get(best + side * _FINE) for side in (-1, 1))
    if left is not None and right is not None:  # the top of a parabola through three
        bend = left - 2 * clearness[best] + right
        best += 0.5 * _FINE * (left - right) / bend if bend else 0.0
    return math.tan(math.radians(best))


def _place(ink: Ink, slope: float, height: int, share: float) -> tuple[float, float]:
    """Return the row in the middle of the writing, at the middle column, and what the line is scaled by."""
    rows, columns = ink.shape
    usual = height / rows
    pixels = _Pixels(ink)
    profile, above = pixels.profile(slope, pixels.darkness)
    counts, _ = pixels.profile(slope, None)
    profile[counts > _RULED * columns] = 0.0
    profile = np.clip(profile - np.percentile(profile, _NOISE), 0.0, None)
    total = np.cumsum(profile)
    if total[-1] <= rows / 8:
        return (rows - 1) / 2, usual
    top, bottom = (float(np.interp(part * total[-1], total, np.arange(len(total)))) - above for part in (_FROM, _TO))
    own = share * height / max(bottom - top, 1.0)
    trust = min(1.0, columns / rows / _SHORT)
    scale = own**trust * usual ** (1.0 - trust)
    return (top + bottom) / 2, min(max(scale, _SMALLEST * usual), _LARGEST * usual, max(usual, _WIDEST / columns))


def _smooth(ink: Ink) -> Ink:
    """Return the mean of each pixel and the eight around it: strokes stay, and most grains of noise turn pale."""
    wide = np.pad(ink, 1, mode="edge")
    rows = wide[:-2] + wide[1:-1] + wide[2:]
    return np.asarray((rows[:, :-2] + rows[:, 1:-1] + rows[:, 2:]) / 9, dtype=np.float32)


class _Pixels:
    """The inked pixels of a line, and how they lie along rows that fall."""

    def __init__(self, ink: Ink) -> None:
        self.rows, self.columns = ink.shape
        self.row, column = np.nonzero(ink > _INKED)
        self.darkness = ink[self.row, column]
        self.aside = (column - self.columns / 2).astype(np.float32)

    def profile(self, slope: float, weights: Ink | None) -> tuple[NDArray[np.float64], int]:
        """Return the sums of weights, or the pixels, on each row that falls with the slope, and how many lie above."""
        above = math.ceil(abs(slope) * self.columns / 2) + 1
        level = (self.row - np.float32(slope) * self.aside + np.float32(above + 0.5)).astype(np.int32)
        return np.bincount(level, weights, self.rows + 2 * above).astype(np.float64), above

    def clearness(self, degrees: float) -> float:
        """Return how clear rows are that fall by so many degrees."""
        sums, _ = self.profile(math.tan(math.radians(degrees)), self.darkness)
        return float(np.square(sums[:-1] + sums[1:]).sum())


def _pieces(light: Ink) -> Ink:
    """Return (pieces, columns, rows): pieces about as wide as the line is high, at least two, seen coarsely."""
    rows, columns = light.shape
    count = max(2, round(columns / rows))
    inside = (np.arange(max(1, rows // _SKIP)) + 0.5) / max(1, rows // _SKIP)  # where columns of a piece are looked at
    return light[::_SKIP].T[((np.arange(count)[:, None] + inside) * (columns / count)).astype(int)]


def _paler(light: Ink, pieces: Ink) -> bool:
    """Tell whether writing is lighter than its paper: what differs from the paper around, and from its row, is writing.

    So the edge of a page, which fills its rows, is none.
    """
    columns = light.shape[1]
    coarse = light[::_SKIP].T
    from_paper = coarse - _between(_percentile(pieces.reshape(len(pieces), -1), 50, 1), columns)[:, None]
    from_row = coarse - _between(pieces.mean(axis=1), columns)
    return float((from_paper * np.square(from_row)).sum()) > 0.0


def _paper(pieces: Ink, shape: tuple[int, ...]) -> Ink:
    """Return the light of the paper (rows, columns): that of the upper and lower half of each piece, and between."""
    rows, columns = shape
    of_rows = _percentile(pieces, _PAPER, 1)
    halves = np.array_split(of_rows, min(2, of_rows.shape[1]), axis=1)
    return _between(np.stack([_between(np.median(half, axis=1), columns) for half in halves]), rows)


def _between(values: Ink, size: int) -> Ink:
    """Return values (pieces, …) of pieces at each of so many places (size, …), on lines through their middles."""
    place = (np.arange(size) + 0.5) * (len(values) / size) - 0.5
    left = np.clip(place.astype(int), 0, len(values) - 2)
    share = (place - left).astype(np.float32).reshape(-1, *[1] * (values.ndim - 1))
    return np.asarray(values[left] * (1 - share) + values[left + 1] * share, dtype=np.float32)


def _percentile(values: Ink, percent: float, axis: int) -> Ink:
    """Return a percentile along an axis, that of the nearest pixel; numpy.percentile takes four times as long."""
    place = round(percent / 100 * (values.shape[axis] - 1))
    return np.asarray(np.partition(values, place, axis=axis).take(place, axis=axis))
