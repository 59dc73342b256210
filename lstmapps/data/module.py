"""The one data module: from sources to padded batches, for training, validation and test."""

from __future__ import annotations

import fnmatch
import hashlib
import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import torch
from lightning import LightningDataModule
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from lstmapps.data.batching import Key, SizeBatches
from lstmapps.data.checks import (
    Checked,
    Problem,
    group_leak_problems,
    leak_problems,
    length_problems,
    load_all,
    refuse,
    text_problems,
)
from lstmapps.data.domain import Domain
from lstmapps.data.samples import EACH, Batch, Sample, Source, collate, distinct, group_of
from lstmapps.errors import UserError
from lstmapps.text import Normalisation, Vocabulary


class SequenceData(LightningDataModule):
    """Samples of any domain, checked, in batches by total size.

    domain: how inputs are read.
    train, validation, test: sources; a path that the domain understands, or a `Source`. Relative
        paths lie below `root`, or else below `$LSTMAPPS_DATA/<folder>`, or the current folder.
    homepage: where to get the data, told when it is missing.
    holdout: if there is no validation source, what is held out of the training source: a share of
        it (0.1), or patterns of ids (`B.12*`).
    group: a regular expression; samples whose ids agree in what it matches (a page, a speaker) are
        held out together, and a group of the training part in another part is reported as a leak.
    batch_steps: the padded size of a batch over all processes, in steps of the raw input.
    normalisation: what is done to every text.
    units: how many pieces of words the vocabulary has, about (needs sentencepiece); 0 for characters.
    workers: processes that load and augment; 0 does it in the training process.
    skip_bad: go on without unusable samples instead of stopping.
    """

    def __init__(
        self,
        domain: Domain,
        train: str | Source,
        validation: str | Source | None = None,
        test: str | Source | None = None,
        *,
        root: str | None = None,
        folder: str = "",
        homepage: str = "",
        holdout: float | list[str] = 0.0,
        group: str = EACH,
        batch_steps: int = 16_000,
        normalisation: Normalisation = Normalisation(),
        units: int = 0,
        augment: bool = True,
        workers: int = 0,
        skip_bad: bool = False,
        seed: int = 0,
    ) -> None:
        super().__init__()
        if batch_steps < 1:
            raise ValueError(f"data.batch_steps must be at least 1, not {batch_steps}")
        self.domain = domain
        self.sources: dict[str, str | Source | None] = {"train": train, "validation": validation, "test": test}
        self.root, self.folder, self.homepage = root, folder, homepage
        self.holdout, self.group = holdout, group
        self.batch_steps = batch_steps
        self.normalisation = normalisation
        self.units = units
        self.augment = augment
        self.workers = workers
        self.skip_bad = skip_bad
        self.seed = seed
        self.parts: dict[str, list[Sample]] = {}
        self.left_out: list[Problem] = []
        self._loaded: dict[str, Kept] = {}
        self._train_loader: _CountingLoader | None = None
        self._start, self._of = 0, 0  # batches of a resumed epoch that are done, and all of its batches

    @cached_property
    def vocabulary(self) -> Vocabulary:
        """The symbols of the training texts, held-out ones included."""
        texts = (sample.text or "" for sample in self._training_samples)
        return Vocabulary.learn(texts, self.normalisation.unicode_form, self.units, visual=self.domain.visual)

    def prepare(
        self,
        output_lengths: Callable[[Tensor], Tensor],
        parts: Sequence[str] = ("train", "validation"),
        vocabulary: Vocabulary | None = None,
        watch: Callable[[Iterable[Checked], int], Iterable[Checked]] = lambda items, count: items,
    ) -> None:
        """Read, check and measure the named parts; afterwards `parts` holds what will be used.

        `output_lengths` turns input lengths into output lengths. Raises UserError that
        lists the bad samples, unless `skip_bad` is set: then they are in `left_out`. Symbols that
        the vocabulary lacks are a fault of training samples only: elsewhere they count as errors. `watch` hands on
        what is checked, and may show how far that has come.
        """
        vocabulary = vocabulary or self.vocabulary
        listed = {part: self.samples(part) for part in parts}
        for part, samples in listed.items():
            if not samples:
                raise UserError(self._why_empty(part))
        checked = {part: load_all(self.domain, samples, watch) for part, samples in listed.items()}
        problems: list[Problem] = []
        for part, results in checked.items():
            found = list(self._problems(part, results, vocabulary, output_lengths))
            if part != "train" and "train" in checked:
                found += leak_problems(checked["train"], results, part)
                if self.group != EACH:
                    found += group_leak_problems(checked["train"], results, part, self.group)
            bad = {problem.id for problem in found}
            self.parts[part] = [result.sample for result in results if result.sample.id not in bad]
            self._loaded[part] = Kept({r.sample.id: r.x for r in results if r.x is not None})
            problems += found
        if self.skip_bad:
            self.left_out = problems
        else:
            refuse(problems)
        for part in parts:
            if not self.parts[part]:
                reason = next(problem.message for problem in problems if problem.id == checked[part][0].sample.id)
                raise UserError(f"none of the {len(checked[part])} samples of the {part} part can be used: {reason}")

    def _why_empty(self, part: str) -> str:
        if self.sources[part] is not None and part != "train":
            return f"the {part} part has no samples; check `data.{part}`"
        count = len(self._training_samples)
        if not count:
            return "the train part has no samples; check `data.train`"
        if isinstance(self.holdout, list) and part == "validation":
            return "`data.holdout` names none of the training samples; give --data.holdout 0.1, or --data.validation"
        return (
            f"{count} training sample{'s' * (count > 1)} cannot be split into a train and a validation part "
            f"(`data.holdout` is {self.holdout}, and a group stays together); give more, or --data.validation"
        )

    @staticmethod
    def _problems(
        part: str, results: list[Checked], vocabulary: Vocabulary, output_lengths: Callable[[Tensor], Tensor]
    ) -> Iterator[Problem]:
        yield from (result.problem for result in results if result.problem)
        readable = [result.sample for result in results if not result.problem]
        yield from text_problems(readable, vocabulary if part == "train" else None)
        if part == "train":
            yield from length_problems(readable, vocabulary, output_lengths)

    def has(self, part: str) -> bool:
        """Tell whether a part has a source, or is held out of the training source."""
        return self.sources[part] is not None or (part == "validation" and bool(self.holdout))

    def samples(self, part: str) -> list[Sample]:
        """Return the samples of a part with normalised texts, unchecked."""
        if part == "train" or (part == "validation" and self.sources["validation"] is None):
            held_out = self._held_out
            return [s for s in self._training_samples if (s.id in held_out) == (part == "validation")]
        return self._read(part)

    @cached_property
    def _training_samples(self) -> list[Sample]:
        return self._read("train")

    @cached_property
    def _held_out(self) -> set[str]:
        if self.sources["validation"] is not None:
            return set()
        groups: dict[str, list[str]] = {}
        usable = [sample for sample in self._training_samples if not sample.fault]
        for sample in usable:
            groups.setdefault(group_of(sample.id, self.group), []).append(sample.id)
        if isinstance(self.holdout, list):
            return {
                id_
                for group, ids in groups.items()
                for id_ in ids
                if any(fnmatch.fnmatch(group, p) for p in self.holdout)
            }
        if not 0.0 <= self.holdout < 1.0:
            raise UserError(f"data.holdout is {self.holdout}; give a share below 1, such as 0.1")
        wanted = self.holdout * len(usable)
        held_out: set[str] = set()
        for group in sorted(groups, key=_stable_hash):
            if len(held_out) >= wanted:
                break
            held_out.update(groups[group])
        return held_out

    def _read(self, part: str) -> list[Sample]:
        source = self.sources[part]
        if source is None:
            raise UserError(f"the recipe names no {part} data; give it with --data.{part}")
        found = source.samples() if isinstance(source, Source) else self.domain.read(str(self._resolve(source)))
        return [self._normalised(sample) for sample in distinct(found)]

    def _normalised(self, sample: Sample) -> Sample:
        if sample.text is None:
            return sample
        text, *others = map(self.normalisation, sample.references)
        return replace(sample, text=text, others=tuple(others))

    def _resolve(self, source: str) -> Path:
        path = Path(source).expanduser()
        if path.is_absolute():
            return path
        if self.root is not None:
            root = Path(self.root).expanduser()
        elif self.folder and os.environ.get("LSTMAPPS_DATA"):
            root = Path(os.environ["LSTMAPPS_DATA"]) / self.folder
        elif self.folder:
            raise UserError(self._where_to_get("no data root is given"))
        else:
            root = Path()
        if not (root / path).exists():
            raise UserError(self._where_to_get(f"{root / path} does not exist"))
        return root / path

    def _where_to_get(self, fault: str) -> str:
        get = f"get the data from {self.homepage} and " if self.homepage else ""
        folder = f", or set LSTMAPPS_DATA to the folder that holds {self.folder}/" if self.folder else ""
        return f"{fault}; {get}pass its folder with --data.root{folder}"

    def train_dataloader(self) -> DataLoader[Any]:
        self._train_loader = self._loader("train", training=True)
        batches: Any = self._train_loader.sampler
        if self._start and self._of != len(batches):
            raise UserError(
                f"the run stopped within an epoch of {self._of} batches, which are {len(batches)} now; "
                "continue it with the data and the data.batch_steps that it began with"
            )
        batches.start, self._start = self._start, 0
        return self._train_loader

    def state_dict(self) -> dict[str, int]:
        """Return how many batches of the current epoch are done, and of how many; a checkpoint keeps it."""
        loader = self._train_loader
        return {"batches": loader.given % len(loader), "of": len(loader)} if loader else {"batches": 0, "of": 0}

    def load_state_dict(self, state_dict: dict[str, int]) -> None:
        self._start, self._of = state_dict["batches"], state_dict["of"]

    def val_dataloader(self) -> DataLoader[Any]:
        return self._loader("validation", training=False)

    def test_dataloader(self) -> DataLoader[Any]:
        return self._loader("test", training=False)

    def _loader(self, part: str, *, training: bool) -> _CountingLoader:
        samples = self.parts[part]
        batches = SizeBatches(
            [sample.size or 1 for sample in samples],
            self.batch_steps,
            shuffle=training,
            seed=self.seed,
            rank=self.trainer.global_rank if self.trainer else 0,
            world_size=self.trainer.world_size if self.trainer else 1,
        )
        workers = self.workers if training else 0
        return _CountingLoader(
            _Inputs(self.domain, samples, self._loaded[part], self.seed, augment=training and self.augment),
            sampler=batches,
            batch_size=None,
            collate_fn=partial(_collate, vocabulary=self.vocabulary if training else None),
            num_workers=workers,
            persistent_workers=workers > 0,
            pin_memory=torch.cuda.is_available(),
            generator=torch.Generator(),  # so that starting to iterate leaves torch's random numbers alone
        )


