"""Pictures as the domains that read them need them: opened within bounds, upright, in plain colours."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Lock
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from lstmapps.errors import UserError

SUFFIXES = {".png", ".jpg", ".jpeg", ".tif", ".tiff", ".webp"}
"""The endings of pictures that are looked for in a folder."""

Mode = Literal["L", "RGB"]
"""What a picture is turned into: grey, or colours."""

_ONE_AT_A_TIME = Lock()  # Pillow's limit of pixels is the whole process's


@contextmanager
def opened(path: Path, most_pixels: int) -> Iterator[Image.Image]:
    """Open a picture, not yet decoded; whatever goes wrong with it inside is a UserError that names the file."""
    try:
        with _ONE_AT_A_TIME:
            usual, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None  # the limit here is `most_pixels`
            try:
                picture = Image.open(path)
            finally:
                Image.MAX_IMAGE_PIXELS = usual
    except FileNotFoundError:
        raise UserError(f"{path} does not exist; check the path") from None
    except OSError:
        raise UserError(f"{path} is not a picture that can be read; give PNG, JPEG, TIFF or WebP") from None
    with picture:
        if picture.width * picture.height > most_pixels:
            raise UserError(
                f"{path} is {picture.width} x {picture.height} pixels, too large: more than {most_pixels:,}; "
                "make it smaller, or cut it"
            )
        try:
            yield picture
        except UserError:
            raise
        except Exception as error:  # Pillow raises anything on a damaged file
            raise UserError(f"{path} is damaged ({error}); replace the file") from None


def upright_size(picture: Image.Image) -> tuple[int, int]:
    """Return width and height of a picture that was opened, upright; its header tells them."""
    width, height = picture.size
    turned = picture.getexif().get(0x0112, 1) in (5, 6, 7, 8)  # EXIF orientation: lies on its side
    return (height, width) if turned else (width, height)


def decoded(picture: Image.Image, mode: Mode, name: str, size: tuple[int, int] | None = None) -> Image.Image:
    """Return a picture that was opened decoded, upright, its first frame, in grey or colours.

    size: what it may be shrunk to, roughly and never below, while it is decoded, where its format can.
    """
    if picture.format == "JPEG":
        picture.draft(mode, size or picture.size)
    ImageOps.exif_transpose(picture, in_place=True)  # without a copy of what may be a very large page
    return plain(picture, mode, name)


def plain(picture: Image.Image, mode: Mode, name: str) -> Image.Image:
    """Return a picture of any mode in grey or colours of eight bits; transparent parts are white."""
    if picture.mode == "F":
        picture = Image.fromarray(_of_floats(np.asarray(picture), name))
    elif picture.mode.startswith("I"):  # 16 bits and more
        pixels: Any = np.asarray(picture, dtype=np.float64)
        top = 65535.0 if pixels.max() > 255 else 255.0
        picture = Image.fromarray((pixels.clip(0, top) * (255.0 / top)).astype(np.uint8))
    elif picture.has_transparency_data:
        picture = picture.convert("RGBA")
        picture = Image.alpha_composite(Image.new("RGBA", picture.size, "white"), picture)
    return picture.convert(mode)


def of_array(array: Any, mode: Mode, name: str = "the picture") -> Image.Image:
    """Return an array or tensor given in Python as a picture; raises UserError if it is none.

    It is (height, width), or (height, width, 3 or 4) in colours; of bytes, of 16 bits, of truth values, or of
    floating-point numbers from 0 for black to 1 for white.
    """
    pixels = np.asarray(array.detach().cpu() if hasattr(array, "detach") else array)
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
    return plain(Image.fromarray(np.ascontiguousarray(pixels)), mode, name)


def _of_floats(pixels: NDArray[Any], name: str) -> NDArray[np.uint8]:
    """Return floating-point numbers from 0 to 1, to 255 or to 65535 as bytes."""
    if not np.isfinite(pixels).all() or pixels.min() < 0 or pixels.max() > 65535:
        raise UserError(f"{name} holds floating-point numbers that are not within 0 and 1; scale them")
    top = next(top for top in (1.0, 255.0, 65535.0) if pixels.max() <= top)
    return np.asarray((pixels * (255.0 / top)).round(), dtype=np.uint8)


def as_jpeg(picture: Image.Image, quality: int) -> Image.Image:
    """Return what is left of a picture once it was a JPEG file of a quality from 1 to 95."""
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=quality)
    return Image.open(buffer)
