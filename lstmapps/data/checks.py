"""Looking through a data set before anything is trained on it."""

from __future__ import annotations

import os
import statistics
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import dataclass, replace
from typing import Any

import torch

from lstmapps.ctc.loss import steps_needed
from lstmapps.data.domain import Domain
from lstmapps.data.features import digest_of
from lstmapps.data.inputs import Inputs
from lstmapps.data.samples import Problem, Sample
from lstmapps.errors import UserError, cause, escaped
from lstmapps.text import Vocabulary


def _memory() -> int:
    """Return the bytes of memory that this machine has, or a small number where it does not tell."""
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, OSError, ValueError):
        return 0


KEPT_BYTES = max(2**30, _memory() // 8)
"""How much loaded input a part of the data may hold in memory; the rest is loaded when it is needed."""

_SHORTEST, _LONGEST = 0.25, 10.0  # of the median size for a symbol; AN4 lies within 0.35 and 5.3, Peraire 0.45 and 6.4


@dataclass(frozen=True)
class Checked:
    """A sample, measured, with what was loaded and the digest of it; or the problem it has."""

    sample: Sample
    x: torch.Tensor | None = None
    digest: str = ""
    problem: Problem | None = None


def load_all(
    inputs: Inputs,
    samples: Sequence[Sample],
    watch: Callable[[Iterable[Checked], int], Iterable[Checked]] = lambda items, count: items,
) -> list[Checked]:
    """Load every input once, in threads; return in order what could be loaded of each sample and what not.

    What was loaded is kept up to `KEPT_BYTES`, so that training need not open the same page or
    recording again for every line of it; features that are kept on disk are not held.
    """

    def check(sample: Sample) -> Checked:
        if sample.fault:
            return Checked(sample, problem=Problem(sample.id, "unreadable", sample.fault))
        try:
            measured = inputs.domain.measure(sample)
            x = inputs.raw(measured)
            prepared = inputs.prepared(x)
        except Exception as error:
            return Checked(sample, problem=Problem(sample.id, "unreadable", cause(error, sample.id)))
        digest = digest_of(prepared)
        if inputs.features is not None:  # whatever goes wrong there is no fault of this input
            x = prepared = inputs.features(prepared, digest)
        on_disk = inputs.features is not None and inputs.features.folder is not None
        keep = x if isinstance(x, torch.Tensor) else prepared
        return Checked(replace(measured, size=len(prepared)), None if on_disk else keep, digest)

    results: list[Checked] = []
    kept = 0
    first: dict[Any, Sample] = {}
    for sample in samples:
        first.setdefault(_input_of(sample), sample)
    with ThreadPoolExecutor(os.cpu_count()) as pool, inputs.features.kept() if inputs.features else nullcontext():
        for checked in watch(pool.map(check, first.values()), len(first)):
            size = 0 if checked.x is None else checked.x.nbytes
            if kept + size > KEPT_BYTES:
                if inputs.features is not None:
                    raise UserError(
                        f"what the frozen frontend gives takes more than {KEPT_BYTES >> 30} GB; name a folder that "
                        "keeps it, --data.cache DIR"
                    )
                checked, size = replace(checked, x=None), 0
            kept += size
            results.append(checked)
    found = dict(zip(first, results, strict=True))
    return [_checked_of(sample, found[_input_of(sample)]) for sample in samples]


def _input_of(sample: Sample) -> Any:
    """Return what samples of one and the same file, or part of it, have in common and no others."""
    if sample.fault or not isinstance(sample.source, os.PathLike):
        return id(sample)
    return str(sample.source), sample.region


def _checked_of(sample: Sample, found: Checked) -> Checked:
    """Return what was found of the input of a sample as of that sample."""
    if sample.id == found.sample.id:
        return found
    problem = None if found.problem is None else replace(found.problem, id=sample.id)
    measured = replace(sample, size=found.sample.size, region=found.sample.region)
    return replace(found, sample=measured, problem=problem)


def text_problems(samples: Sequence[Sample], vocabulary: Vocabulary | None) -> Iterator[Problem]:
    """Yield samples without text, but for blank ones, and those with symbols that the vocabulary lacks."""
    for sample in samples:
        if sample.fault or sample.blank:
            continue
        if not sample.text:
            yield Problem(sample.id, "empty", f"{sample.id} has an empty text; give its transcript or remove it")
        elif vocabulary is not None and (unknown := vocabulary.unknown(sample.text)):
            shown = " ".join(repr(symbol) for symbol in unknown)
            yield Problem(sample.id, "unknown", f"{sample.id} has symbols outside the vocabulary: {shown}")


def length_problems(
    samples: Sequence[Sample], vocabulary: Vocabulary, output_lengths: Callable[[torch.Tensor], torch.Tensor]
) -> Iterator[Problem]:
    """Yield samples whose input gives CTC fewer steps than their labels need."""
    if not samples:
        return
    steps = output_lengths(torch.tensor([sample.size for sample in samples])).tolist()
    for sample, available in zip(samples, steps, strict=True):
        if not sample.text or vocabulary.unknown(sample.text):
            continue
        needed = steps_needed(vocabulary.encode(sample.text))
        if available < needed:
            message = f"{sample.id} is too short for its text: {available} steps, {needed} needed (repeats counted)"
            yield Problem(sample.id, "short", message)


def odd_samples(samples: Sequence[Sample]) -> Iterator[Problem]:
    """Yield samples, of kind odd, that are far shorter or longer for their texts than is usual.

    They may be right; a transcript that belongs elsewhere shows itself in this way.
    """
    sized = [(sample, sample.size / len(sample.text)) for sample in samples if sample.size and sample.text]
    usual = statistics.median(each for _, each in sized) if sized else 1.0
    for sample, each in sized:
        if not _SHORTEST <= each / usual <= _LONGEST:
            message = f"{sample.id} has {each / usual:.2g} times the usual size for its text; see whether they belong"
            yield Problem(sample.id, "odd", f"{message} together")


def leak_problems(train: Sequence[Checked], other: Sequence[Checked], part: str) -> Iterator[Problem]:
    """Yield samples of another part whose very input also stands in the training part."""
    seen = {checked.digest: checked.sample.id for checked in train if checked.digest}
    for checked in other:
        if checked.digest in seen:
            message = f"{checked.sample.id} ({part}) is the same input as {seen[checked.digest]} (train); remove one"
            yield Problem(checked.sample.id, "leak", message)


def group_leak_problems(
    domain: Domain, train: Sequence[Checked], other: Sequence[Checked], part: str, pattern: str
) -> Iterator[Problem]:
    """Yield samples of another part whose group, a speaker or a page, is one of the training part's too."""
    groups = domain.groups([checked.sample for checked in (*train, *other)], pattern)
    seen = set(groups[: len(train)])
    for checked, group in zip(other, groups[len(train) :], strict=True):
        if group in seen:
            message = (
                f"{checked.sample.id} ({part}) is of {group}, as samples of the training part are; keep them apart"
            )
            yield Problem(checked.sample.id, "leak", message)


def refuse(problems: Sequence[Problem]) -> None:
    """Raise UserError that lists the problems, if there are any."""
    if not problems:
        return
    shown = [escaped(problem.message) for problem in problems[:20]]
    if len(problems) > len(shown):
        shown.append(f"… and {len(problems) - len(shown)} more")
    counts = ", ".join(f"{count} {kind}" for kind, count in Counter(p.kind for p in problems).items())
    shown.append(f"{len(problems)} bad samples ({counts}); mend them, or go on without them with --skip-bad")
    raise UserError("\n".join(shown))