class _CountingLoader(DataLoader[Any]):
    """A loader that knows how many batches of the epoch it has given."""

    given = 0

    def __iter__(self) -> Any:
        batches: Any = self.sampler
        self.given = batches.start
        for batch in super().__iter__():
            self.given += 1
            yield batch


class Kept:
    """Loaded inputs by id, in one block of memory: a worker that is spawned is handed one file, not one for each."""

    def __init__(self, inputs: dict[str, Tensor]) -> None:
        self._places: dict[str, tuple[torch.dtype, int, torch.Size]] = {}
        flat: dict[torch.dtype, list[Tensor]] = {}
        ends: Counter[torch.dtype] = Counter()
        for id_, x in inputs.items():
            self._places[id_] = (x.dtype, ends[x.dtype], x.shape)
            flat.setdefault(x.dtype, []).append(x.flatten())
            ends[x.dtype] += x.numel()
        self._blocks = {dtype: torch.cat(parts) for dtype, parts in flat.items()}

    def get(self, id_: str) -> Tensor | None:
        """Return an input, or None if it was not kept."""
        if id_ not in self._places:
            return None
        dtype, begin, shape = self._places[id_]
        return self._blocks[dtype][begin : begin + shape.numel()].view(shape)


class _Inputs(Dataset[list[tuple[Tensor, Sample]]]):
    """Loads, and in training augments, samples; a variation follows from seed, epoch and id alone."""

    def __init__(self, domain: Domain, samples: list[Sample], loaded: Kept, seed: int, *, augment: bool) -> None:
        self.domain, self.samples, self.loaded = domain, samples, loaded
        self.seed, self.augment = seed, augment

    def __getitem__(self, keys: list[Key]) -> list[tuple[Tensor, Sample]]:
        return [self._load(*key) for key in keys]

    def _load(self, epoch: int, index: int) -> tuple[Tensor, Sample]:
        sample = self.samples[index]
        kept = self.loaded.get(sample.id)
        x = self.domain.load(sample) if kept is None else kept
        if self.augment:
            with torch.random.fork_rng(devices=[]):
                torch.default_generator.manual_seed(_stable_hash(f"{self.seed} {epoch} {sample.id}"))
                x = self.domain.augment(x)
        return x, sample


def _collate(items: list[tuple[Tensor, Sample]], vocabulary: Vocabulary | None) -> Batch:
    inputs, samples = zip(*items, strict=True)
    return collate(list(inputs), list(samples), vocabulary)


def _stable_hash(text: str) -> int:
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=7).digest(), "big")
