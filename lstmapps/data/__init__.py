"""Data as the core sees it: samples, their sources, domains, checks, batches, and the one data module."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lstmapps.data.batching import SizeBatches
from lstmapps.data.chance import between, chance, seeded
from lstmapps.data.disturbances import Disturbance, tried
from lstmapps.data.domain import Domain
from lstmapps.data.inputs import Inputs
from lstmapps.data.manifests import (
    all_lines,
    decoded,
    lines_of,
    read_columns,
    read_json_lines,
    read_lines,
    read_samples,
    read_table,
)
from lstmapps.data.samples import (
    EACH,
    Batch,
    Box,
    Problem,
    Sample,
    Source,
    collate,
    distinct,
    group_of,
    merged,
    named,
    pad,
    stable_hash,
    tolerant,
)

if TYPE_CHECKING:
    from lstmapps.data.module import SequenceData as SequenceData

__all__ = [
    "EACH",
    "Batch",
    "Box",
    "Disturbance",
    "Domain",
    "Inputs",
    "Problem",
    "Sample",
    "SequenceData",
    "SizeBatches",
    "Source",
    "all_lines",
    "between",
    "chance",
    "collate",
    "decoded",
    "distinct",
    "group_of",
    "lines_of",
    "merged",
    "named",
    "pad",
    "read_columns",
    "read_json_lines",
    "read_lines",
    "read_samples",
    "read_table",
    "seeded",
    "stable_hash",
    "tolerant",
    "tried",
]


def __getattr__(name: str) -> object:
    if name == "SequenceData":  # Lightning takes seconds to import; prediction does without it
        from lstmapps.data.module import SequenceData

        return SequenceData
    raise AttributeError(name)
