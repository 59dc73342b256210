"""Handwriting for lstmapps: what an input is, how it is loaded, varied and written."""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from torch import Tensor

from lstmapps.data import Disturbance, Domain, Sample, chance
from lstmapps.pictures import of_array
from lstmapps.prediction import Format
from lstmapps_handwriting.augmentation import vary_line, worn
from lstmapps_handwriting.blanks import blank_lines
from lstmapps_handwriting.disturbances import disturbances_of
from lstmapps_handwriting.images import line_size, line_tensor, open_line
from lstmapps_handwriting.readers import read_source
from lstmapps_handwriting.writers import write_alto, write_page
from lstmapps_handwriting.writing import normalised


class Handwriting(Domain):
    """Pictures of single lines, scaled to one height with their aspect ratio kept.

    A line is (width, height), a step for each column of pixels from left to right, 0 for
    white paper to 1 for black ink.

    height: in pixels. augmentation: strength of the variations while training, 0 to about 1.5. wear: share of the
    lines that are disturbed besides, as scanners, cameras and paper do (`lstmapps_handwriting.augmentation.worn`).
    normalised: whether ink and paper, slope and height of the writing are found (`lstmapps_handwriting.writing`); such
    lines are loaded up to twice as high, for what is small in them. writing_share: what of the height normalised
    writing takes; 0.45 is about what it takes in lines cut from pages, with their loops and tails.
    """

    visual = True

    def __init__(
        self,
        height: int = 64,
        augmentation: float = 1.0,
        wear: float = 0.0,
        normalised: bool = False,
        writing_share: float = 0.45,
    ) -> None:
        if not 1 <= height <= 1_000:
            raise ValueError(f"lines are 1 to 1,000 pixels high, not {height}")
        if not 0.1 <= writing_share <= 1.0:
            raise ValueError(f"writing takes a tenth of a line's height to all of it, 0.1 to 1, not {writing_share}")
        self.height = height
        self.augmentation, self.wear = augmentation, wear
        self.normalised, self.writing_share = normalised, writing_share

    def read(self, source: str) -> Iterator[Sample]:
        return read_source(source)

    def measure(self, sample: Sample) -> Sample:
        size, region = line_size(sample, *self._heights)
        return replace(sample, size=size, region=region)

    def load(self, sample: Sample) -> Tensor:
        return line_tensor(open_line(sample), *self._heights)

    def prepare(self, x: Tensor) -> Tensor:
        return normalised(x, self.height, self.writing_share) if self.normalised else x

    def from_array(self, array: Any) -> Tensor:
        return self.prepare(line_tensor(of_array(array, "L"), *self._heights))

    def augment(self, x: Tensor) -> Tensor:
        x = vary_line(x, self.augmentation) if self.augmentation else x
        return worn(x) if chance(self.wear) else x

    def disturbances(self) -> list[Disturbance]:
        return disturbances_of()

    def blanks(self) -> Iterator[Sample]:
        return blank_lines()

    def formats(self) -> dict[str, Format]:
        return {"page": Format(write_page, ".xml", document=True), "alto": Format(write_alto, ".xml", document=True)}

    @property
    def _heights(self) -> tuple[int, int]:
        """How high lines are loaded, at least and at most."""
        return self.height, 2 * self.height if self.normalised else self.height

    def picture(self, sample: Sample) -> bytes:
        line = open_line(sample)
        buffer = io.BytesIO()
        width = max(1, round(line.width * self.height / line.height))
        line.resize((width, self.height)).save(buffer, "PNG", optimize=True)
        return buffer.getvalue()
