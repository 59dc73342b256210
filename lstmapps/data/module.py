"""The one data module: from sources to padded batches, for training, validation and test."""

from __future__ import annotations

import fnmatch
import os
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from functools import cached_property, partial
from hashlib import sha256
from itertools import chain
from pathlib import Path
from typing import Any

import torch
from lightning import LightningDataModule
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from lstmapps.data.batching import Key, SizeBatches
from lstmapps.data.checks import (
    Checked,
    group_leak_problems,
    leak_problems,
    length_problems,
    load_all,
    refuse,
    text_problems,
)
from lstmapps.data.domain import Domain
from lstmapps.data.features import FrozenFrontend
from lstmapps.data.inputs import Inputs
from lstmapps.data.samples import EACH, Batch, Problem, Sample, Source, collate, distinct, merged, stable_hash
from lstmapps.errors import UserError
from lstmapps.text import Normalisation, Units, Vocabulary

Sources = str | Source | list[str | Source]
"""Where samples come from."""


class SequenceData(LightningDataModule):
    """Samples of any domain, checked, in batches by total size.

    domain: how inputs are read.
    train, validation, test: sources; a path that the domain understands, a `Source`, or a list of them. Relative
        paths lie below `root`, or else below `$LSTMAPPS_DATA/<folder>`, or the current folder.
    homepage: where to get the data, told when it is missing.
    blanks: a source of inputs without anything to be read, which are trained on too: a model learns to read nothing.
    holdout: if there is no validation source, what is held out of the training source: a share of
        it (0.1), a number of samples (500), or patterns of ids (`B.12*`). holdout_test: the same for the test part.
    group: a regular expression; samples whose ids agree in what it matches (a page, a speaker) are
        held out together, and a group of the training part in another part is reported as a leak.
    batch_steps: the padded size of a batch over all processes, in steps of the raw input; where that is a text, in
        symbols of both texts.
    normalisation: what is done to every text.
    units: what texts are cut into, or how many pieces of words the vocabulary has, about (needs sentencepiece); 0 for
        characters.
    cache: a folder where the features of a frozen frontend are kept, for all runs that have it.
    workers: processes that load and augment; 0 does it in the training process.
    skip_bad: go on without unusable samples instead of stopping.
    """

    def __init__(
        self,
        domain: Domain,
        train: Sources | None = None,
        validation: Sources | None = None,
        test: Sources | None = None,
        *,
        blanks: Source | None = None,
        root: str | None = None,
        folder: str = "",
        homepage: str = "",
        holdout: float | list[str] = 0.0,
        holdout_test: float | list[str] = 0.0,
        group: str = EACH,
        batch_steps: int = 16_000,
        normalisation: Normalisation = Normalisation(),
        units: int | Units = 0,
        augment: bool = True,
        cache: str | None = None,
        workers: int = 0,
        skip_bad: bool = False,
        seed: int = 0,
    ) -> None:
        super().__init__()
        if batch_steps < 1:
            raise ValueError(f"data.batch_steps must be at least 1, not {batch_steps}")
        try:
            re.compile(group)
        except re.error as error:
            raise ValueError(f"data.group is {group!r}, no regular expression ({error})") from None
        self.domain = domain
        self.sources: dict[str, Sources | None] = {"train": train, "validation": validation, "test": test}
        self.blanks = blanks
        self.root, self.folder, self.homepage = root, folder, homepage
        self.holdouts = {"test": holdout_test, "validation": holdout}
        self.group = group
        self.batch_steps = batch_steps
        self.normalisation = normalisation
        self.units = Units(units) if isinstance(units, int) else units
        self.augment = augment
        self.cache = None if cache is None else Path(cache).expanduser()
        self.features: FrozenFrontend | None = None
        self.workers = workers
        self.skip_bad = skip_bad
        self.seed = seed
        self.parts: dict[str, list[Sample]] = {}
        self.left_out: list[Problem] = []
        self._loaded: dict[str, Kept | _OnDisk] = {}
        self._train_loader: _CountingLoader | None = None
        self._start, self._of = 0, 0  # batches of a resumed epoch that are done, and all of its batches

    @cached_property
    def vocabulary(self) -> Vocabulary:
        """The symbols that are written: those of the training texts, and of what is held out of them for validation."""
        if self.units.joint and self.source_vocabulary is not None:
            return self.source_vocabulary
        return self._learn([sample.text or "" for sample in self._learnt_from])

    @cached_property
    def source_vocabulary(self) -> Vocabulary | None:
        """The symbols that are read, where inputs are texts."""
        if not self.domain.reads_text:
            return None
        texts = [self.source_text(sample) for sample in self._learnt_from]
        if self.units.joint:
            texts += [sample.text or "" for sample in self._learnt_from]
        return self._learn(texts)

    @cached_property
    def _learnt_from(self) -> list[Sample]:
        held_out = self._held_out["test"]
        return [sample for sample in self._training_samples if sample.id not in held_out and not sample.fault]

    def _learn(self, texts: list[str]) -> Vocabulary:
        return Vocabulary.learn(texts, self.normalisation.unicode_form, self.units, visual=self.domain.visual)

    def source_text(self, sample: Sample) -> str:
        """Return what is read of a sample whose input is a text, normalised."""
        text = self.domain.prepare(self.domain.load(sample))
        assert isinstance(text, str), "a domain that reads texts loads them"
        return self.normalisation(text)

    @property
    def inputs(self) -> Inputs:
        """What loads samples as the network takes them."""
        return Inputs(self.domain, self.normalisation, self.source_vocabulary, self.units.sampling, self.features)

    def prepare(
        self,
        room: Callable[[Tensor], Tensor] | None,
        parts: Sequence[str] = ("train", "validation"),
        vocabulary: Vocabulary | None = None,
        watch: Callable[[Iterable[Checked], int], Iterable[Checked]] = lambda items, count: items,
    ) -> None:
        """Read, check and measure the named parts; afterwards `parts` holds what will be used.

        `room` tells of input lengths how many steps a text may need, where a network cannot write more. Raises
        UserError that lists the bad samples, unless `skip_bad` is set: then they are in `left_out`. Symbols that
        the vocabulary lacks are a fault of training samples only: elsewhere they count as errors. `watch` hands on
        what is checked, and may show how far that has come.
        """
        vocabulary = vocabulary or self.vocabulary
        listed = {part: self.samples(part) for part in parts}
        for part, samples in listed.items():
            if not samples:
                raise UserError(self._why_empty(part))
        checked = {part: load_all(self.inputs, samples, watch) for part, samples in listed.items()}
        problems: list[Problem] = []
        for part, results in checked.items():
            found = list(self._problems(part, results, vocabulary, room))
            if part != "train" and "train" in checked:
                found += leak_problems(checked["train"], results, part)
                if self.group != EACH:
                    found += group_leak_problems(self.domain, checked["train"], results, part, self.group)
            bad = {problem.id for problem in found}
            self.parts[part] = [result.sample for result in results if result.sample.id not in bad]
            self._loaded[part] = self._kept(results)
            problems += found
        if self.skip_bad:
            self.left_out = problems
        else:
            refuse(problems)
        for part in parts:
            if not self.parts[part]:
                reason = next(problem.message for problem in problems if problem.id == checked[part][0].sample.id)
                raise UserError(f"none of the {len(checked[part])} samples of the {part} part can be used: {reason}")

    def _kept(self, results: Sequence[Checked]) -> Kept | _OnDisk:
        if self.features is not None and self.features.folder is not None:
            return _OnDisk(self.features, {r.sample.id: r.digest for r in results})
        return Kept({r.sample.id: r.x for r in results if r.x is not None})

    def _why_empty(self, part: str) -> str:
        if self.sources[part] is not None and part != "train":
            return f"the {part} part has no samples; check `data.{part}`"
        count = len(self._training_samples)
        if not count:
            return "the train part has no samples; check `data.train`"
        if isinstance(self.holdouts["validation"], list) and part == "validation":
            return "`data.holdout` names none of the training samples; give --data.holdout 0.1, or --data.validation"
        return (
            f"{count} training sample{'s' * (count > 1)} cannot be split into a train and a validation part "
            f"(`data.holdout` is {self.holdouts['validation']}, and a group stays together); give more, or "
            "--data.validation"
        )

    def _problems(
        self, part: str, results: list[Checked], vocabulary: Vocabulary, room: Callable[[Tensor], Tensor] | None
    ) -> Iterator[Problem]:
        yield from (result.problem for result in results if result.problem)
        readable = [result.sample for result in results if not result.problem]
        yield from text_problems(readable, vocabulary if part == "train" else None)
        yield from self.domain.problems(readable)
        if part == "train" and room is not None:
            yield from length_problems(readable, vocabulary, room)

    def has(self, part: str) -> bool:
        """Tell whether a part has a source, or is held out of the training source."""
        return self.sources[part] is not None or bool(self.holdouts.get(part))

    def samples(self, part: str) -> list[Sample]:
        """Return the samples of a part with normalised texts, unchecked."""
        if part == "train":
            held_out = self._held_out["validation"] | self._held_out["test"]
            return [sample for sample in self._training_samples if sample.id not in held_out] + self._blank_samples
        if self.sources[part] is None and (part == "validation" or self.holdouts["test"]):
            found = [sample for sample in self._training_samples if sample.id in self._held_out[part]]
        else:
            found = self._read(part)
        return merged(found) if self.domain.several_references else found

    @cached_property
    def _training_samples(self) -> list[Sample]:
        return self._read("train")

    @cached_property
    def _blank_samples(self) -> list[Sample]:
        if self.blanks is None:
            return []
        blanks = [replace(sample, text="", blank=True) for sample in self.blanks.samples()]
        return list(distinct([*self._training_samples, *blanks]))[len(self._training_samples) :]

    @cached_property
    def _held_out(self) -> dict[str, set[str]]:
        """The ids that each part without a source takes of the training source, whole groups in the order of a hash."""
        if not any(holdout and self.sources[part] is None for part, holdout in self.holdouts.items()):
            return {part: set() for part in self.holdouts}
        usable = [sample for sample in self._training_samples if not sample.fault]
        groups: dict[str, list[Sample]] = {}
        for sample, group in zip(usable, self.domain.groups(usable, self.group), strict=True):
            groups.setdefault(group, []).append(sample)
        order = sorted(groups, key=stable_hash)
        held_out: dict[str, set[str]] = {}
        for part, holdout in self.holdouts.items():
            chosen: list[str] = []
            if self.sources[part] is not None:
                pass
            elif isinstance(holdout, list):
                chosen = [group for group in order if any(fnmatch.fnmatch(group, pattern) for pattern in holdout)]
            else:
                wanted, count = _wanted(holdout, len(usable)), 0
                while count < wanted and len(chosen) < len(order):
                    group = order[len(chosen)]
                    chosen.append(group)
                    count += len(merged(groups[group]) if self.domain.several_references else groups[group])
            order = [group for group in order if group not in set(chosen)]
            held_out[part] = {sample.id for group in chosen for sample in groups[group]}
        return held_out

    def _read(self, part: str) -> list[Sample]:
        sources = self.sources[part]
        if sources is None:
            raise UserError(f"no {part} data is named; give it with --data.{part}")
        every = sources if isinstance(sources, list) else [sources]
        found = chain.from_iterable(
            source.samples() if isinstance(source, Source) else self.domain.read(str(self._resolve(source)))
            for source in every
        )
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

    def state_dict(self) -> dict[str, Any]:
        """Return how many batches of the current epoch are done, of how many, and of what; a checkpoint keeps it."""
        loader = self._train_loader
        done = {"batches": loader.given % len(loader), "of": len(loader)} if loader else {"batches": 0, "of": 0}
        return done | {"samples": self._digest}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        if state_dict.get("samples", self._digest) != self._digest:
            raise UserError("the run was begun with other data; continue it with those, or choose another --output")
        self._start, self._of = state_dict["batches"], state_dict["of"]

    @cached_property
    def _digest(self) -> str:
        """What tells these samples from others, wherever they lie: sizes and texts, in order."""
        told = {part: [(sample.size, sample.text) for sample in samples] for part, samples in self.parts.items()}
        return sha256(repr(told).encode("utf-8", "surrogatepass")).hexdigest()

    def val_dataloader(self) -> DataLoader[Any]:
        return self._loader("validation", training=False)

    def test_dataloader(self) -> DataLoader[Any]:
        return self._loader("test", training=False)

    def size_of(self, sample: Sample) -> int:
        """Return what a sample adds to a batch: the steps of its input, and where that is a text, its own symbols."""
        size = sample.size or 1
        return size + len(self.vocabulary.read_in(sample.text or "")) if self.domain.reads_text else size

    def _loader(self, part: str, *, training: bool) -> _CountingLoader:
        samples = self.parts[part]
        sizes = [self.size_of(sample) for sample in samples]
        order = sizes
        if training and len(set(sizes)) == 1:  # inputs of one size, such as pictures, are sorted by their texts
            order = [len(self.vocabulary.encode(sample.text or "")) for sample in samples]
        batches = SizeBatches(
            sizes,
            self.batch_steps,
            order=order,
            shuffle=training,
            seed=self.seed,
            rank=self.trainer.global_rank if self.trainer else 0,
            world_size=self.trainer.world_size if self.trainer else 1,
        )
        workers = self.workers if training else 0
        return _CountingLoader(
            _Inputs(self.inputs, samples, self._loaded[part], self.seed, augment=training and self.augment),
            sampler=batches,
            batch_size=None,
            collate_fn=partial(
                _collate, vocabulary=self.vocabulary if training else None, features=self.features is not None
            ),
            num_workers=workers,
            persistent_workers=workers > 0,
            pin_memory=torch.cuda.is_available(),
            generator=torch.Generator(),  # so that starting to iterate leaves torch's random numbers alone
        )


