"""Lines of paper on which nothing is written: white, grey, grainy, unevenly lit, ruled, soiled."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from lstmapps.data import Sample, Source, between, chance, seeded
from lstmapps_handwriting.disturbances import noisy, ruled, unevenly_lit

_ROWS = 100
_SIZE = (1_600, _ROWS)  # columns and rows of a line without writing
_DARKEST = 0.6  # paper, of 1 for black


class Blanks(Source):
    """Lines of `narrowest` to `widest` times their height, each made by chance."""

    def __init__(self, count: int, narrowest: float = 2.0, widest: float = 16.0, seed: int = 0) -> None:
        if not 0.1 <= narrowest <= widest <= 100:
            raise ValueError(
                f"lines {narrowest} to {widest} times as wide as high: give 0.1 to 100, the narrowest first"
            )
        self.count, self.narrowest, self.widest, self.seed = count, narrowest, widest, seed

    def samples(self) -> Iterator[Sample]:
        for number in range(self.count):
            with seeded(self.seed * 1_000_003 + number):
                x = torch.full((round(between(self.narrowest, self.widest) * _ROWS), _ROWS), between(0.0, _DARKEST))
                x = ruled(x, between(1.0, 6.0)) if chance(0.3) else x
                x = spotted(x, round(between(0.0, 40.0))) if chance(0.5) else x
                x = unevenly_lit(x, between(0.0, 60.0)) if chance(0.5) else x
                x = noisy(x, between(0.0, 8.0))
                x = 1 - x if chance(0.1) else x
            yield Sample(f"nothing written {number}", _picture(x), "")


def blank_lines() -> Iterator[Sample]:
    """Yield a line of each thing that a reader should not take for writing."""
    white = torch.zeros(_SIZE)
    with seeded(0):
        lines = {
            "white paper": white,
            "grey paper": white + 0.3,
            "black paper": white + 1.0,
            "grainy paper": noisy(white + 0.1, 3.0),
            "uneven light": unevenly_lit(noisy(white + 0.05, 1.0), 50.0),
            "ruled paper": ruled(white, 3.0),
            "spots": spotted(white, 30),
        }
    for name, x in lines.items():
        yield Sample(name, _picture(x))


def spotted(x: Tensor, count: int) -> Tensor:
    """Soil x (width, height), 1 for ink, with so many spots of up to a tenth of the height."""
    width, height = x.shape
    spots = x.clone()
    across, down = torch.arange(width).unsqueeze(1), torch.arange(height)
    for _ in range(count):
        column, row, radius, dark = (between(0.0, 1.0) for _ in range(4))
        distance = (across - column * width).square() + (down - row * height).square()
        spots = torch.where(distance <= (0.1 * radius * height) ** 2, dark, spots)
    return spots


def _picture(x: Tensor) -> np.ndarray:
    return ((1 - x.T) * 255).round().to(torch.uint8).numpy()
