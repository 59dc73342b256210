"""From an image file, or a part of it, to a line of pixels."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageDraw
from torch import Tensor

from lstmapps import pictures
from lstmapps.data import Sample
from lstmapps.errors import UserError

_MIN_SIDE = 4  # pixels; anything smaller shows no writing
_MAX_STEPS = 12_000  # columns after scaling; about ten lines of a page behind one another
_MOST_PIXELS = 500_000_000  # of a page; 500 MB when it is decoded
_PAGE_HEIGHT, _LINE_SHAPE = 500, 2.0  # a picture higher than this, and no wider than this many heights, is a page


@dataclass(frozen=True)
class Region:
    """Where a line lies in its picture, in pixels; outside the polygon, if there is one, is other writing."""

    left: int
    top: int
    width: int
    height: int
    polygon: tuple[tuple[int, int], ...] = ()

    def within(self, columns: int, rows: int) -> Region:
        """Return the part that lies inside a picture of that size; its sides are 0 where none does."""
        right, bottom = min(self.left + self.width, columns), min(self.top + self.height, rows)
        left, top = max(0, self.left), max(0, self.top)
        return replace(self, left=left, top=top, width=max(0, right - left), height=max(0, bottom - top))


NOWHERE = Region(0, 0, 0, 0)
"""The region of a line whose outline is missing or cannot be read."""


def line_size(sample: Sample, lowest: int, highest: int) -> tuple[int, Region]:
    """Return the columns of a line scaled to such a height, and its region, from the file's header alone."""
    if isinstance(sample.source, str | os.PathLike):
        columns, rows = picture_size(Path(sample.source))
    else:
        columns, rows = pictures.of_array(sample.source, "L", sample.id).size
    region: Region = (sample.region or Region(0, 0, columns, rows)).within(columns, rows)
    if 0 in (region.width, region.height):
        raise UserError(f"{sample.id} has no outline that lies in its picture; mend it in the file")
    if region.height < _MIN_SIDE or region.width < _MIN_SIDE:
        raise UserError(
            f"{sample.id} is {region.width} x {region.height} pixels, too small for a line of writing; "
            "check that the right picture was cut"
        )
    if sample.region is None and rows > _PAGE_HEIGHT and columns < _LINE_SHAPE * rows:
        raise UserError(
            f"{sample.id} is {columns} x {rows} pixels, the shape of a page and not of a line of writing; cut it into "
            "lines, or give the PAGE or ALTO file that tells where they are"
        )
    height = min(max(region.height, lowest), highest)
    size = max(1, round(region.width * height / region.height))
    if size > _MAX_STEPS:
        raise UserError(
            f"{sample.id} is {region.width} x {region.height} pixels, too wide for one line; cut it into lines"
        )
    return size, region


def open_line(sample: Sample) -> Image.Image:
    """Return the line as a grey picture, upright, transparent parts white, cut to its region."""
    if not isinstance(sample.source, str | os.PathLike):
        picture = pictures.of_array(sample.source, "L", sample.id)
    else:
        path = Path(sample.source)
        picture = _open(path, path.stat().st_mtime_ns if path.exists() else 0)
    region: Region | None = sample.region
    if region is None or (region.left, region.top, region.width, region.height) == (0, 0, *picture.size):
        return picture
    box = (region.left, region.top, region.left + region.width, region.top + region.height)
    line = picture.crop(box)
    if region.polygon:
        mask = Image.new("L", line.size, 0)
        points = [(x - region.left, y - region.top) for x, y in region.polygon]
        ImageDraw.Draw(mask).polygon(points, fill=255)
        paper = int(np.median(np.asarray(line)))
        line = Image.composite(line, Image.new("L", line.size, paper), mask)
    return line


def line_tensor(line: Image.Image, lowest: int, highest: int) -> Tensor:
    """Return (width, height), 0 for white to 1 for black, scaled to a height from `lowest` to `highest`."""
    height = min(max(line.height, lowest), highest)
    if line.height != height:
        line = line.resize((max(1, round(line.width * height / line.height)), height), Image.Resampling.BILINEAR)
    pixels = torch.from_numpy(np.array(line, dtype=np.uint8))
    return 1.0 - pixels.T.contiguous().float() / 255.0


def picture_size(path: Path) -> tuple[int, int]:
    """Return width and height of a picture, upright, from its header alone."""
    with pictures.opened(path, _MOST_PIXELS) as picture:
        return pictures.upright_size(picture)


@lru_cache(maxsize=2)  # the lines of a page come one after another: it is decoded once
def _open(path: Path, changed: int) -> Image.Image:
    with pictures.opened(path, _MOST_PIXELS) as picture:
        return pictures.decoded(picture, "L", str(path))
