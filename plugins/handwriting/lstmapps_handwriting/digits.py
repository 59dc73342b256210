"""Strings of real handwritten digits: a data set that needs no download."""

from __future__ import annotations

import random
from collections.abc import Iterator
from functools import cache
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from lstmapps.data import Sample, Source

_SCALE = 3  # each 8 x 8 digit is drawn 24 pixels high
_HEIGHT = 32


class DigitStrings(Source):
    """Strings put together from optdigits (Alpaydin & Kaynak 1998, 1,797 digits, in scikit-learn).

    Every sixth digit belongs to the test part, the one after it to validation, the others to
    training, so that no digit of one part stands in a string of another.

    count: how many strings. Each has `shortest` to `longest` digits, with uneven gaps and heights.
    """

    def __init__(
        self,
        part: Literal["train", "validation", "test"],
        count: int,
        shortest: int = 3,
        longest: int = 9,
        seed: int = 0,
    ) -> None:
        self.part, self.count = part, count
        self.shortest, self.longest, self.seed = shortest, longest, seed

    def samples(self) -> Iterator[Sample]:
        images, labels = _digits()
        place = {"test": (0,), "validation": (1,), "train": (2, 3, 4, 5)}[self.part]
        pool = [i for i in range(len(images)) if i % 6 in place]
        generator = random.Random(f"{self.part} {self.seed}")
        for number in range(self.count):
            chosen = generator.choices(pool, k=generator.randint(self.shortest, self.longest))
            text = "".join(str(labels[i]) for i in chosen)
            yield Sample(f"{self.part}-{number:05d}", _draw([images[i] for i in chosen], generator), text)


def _draw(digits: list[NDArray[np.uint8]], generator: random.Random) -> NDArray[np.uint8]:
    """Put digits side by side, dark on white."""
    columns = [np.zeros((_HEIGHT, generator.randint(2, 8)), np.uint8)]
    for digit in digits:
        top = generator.randint(0, _HEIGHT - digit.shape[0])
        cell = np.zeros((_HEIGHT, digit.shape[1]), np.uint8)
        cell[top : top + digit.shape[0]] = digit
        columns += [cell, np.zeros((_HEIGHT, generator.randint(0, 6)), np.uint8)]
    return np.asarray(255 - np.concatenate(columns, axis=1), dtype=np.uint8)


@cache
def _digits() -> tuple[list[NDArray[np.uint8]], list[int]]:
    from PIL import Image
    from sklearn.datasets import load_digits  # takes a second to import

    data = load_digits()
    side = 8 * _SCALE
    images = []
    for pixels in data.images:
        picture = Image.fromarray((pixels * (255 / 16)).astype(np.uint8))
        images.append(np.asarray(picture.resize((side, side), Image.Resampling.BICUBIC)))
    return images, [int(label) for label in data.target]
