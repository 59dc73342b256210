"""Captioning for lstmapps: what a picture is, how it is loaded, varied and described."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from lstmapps import pictures
from lstmapps.data import EACH, Box, Disturbance, Domain, Sample
from lstmapps.errors import UserError
from lstmapps.prediction import Format
from lstmapps_captioning.augmentation import vary_picture
from lstmapps_captioning.disturbances import disturbances_of
from lstmapps_captioning.gallery import write_gallery
from lstmapps_captioning.readers import read_source
from lstmapps_captioning.shapes import Scene

_SMALLEST = 8  # pixels; anything less shows nothing
_MOST_PIXELS = 178_956_970  # Pillow's own limit
_COARSE, _CONTRAST = (32, 32), 16  # cells that differ by less, of 255, show nothing
_GRAINS = 64  # pixels that differ by more, of 255, are no noise


class Captioning(Domain):
    """Pictures in colours, scaled to a square whatever their shape.

    A loaded picture is (size, 3 * size), a step for each row of pixels from the top, the red, green and blue of its
    pixels from the left, 0 to 1.

    size: in pixels. pictures: a folder where those are that a list names, if they do not lie beside it.
    augmentation: strength of the variations while training, 0 to about 1; a frozen frontend sees pictures as they are.
    """

    several_references = True
    batch_steps = 7_000

    def __init__(self, size: int = 224, pictures: str | None = None, augmentation: float = 0.0) -> None:
        if not _SMALLEST <= size <= 2_000:
            raise ValueError(f"pictures are {_SMALLEST} to 2,000 pixels high, not {size}")
        self.size = size
        self.pictures = None if pictures is None else Path(pictures).expanduser()
        self.augmentation = augmentation

    def read(self, source: str) -> Iterator[Sample]:
        return read_source(source, self.pictures)

    def measure(self, sample: Sample) -> Sample:
        if isinstance(sample.source, str | Path):
            with pictures.opened(Path(sample.source), _MOST_PIXELS) as picture:
                width, height = picture.size
            if min(width, height) < _SMALLEST:
                raise UserError(f"{sample.id} is {width} x {height} pixels, too small to show anything; give a larger")
        return replace(sample, size=self.size)

    def load(self, sample: Sample) -> Tensor:
        picture = self.open(sample)
        if _is_blank(picture):
            raise UserError(f"{sample.id} shows one colour and nothing else; there is nothing to describe")
        return self._tensor(picture)

    def open(self, sample: Sample) -> Image.Image:
        """Return the picture of a sample in colours, upright, of its own size or somewhat less."""
        if isinstance(sample.source, Scene):
            return sample.source.drawn(self.size)
        if not isinstance(sample.source, str | Path):
            return pictures.of_array(sample.source, "RGB", sample.id)
        path = Path(sample.source)
        with pictures.opened(path, _MOST_PIXELS) as picture:
            return pictures.decoded(picture, "RGB", str(path), (self.size, self.size))

    def from_array(self, array: Any) -> Tensor:
        return self._tensor(pictures.of_array(array, "RGB"))

    def _tensor(self, picture: Image.Image) -> Tensor:
        if picture.size != (self.size, self.size):
            picture = picture.resize((self.size, self.size), Image.Resampling.BICUBIC)
        return torch.from_numpy(np.array(picture, dtype=np.uint8)).flatten(1).float() / 255.0

    def groups(self, samples: Sequence[Sample], pattern: str) -> list[str]:
        if pattern != EACH:
            return super().groups(samples, pattern)
        first: dict[str, str] = {}  # all captions of a picture are of its first
        return [first.setdefault(str(sample.source), sample.id) for sample in samples]

    def augment(self, x: Tensor) -> Tensor:
        return vary_picture(x, self.augmentation) if self.augmentation else x

    def disturbances(self) -> list[Disturbance]:
        return disturbances_of()

    def places(self, sample: Sample, words: Sequence[str]) -> list[Box | None]:
        return sample.source.places(words) if isinstance(sample.source, Scene) else [None] * len(words)

    def formats(self) -> dict[str, Format]:
        return {"html": Format(lambda predictions, file: write_gallery(predictions, file, self.open), ".html")}

    def picture(self, sample: Sample) -> bytes:
        buffer = io.BytesIO()
        shown = self.open(sample)
        shown.thumbnail((self.size, self.size))
        shown.save(buffer, "PNG", optimize=True)
        return buffer.getvalue()


def _is_blank(picture: Image.Image) -> bool:
    """Tell whether a picture is of one colour but for some noise: no part differs, and hardly any pixel by much."""
    cells = np.asarray(picture.resize(_COARSE, Image.Resampling.BOX), dtype=np.float32)
    if (cells.max(axis=(0, 1)) - cells.min(axis=(0, 1))).max() >= _CONTRAST:
        return False
    low, high = np.percentile(np.asarray(picture), (0.5, 99.5), axis=(0, 1))
    return bool((high - low).max() < _GRAINS)
