"""From an image file, or a part of it, to a line of pixels."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageOps
from torch import Tensor

from lstmapps.data import Sample
from lstmapps.errors import UserError

_MIN_SIDE = 4  # pixels; anything smaller shows no writing
_MAX_STEPS = 12_000  # columns after scaling; about ten lines of a page behind one another


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


def line_size(sample: Sample, height: int) -> tuple[int, Region]:
    """Return the columns of a line scaled to `height`, and its region, from the file's header alone."""
    if isinstance(sample.source, np.ndarray):
        rows, columns = sample.source.shape
    else:
        columns, rows = _header_size(Path(sample.source))
    region: Region = (sample.region or Region(0, 0, columns, rows)).within(columns, rows)
    if 0 in (region.width, region.height):
        raise UserError(f"{sample.id} has no outline that lies in its picture; mend it in the file")
    if region.height < _MIN_SIDE or region.width < _MIN_SIDE:
        raise UserError(
            f"{sample.id} is {region.width} x {region.height} pixels, too small for a line of writing; "
            "check that the right picture was cut"
        )
    size = max(1, round(region.width * height / region.height))
    if size > _MAX_STEPS:
        raise UserError(
            f"{sample.id} is {region.width} x {region.height} pixels, too wide for one line; cut it into lines"
        )
    return size, region


def open_line(sample: Sample) -> Image.Image:
    """Return the line as a grey picture, upright, transparent parts white, cut to its region."""
    if isinstance(sample.source, np.ndarray):
        picture = Image.fromarray(sample.source)
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


def line_tensor(line: Image.Image, height: int) -> Tensor:
    """Return (width, height), 0 for white to 1 for black, scaled to `height`."""
    if line.height != height:
        line = line.resize((max(1, round(line.width * height / line.height)), height), Image.Resampling.BILINEAR)
    pixels = torch.from_numpy(np.array(line, dtype=np.uint8))
    return 1.0 - pixels.T.contiguous().float() / 255.0


def _header_size(path: Path) -> tuple[int, int]:
    with _opened(path) as picture:
        width, height = picture.size
        turned = picture.getexif().get(0x0112, 1) in (5, 6, 7, 8)  # EXIF orientation: lies on its side
    return (height, width) if turned else (width, height)


@lru_cache(maxsize=2)  # the lines of a page come one after another: it is decoded once
def _open(path: Path, changed: int) -> Image.Image:
    with _opened(path) as picture:
        return _grey(ImageOps.exif_transpose(picture))


@contextmanager
def _opened(path: Path) -> Iterator[Image.Image]:
    """Open a picture; whatever goes wrong with it inside is a UserError that names the file."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            picture = Image.open(path)
    except FileNotFoundError:
        raise UserError(f"{path} does not exist; check the path") from None
    except Image.DecompressionBombError:
        raise UserError(f"{path} has too many pixels for a line; cut it into lines") from None
    except OSError:
        raise UserError(f"{path} is not a picture that can be read; give PNG, JPEG, TIFF or WebP") from None
    with picture:
        try:
            yield picture
        except Exception as error:  # Pillow raises anything on a damaged file
            raise UserError(f"{path} is damaged ({error}); replace the file") from None


def _grey(picture: Image.Image) -> Image.Image:
    if picture.mode.startswith("I") or picture.mode == "F":  # 16 bits and more
        pixels: Any = np.asarray(picture, dtype=np.float64)
        top = 65535.0 if pixels.max() > 255 else 255.0
        return Image.fromarray((pixels.clip(0, top) * (255.0 / top)).astype(np.uint8))
    if picture.has_transparency_data:
        picture = picture.convert("RGBA")
        paper = Image.new("RGBA", picture.size, "white")
        picture = Image.alpha_composite(paper, picture)
    return picture.convert("L")
