"""From an image file, or a part of it, to a line of pixels."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageOps
from torch import Tensor

from lstmapps.data import Sample
from lstmapps.errors import UserError

_MIN_SIDE = 4  # pixels; anything smaller shows no writing
_MAX_STEPS = 12_000  # columns after scaling; about ten lines of a page behind one another
_MOST_PIXELS = 500_000_000  # of a page; 500 MB when it is decoded
_PAGE_HEIGHT, _LINE_SHAPE = 500, 2.0  # a picture higher than this, and no wider than this many heights, is a page
_ONE_AT_A_TIME = Lock()  # Pillow's limit of pixels is the whole process's


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
    if isinstance(sample.source, str | os.PathLike):
        columns, rows = picture_size(Path(sample.source))
    else:
        columns, rows = array_picture(sample.source, sample.id).size
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
    size = max(1, round(region.width * height / region.height))
    if size > _MAX_STEPS:
        raise UserError(
            f"{sample.id} is {region.width} x {region.height} pixels, too wide for one line; cut it into lines"
        )
    return size, region


def open_line(sample: Sample) -> Image.Image:
    """Return the line as a grey picture, upright, transparent parts white, cut to its region."""
    if not isinstance(sample.source, str | os.PathLike):
        picture = array_picture(sample.source, sample.id)
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


def picture_size(path: Path) -> tuple[int, int]:
    """Return width and height of a picture, upright, from its header alone."""
    with _opened(path) as picture:
        width, height = picture.size
        turned = picture.getexif().get(0x0112, 1) in (5, 6, 7, 8)  # EXIF orientation: lies on its side
    return (height, width) if turned else (width, height)


def array_picture(array: Any, name: str = "the picture") -> Image.Image:
    """Return an array or tensor given in Python as a grey picture; raises UserError if it is none.

    It is (height, width), or (height, width, 3 or 4) in colours; of bytes, of 16 bits, of truth values, or of
    floating-point numbers from 0 for black to 1 for white.
    """
    pixels = np.asarray(array.detach().cpu() if isinstance(array, Tensor) else array)
    colours = pixels.ndim == 3 and pixels.shape[2] in (3, 4)
    if pixels.size == 0 or not (pixels.ndim == 2 or colours):
        raise UserError(f"{name} has the shape {pixels.shape}; a picture is (height, width), or with 3 colours behind")
    if pixels.dtype.kind not in "bfu" or pixels.dtype.itemsize > 8 or pixels.dtype in (np.uint32, np.uint64):
        raise UserError(f"{name} holds {pixels.dtype}; give uint8, uint16, or floating-point numbers from 0 to 1")
    if pixels.dtype.kind == "b":
        pixels = pixels.astype(np.uint8) * np.uint8(255)
    elif pixels.dtype == np.uint16:
        pixels = (pixels // 257).astype(np.uint8)
    elif pixels.dtype.kind == "f":
        pixels = _of_floats(pixels, name)
    return _grey(Image.fromarray(np.ascontiguousarray(pixels)))


def _of_floats(pixels: NDArray[Any], name: str) -> NDArray[np.uint8]:
    """Return floating-point numbers from 0 to 1, to 255 or to 65535 as bytes."""
    if not np.isfinite(pixels).all() or pixels.min() < 0 or pixels.max() > 65535:
        raise UserError(f"{name} holds floating-point numbers that are not within 0 and 1; scale them")
    top = next(top for top in (1.0, 255.0, 65535.0) if pixels.max() <= top)
    return np.asarray((pixels * (255.0 / top)).round(), dtype=np.uint8)


@lru_cache(maxsize=2)  # the lines of a page come one after another: it is decoded once
def _open(path: Path, changed: int) -> Image.Image:
    with _opened(path) as picture:
        if picture.format == "JPEG":
            picture.draft("L", picture.size)  # decodes no colours
        ImageOps.exif_transpose(picture, in_place=True)  # without a copy of what may be a very large page
        return _grey(picture, str(path))


@contextmanager
def _opened(path: Path) -> Iterator[Image.Image]:
    """Open a picture; whatever goes wrong with it inside is a UserError that names the file."""
    try:
        with _ONE_AT_A_TIME:
            usual, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None  # a newspaper's page has more
            try:
                picture = Image.open(path)
            finally:
                Image.MAX_IMAGE_PIXELS = usual
    except FileNotFoundError:
        raise UserError(f"{path} does not exist; check the path") from None
    except OSError:
        raise UserError(f"{path} is not a picture that can be read; give PNG, JPEG, TIFF or WebP") from None
    with picture:
        if picture.width * picture.height > _MOST_PIXELS:
            raise UserError(
                f"{path} is {picture.width} x {picture.height} pixels, too large even for a page; cut it into lines"
            )
        try:
            yield picture
        except UserError:
            raise
        except Exception as error:  # Pillow raises anything on a damaged file
            raise UserError(f"{path} is damaged ({error}); replace the file") from None


def _grey(picture: Image.Image, name: str = "the picture") -> Image.Image:
    if picture.mode == "F":
        return Image.fromarray(_of_floats(np.asarray(picture), name))
    if picture.mode.startswith("I"):  # 16 bits and more
        pixels: Any = np.asarray(picture, dtype=np.float64)
        top = 65535.0 if pixels.max() > 255 else 255.0
        return Image.fromarray((pixels.clip(0, top) * (255.0 / top)).astype(np.uint8))
    if picture.has_transparency_data:
        picture = picture.convert("RGBA")
        paper = Image.new("RGBA", picture.size, "white")
        picture = Image.alpha_composite(paper, picture)
    return picture.convert("L")
