"""Episodes of an early task in batches: drawn anew for training, always the same for validation and test."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from lightning import LightningDataModule
from torch.utils.data import DataLoader, Dataset, Sampler

from lstmapps.data import stable_hash
from lstmapps_foundations.problems import Episodes, Problem

_MOST = 2**31  # numbers that are drawn at once, 8 GiB


class EpisodeData(LightningDataModule):
    """Draws a problem.

    problem: what is trained on. validation, test: others to measure on, such as longer sequences; the same if left out.
    batch_size: sequences in a batch of training. batches: in an epoch. count: sequences of validation and of test.
    Raises ValueError for more than memory holds, and for parts whose inputs or outputs differ.
    """

    def __init__(
        self,
        problem: Problem,
        validation: Problem | None = None,
        test: Problem | None = None,
        batch_size: int = 64,
        batches: int = 100,
        count: int = 500,
        seed: int = 0,
    ) -> None:
        super().__init__()
        if min(batch_size, batches, count) < 1:
            raise ValueError("batch_size, batches and count are at least 1")
        self.problem = problem
        self.problems = {"validation": validation or problem, "test": test or problem}
        self.batch_size, self.batches, self.count, self.seed = batch_size, batches, count, seed
        _refuse_too_many("training", problem, batch_size)
        for part, other in self.problems.items():
            _refuse_too_many(part, other, count)
            given, own = (f"{one.inputs} inputs and {one.outputs} outputs" for one in (other, problem))
            if given != own:
                raise ValueError(f"{part} has {given}, and what is trained on {own}; set them alike")
        self.start, self.done = 0, 0  # batches of a resumed epoch that are done, and of the present one

    def train_dataloader(self) -> DataLoader[Episodes]:
        return DataLoader(_Drawn(self), sampler=_Numbers(self), batch_size=None, generator=torch.Generator())

    def val_dataloader(self) -> DataLoader[Episodes]:
        return self._fixed("validation")

    def test_dataloader(self) -> DataLoader[Episodes]:
        return self._fixed("test")

    def _fixed(self, part: str) -> DataLoader[Episodes]:
        """Draw a part from a seed of its own: every run is measured on the same."""
        episodes: Any = [self.problems[part].draw(self.count, seeded(part))]
        return DataLoader(episodes, batch_size=None)

    def state_dict(self) -> dict[str, int]:
        """Return how many batches of the epoch are done; a checkpoint keeps it."""
        return {"batches": self.done % self.batches}

    def load_state_dict(self, state_dict: dict[str, int]) -> None:
        self.start = state_dict["batches"]


def _refuse_too_many(part: str, problem: Problem, count: int) -> None:
    size = count * problem.draw(1, seeded(part)).x.numel()
    if size > _MOST:
        raise ValueError(
            f"{count:,} sequences for {part} would take {4 * size / 2**30:,.0f} GiB; "
            "give fewer (batch_size, count) or shorter ones"
        )


def seeded(text: str) -> torch.Generator:
    """Return random numbers that follow from a text."""
    return torch.Generator().manual_seed(stable_hash(text))


class _Numbers(Sampler[tuple[int, int]]):
    """The epoch and the number of each batch; Lightning tells the epoch."""

    def __init__(self, data: EpisodeData) -> None:
        self.data, self.epoch = data, 0

    def set_epoch(self, epoch: int) -> None:
        self.epoch = epoch

    def __iter__(self) -> Iterator[tuple[int, int]]:
        start, self.data.start = self.data.start, 0
        for number in range(start, self.data.batches):
            self.data.done = number + 1
            yield self.epoch, number

    def __len__(self) -> int:
        return self.data.batches


class _Drawn(Dataset[Episodes]):
    """What is drawn follows from seed, epoch, number and process."""

    def __init__(self, data: EpisodeData) -> None:
        self.data = data

    def __getitem__(self, key: tuple[int, int]) -> Episodes:
        data, rank = self.data, self.data.trainer.global_rank if self.data.trainer else 0
        epoch, number = key
        return data.problem.draw(data.batch_size, seeded(f"{data.seed} {epoch} {number} {rank}"))