def _wanted(holdout: float, count: int) -> float:
    """Return how many of `count` samples are to be held out; raises UserError if it is neither share nor number."""
    if not (0.0 <= holdout < 1.0 or float(holdout).is_integer()) or holdout < 0:
        raise UserError(f"data.holdout is {holdout}; give a share below 1, such as 0.1, or a number of samples")
    return holdout * count if holdout < 1.0 else holdout


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
        same: dict[int, tuple[torch.dtype, int, torch.Size]] = {}  # several samples of one input
        for id_, x in inputs.items():
            if id(x) not in same:
                same[id(x)] = (x.dtype, ends[x.dtype], x.shape)
                flat.setdefault(x.dtype, []).append(x.flatten())
                ends[x.dtype] += x.numel()
            self._places[id_] = same[id(x)]
        self._blocks = {dtype: torch.cat(parts) for dtype, parts in flat.items()}

    def get(self, id_: str) -> Tensor | None:
        """Return an input, or None if it was not kept."""
        if id_ not in self._places:
            return None
        dtype, begin, shape = self._places[id_]
        return self._blocks[dtype][begin : begin + shape.numel()].view(shape)


class _OnDisk:
    """Features that are kept on disk, by id."""

    def __init__(self, features: FrozenFrontend, digests: dict[str, str]) -> None:
        self.features, self.digests = features, digests

    def get(self, id_: str) -> Tensor | None:
        """Return the features of an input, or None if there are none."""
        return self.features.get(self.digests[id_])


