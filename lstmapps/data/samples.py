"""What the core knows of a data set: samples, where they come from, and batches of them."""

from __future__ import annotations

import hashlib
import re
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from lstmapps.errors import UserError
from lstmapps.text import Vocabulary

Box = tuple[float, float, float, float]
"""A place in a picture: left, top, right, bottom, in shares of its width and height."""


@dataclass(frozen=True)
class Sample:
    """One input and, where it is known, its text.

    `source` is what the domain loads: a path, or the raw input itself where it was made on the spot.
    `size` is the number of steps of the loaded input, None until the domain has measured it.
    `region` says which part of the source is meant, in the domain's own terms.
    `fault` tells, in one sentence, why the list that names the sample says nothing usable of it.
    `others`: further texts that would be as right as `text`.
    `blank`: there is nothing in it to be read, and its text is rightly empty.
    """

    id: str
    source: Any
    text: str | None = None
    size: int | None = None
    region: Any = None
    fault: str | None = None
    others: tuple[str, ...] = ()
    blank: bool = False

    @property
    def references(self) -> tuple[str, ...]:
        """Every text that would be right, `text` first; none where it is not known."""
        return () if self.text is None else (self.text, *self.others)


@dataclass(frozen=True)
class Problem:
    """Why a sample should not be used; `kind` is one of unreadable, empty, unknown, short, leak, odd, or a domain's."""

    id: str
    kind: str
    message: str


def merged(samples: Iterable[Sample]) -> list[Sample]:
    """Return samples of one and the same input as one, with the texts of all as its references."""
    together: dict[Any, Sample] = {}
    for sample in samples:
        key = (sample.source, sample.region)
        if key not in together:
            together[key] = sample
        elif sample.references:
            text, *others = dict.fromkeys((*together[key].references, *sample.references))
            together[key] = replace(together[key], text=text, others=tuple(others))
    return list(together.values())


def named(place: str, line: str) -> Sample:
    """Return the text of a line as a sample; of `name<TAB>text`, as `lstmapps predict` writes it, with that name."""
    name, tab, text = line.rpartition("\t")
    return Sample(name if tab and name.strip() else place, text)


def distinct(samples: Iterable[Sample]) -> Iterator[Sample]:
    """Yield samples with ids of their own: the second of one id ends in `#2`, the third in `#3`."""
    seen: set[str] = set()
    counts: Counter[str] = Counter()
    for sample in samples:
        id_ = sample.id
        while id_ in seen:
            counts[sample.id] += 1
            id_ = f"{sample.id}#{counts[sample.id] + 1}"
        seen.add(id_)
        yield sample if id_ == sample.id else replace(sample, id=id_)


def tolerant(id_: str, samples: Iterable[Sample]) -> Iterator[Sample]:
    """Yield samples; a UserError that ends them becomes a sample `id_` with that fault."""
    try:
        yield from samples
    except UserError as error:
        yield Sample(id_, None, fault=str(error))


EACH = "(.*)"
"""The pattern that makes every sample a group of its own."""


def group_of(id_: str, pattern: str) -> str:
    """Return the group of a sample, a page or a speaker: what the first group of the pattern finds in its id."""
    match = re.match(pattern, id_)
    return match.group(1) if match else id_


class Source(ABC):
    """Something that makes samples, written `class_path` and `init_args` in a recipe."""

    @abstractmethod
    def samples(self) -> Iterator[Sample]:
        """Yield the same samples in the same order at every call."""


class Batch:
    """Samples padded to one length.

    x (batch, time, features), zero beyond lengths (batch,); targets (batch, longest), zero beyond
    target_lengths (batch,). features: whether x is what a frozen frontend gave. No dataclass, since Lightning would
    rewrite the fields of one.
    """

    def __init__(
        self,
        x: Tensor,
        lengths: Tensor,
        targets: Tensor,
        target_lengths: Tensor,
        samples: Sequence[Sample] = (),
        features: bool = False,
    ) -> None:
        self.x, self.lengths = x, lengths
        self.targets, self.target_lengths = targets, target_lengths
        self.samples, self.features = list(samples), features

    def to(self, device: torch.device | str, non_blocking: bool = False) -> Batch:
        return self._each(lambda tensor: tensor.to(device, non_blocking=non_blocking))

    def pin_memory(self) -> Batch:
        return self._each(Tensor.pin_memory)

    def _each(self, change: Callable[[Tensor], Tensor]) -> Batch:
        x, lengths = change(self.x), change(self.lengths)
        return Batch(x, lengths, change(self.targets), change(self.target_lengths), self.samples, self.features)


def stable_hash(text: str) -> int:
    """Return a number that is the same for a text everywhere."""
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=7).digest(), "big")


def pad(inputs: list[Tensor]) -> tuple[Tensor, Tensor]:
    """Stack (time, features) tensors into `(x, lengths)`, zero beyond each length.

    The time is rounded up by at most a sixteenth, so that batches share few shapes: kernels are
    prepared anew for every shape they meet, which otherwise costs a fifth of the time.
    """
    lengths = torch.tensor([len(x) for x in inputs])
    longest = int(lengths.max())
    grain = max(1, 2 ** (longest.bit_length() - 1) // 16)
    x = inputs[0].new_zeros(len(inputs), -(-longest // grain) * grain, *inputs[0].shape[1:])
    for row, item in zip(x, inputs, strict=True):
        row[: len(item)] = item
    return x, lengths


def collate(
    inputs: list[Tensor], samples: list[Sample], vocabulary: Vocabulary | None, features: bool = False
) -> Batch:
    """Build a batch; without a vocabulary its targets are empty."""
    x, lengths = pad(inputs)
    targets = [torch.tensor(vocabulary.encode(s.text or "") if vocabulary else [], dtype=torch.long) for s in samples]
    padded = torch.nn.utils.rnn.pad_sequence(targets, batch_first=True)
    return Batch(x, lengths, padded, torch.tensor([len(t) for t in targets]), samples, features)
