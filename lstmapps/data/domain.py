"""The contract of a domain: what a plugin tells the core about its inputs and results."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from lstmapps.data.disturbances import Disturbance
from lstmapps.data.samples import Box, Problem, Sample, group_of
from lstmapps.errors import UserError

if TYPE_CHECKING:
    from lstmapps.prediction import Format


class Domain(ABC):
    """What a plugin knows of its domain: how inputs are found, read, varied and how results are written.

    batch_steps: the padded size of a batch in prediction, in steps of the raw input.
    visual: whether texts stand in an input from left to right as they are written, and not as they are read: an
        Arabic line of writing does, an Arabic recording does not.
    reads_text: whether inputs are texts, which `load` returns as they are; a network takes them as symbols of a
        vocabulary that is learnt from the training inputs.
    of_recipes: settings that tell how the data of a recipe lie: packages, which read other data, go without them.
    several_references: whether samples of one input, outside the training part, are one with several references.
    """

    batch_steps: int = 16_000
    visual: bool = False
    reads_text: bool = False
    of_recipes: frozenset[str] = frozenset()
    several_references: bool = False

    @abstractmethod
    def read(self, source: str) -> Iterator[Sample]:
        """Yield the samples of a source (a file, a folder, a table) without opening each input.

        Their ids differ (`lstmapps.data.distinct`). Raises UserError if the source itself cannot be used; a line
        of it that cannot is a sample with a `fault`.
        """

    @abstractmethod
    def measure(self, sample: Sample) -> Sample:
        """Return the sample with its size, and its region if it has one; reads no more than a header."""

    @abstractmethod
    def load(self, sample: Sample) -> Tensor | str:
        """Return the raw input, (time, features), or a text; raises UserError."""

    def prepare(self, x: Any) -> Any:
        """Return a loaded input, a tensor or a text, which may have been varied or disturbed, as a network takes it.

        Every step stands for the same share of the input as before. What is heard while it arrives, or read in blocks,
        is not prepared: a domain whose frontend can be run in steps leaves its inputs as they are.
        """
        return x

    def from_array(self, array: Any) -> Tensor:
        """Return an array or tensor given in Python as the frontend takes it; raises UserError if it is none."""
        x = torch.as_tensor(array)
        if x.dim() != 2 or not x.is_floating_point():
            raise UserError(f"an input is (time, features) of floating-point numbers, not {tuple(x.shape)} {x.dtype}")
        prepared: Tensor = self.prepare(x)
        return prepared

    def load_blocks(self, sample: Sample) -> Iterator[Tensor]:
        """Yield what `load` returns in blocks, for inputs that are better not held whole."""
        x = self.load(sample)
        assert isinstance(x, Tensor), "only what is no text is taken in blocks"
        yield x

    def groups(self, samples: Sequence[Sample], pattern: str) -> list[str]:
        """Return the group of each sample, such as its page or its speaker: groups are never parted.

        pattern: a regular expression for ids (see `lstmapps.data.group_of`).
        """
        return [group_of(sample.id, pattern) for sample in samples]

    def problems(self, samples: Sequence[Sample]) -> Iterator[Problem]:
        """Yield what is wrong with measured samples of a part, in the domain's own terms."""
        return iter(())

    def doubts(self, samples: Sequence[Sample]) -> Iterator[Problem]:
        """Yield measured samples of a part that may be wrong, in the domain's own terms, for `lstmapps check`."""
        return iter(())

    def origin(self, sample: Sample) -> str:
        """Return what a sample comes from, such as its file: predictions of one origin stand in one file of results."""
        return str(sample.source)

    def augment(self, x: Tensor) -> Tensor:
        """Return a varied copy of a loaded input, drawing from torch's random numbers alone."""
        return x

    def disturbances(self) -> Sequence[Disturbance]:
        """Return what happens to inputs out there, each in one strength or several."""
        return ()

    def blanks(self) -> Iterator[Sample]:
        """Yield inputs, made on the spot, that hold nothing to be read, such as noise; their ids say what they are."""
        return iter(())

    def live(self, source: str) -> Iterator[Tensor] | None:
        """Return the pieces (time, features) of an input that is still arriving, if the source names one."""
        return None

    def formats(self) -> dict[str, Format]:
        """Return the formats this domain writes beyond text and JSONL, by name."""
        return {}

    def places(self, sample: Sample, words: Sequence[str]) -> list[Box | None]:
        """Return for each word of a text where in the input that is which it names, if that is known."""
        return [None] * len(words)

    def picture(self, sample: Sample) -> bytes | None:
        """Return a PNG of the input for the report, its width in proportion to its steps, or None."""
        return None

    def sound(self, sample: Sample) -> bytes | None:
        """Return the input as a FLAC file for the report's player, or None."""
        return None
