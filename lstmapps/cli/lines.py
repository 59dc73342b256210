"""Texts of standard input, a line each, as they arrive."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import TYPE_CHECKING, BinaryIO

from lstmapps.errors import UserError

if TYPE_CHECKING:
    from lstmapps.data import Sample

_CHUNK = 1 << 16  # bytes that are read at a time


def arriving(file: BinaryIO) -> Iterator[list[Sample]]:
    """Yield the lines that can be read without waiting, at least one, until the end.

    Their ids are `-:number`; of a line `name<TAB>text`, as `lstmapps predict` writes it, the name.
    """
    from lstmapps.data import Sample, decoded, named

    number = 0
    for lines in _whole_lines(file):
        samples = []
        for line in lines:
            number += 1
            place = f"-:{number}"
            text = line.removesuffix(b"\r").decode("utf-8-sig" if number == 1 else "utf-8", "surrogateescape")
            try:
                samples.append(named(place, decoded(place, text)))
            except UserError as error:
                samples.append(Sample(place, None, fault=str(error)))
        yield samples


def _whole_lines(file: BinaryIO) -> Iterator[list[bytes]]:
    rest = b""
    while chunk := os.read(file.fileno(), _CHUNK):
        *lines, rest = (rest + chunk).split(b"\n")
        if lines:
            yield lines
    if rest:
        yield [rest]