class _Inputs(Dataset[list[tuple[Tensor, Sample]]]):
    """Loads, and in training varies, samples; a variation follows from seed, epoch and id alone."""

    def __init__(
        self, inputs: Inputs, samples: list[Sample], loaded: Kept | _OnDisk, seed: int, *, augment: bool
    ) -> None:
        self.inputs, self.samples, self.loaded = inputs, samples, loaded
        self.seed, self.augment = seed, augment

    def __getitem__(self, keys: list[Key]) -> list[tuple[Tensor, Sample]]:
        return [self._load(*key) for key in keys]

    def _load(self, epoch: int, index: int) -> tuple[Tensor, Sample]:
        sample = self.samples[index]
        kept = self.loaded.get(sample.id)
        if self.augment:
            return self.inputs.varied(sample, kept, stable_hash(f"{self.seed} {epoch} {sample.id}")), sample
        if kept is None:
            return self.inputs.load(sample), sample
        whole = self.inputs.features is not None or self.inputs.vocabulary is not None
        return kept if whole else self.inputs.prepared(kept), sample


def _collate(items: list[tuple[Tensor, Sample]], vocabulary: Vocabulary | None, features: bool) -> Batch:
    inputs, samples = zip(*items, strict=True)
    return collate(list(inputs), list(samples), vocabulary, features)
