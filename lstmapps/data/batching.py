"""Batches by total size: samples of like length together, in an order that an epoch's number decides."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence

from torch.utils.data import Sampler

from lstmapps.errors import UserError

Key = tuple[int, int]
"""What the data set is asked for: `(epoch, index of the sample)`."""


class SizeBatches(Sampler[list[Key]]):
    """Yield batches whose padded size stays within `batch_steps`.

    Samples are sorted by size, with a jitter of up to 10 % that differs in each epoch, cut into
    batches, and the batches shuffled; an epoch's batches follow from `(seed, epoch)` alone. Every
    sample comes exactly once an epoch. Of each batch a process takes every `world_size`-th sample,
    so the batches of all processes together are those of one process. order: what samples are sorted by, if their sizes
    are all the same.
    """

    def __init__(
        self,
        sizes: Sequence[int],
        batch_steps: int,
        *,
        order: Sequence[int] | None = None,
        shuffle: bool,
        seed: int = 0,
        rank: int = 0,
        world_size: int = 1,
    ) -> None:
        self.sizes, self.order = sizes, sizes if order is None else order
        self.shuffle, self.seed = shuffle, seed
        self.rank, self.world_size = rank, world_size
        self.epoch = 0
        self.start = 0
        self._counts = _batch_counts(sorted(sizes, reverse=True), batch_steps, world_size)

    def set_epoch(self, epoch: int) -> None:
        self.epoch = epoch

    def __len__(self) -> int:
        """The number of batches, the same in every epoch."""
        return len(self._counts)

    def __iter__(self) -> Iterator[list[Key]]:
        """Yield the epoch's batches from number `start` on."""
        generator = random.Random(f"{self.seed} {self.epoch}")
        order = list(range(len(self.sizes)))
        if self.shuffle:
            generator.shuffle(order)
            jittered = [size * generator.uniform(0.9, 1.1) for size in self.order]
            order.sort(key=lambda i: -jittered[i])
        else:
            order.sort(key=lambda i: -self.order[i])
        batches, begin = [], 0
        for count in self._counts:
            batches.append(order[begin : begin + count])
            begin += count
        if self.shuffle:
            generator.shuffle(batches)
        start, self.start = self.start, 0
        for batch in batches[start:]:
            yield [(self.epoch, index) for index in batch[self.rank :: self.world_size]]


def _batch_counts(sizes: list[int], batch_steps: int, world_size: int) -> list[int]:
    """Cut sizes, the largest first, into batches with `longest * count <= batch_steps`; return the counts."""
    if len(sizes) < world_size:
        raise UserError(f"{len(sizes)} samples are too few for {world_size} processes; use fewer devices")
    counts: list[int] = []
    begin = 0
    while begin < len(sizes):
        count = max(world_size, batch_steps // max(1, sizes[begin]))
        count = min(count, len(sizes) - begin)
        if count < world_size:  # the last few join the batch before, so that no process is left without
            counts[-1] += count
        else:
            counts.append(count)
        begin += count
    return counts
