"""Variations of a line of writing, as other hands, pens and scanners would have made it."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional

from lstmapps.data import between, chance
from lstmapps_handwriting.disturbances import (
    blurred,
    coarser,
    compressed,
    noisy,
    ruled,
    squared,
    turned,
    two_toned,
    unevenly_lit,
    with_margins,
)


def vary_line(x: Tensor, strength: float) -> Tensor:
    """Return a varied copy of x (width, height) in [0, 1]; the width may change by up to 15 %.

    Geometry (stretch, slant, slope, shift and two scales of elastic waves; Simard et al. 2003), then
    the stroke (thicker, thinner or blurred), contrast and noise. `strength` scales all of them.
    """
    image = _warp(x.T, strength)
    image = _stroke(image, strength)
    image = image.clamp(0, 1) ** math.exp(between(-0.4, 0.4) * strength)
    if chance(0.5):
        image = image + torch.randn(image.shape) * (between(0.0, 0.05) * strength)
    return image.clamp(0, 1).T.contiguous()


def worn(x: Tensor) -> Tensor:
    """Return x (width, height) as one thing leaves it that happens to lines out there, drawn by chance.

    How strongly leans to the strong end, where there is most to learn.
    """
    things: list[tuple[Callable[[Tensor, float], Tensor], float, float]] = [
        (coarser, 90.0, 35.0),
        (compressed, 50.0, 5.0),
        (blurred, 0.5, 2.5),
        (noisy, 2.0, 12.0),
        (two_toned, 25.0, 60.0),
        (ruled, 1.0, 5.0),
        (squared, 1.0, 4.0),
        (unevenly_lit, 10.0, 60.0),
        (with_margins, 5.0, 40.0),
        (turned, 0.0, 3.0),
    ]
    thing, mildest, strongest = things[int(torch.randint(len(things), ()))]
    return thing(x, mildest + (strongest - mildest) * math.sqrt(between(0.0, 1.0)))


def _warp(image: Tensor, strength: float) -> Tensor:
    height, width = image.shape
    new_width = max(4, round(width * math.exp(between(-0.15, 0.15) * strength)))
    rows = torch.arange(height).float().unsqueeze(1).expand(height, new_width)
    columns = ((torch.arange(new_width) + 0.5) * (width / new_width) - 0.5).expand(height, new_width)
    middle = (height - 1) / 2
    unit = height / 64  # the sizes below are in pixels of a line 64 high
    slant = between(-0.35, 0.35) * strength
    stretch = math.exp(between(-0.12, 0.12) * strength)
    shift = between(-3.0, 3.0) * strength * unit
    slope = between(-4.0, 4.0) * strength * unit / width
    x = columns + slant * (rows - middle)
    y = (rows - middle) * stretch + middle + shift + slope * (columns - width / 2)
    for cell, reach in ((24, 1.6), (64, 2.5)):
        waves = torch.randn(1, 2, height // round(cell * unit) + 2, new_width // round(cell * unit) + 2)
        waves = functional.interpolate(waves, size=(height, new_width), mode="bicubic", align_corners=True)[0]
        waves = waves * (reach * unit * strength * between(0.0, 1.0))
        x, y = x + waves[0], y + waves[1]
    grid = torch.stack([2 * x / max(1, width - 1) - 1, 2 * y / max(1, height - 1) - 1], dim=2)
    paper = image.median()
    moved = functional.grid_sample((image - paper)[None, None], grid[None], padding_mode="zeros", align_corners=True)
    return moved[0, 0] + paper


def _stroke(image: Tensor, strength: float) -> Tensor:
    choice = between(0.0, 1.0)
    if choice < 0.2 * strength:
        return _thicken(image)
    if choice < 0.35 * strength:
        return -_thicken(-image)
    if choice < 0.55 * strength:
        return functional.avg_pool2d(functional.pad(image[None], (1, 1, 1, 1), mode="replicate"), 3, 1)[0]
    return image


def _thicken(image: Tensor) -> Tensor:
    size = 1 if chance(0.5) else 2
    padded = functional.pad(image[None], (0, 1, 0, size - 1), mode="replicate")
    return functional.max_pool2d(padded, (size, 2), 1)[0]
