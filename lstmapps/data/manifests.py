"""Reading lists of inputs and texts: tables, columns with names, and JSON lines.

A line that cannot be used is a sample with a `fault` that names file and line; the others are read.
"""

from __future__ import annotations

import bz2
import csv
import gzip
import json
import lzma
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from lstmapps.data.samples import Sample
from lstmapps.errors import UserError


def read_lines(path: Path) -> Iterator[tuple[int, str]]:
    """Yield `(line number, line)` of a UTF-8 text, skipping empty lines and a byte-order mark.

    Raises UserError at a line that is not UTF-8.
    """
    for number, line in _lines(path):
        if line.strip():
            yield number, decoded(f"{path}:{number}", line)


def read_samples(path: Path, make: Callable[[str, str], Sample]) -> Iterator[Sample]:
    """Yield what `make(place, line)` says of each line that is not empty, its place being `path:number`.

    A line that `make` refuses with a UserError is a sample with that fault.
    """
    for number, line in _lines(path):
        place = f"{path}:{number}"
        if line.strip():
            try:
                yield make(place, decoded(place, line))
            except UserError as error:
                yield Sample(place, None, fault=str(error))


def read_table(path: Path) -> Iterator[Sample]:
    """Yield the samples of lines of `input<TAB>text`; inputs are paths relative to the table."""

    def make(place: str, line: str) -> Sample:
        name, tab, text = line.partition("\t")
        if not tab:
            raise UserError(f"{place} has no tab; each line is `input<TAB>text`")
        if not name.strip():
            raise UserError(f"{place} names no input before its tab; each line is `input<TAB>text`")
        return Sample(name, path.parent / name, text)

    return read_samples(path, make)


def read_json_lines(
    path: Path, required: tuple[str, ...], make: Callable[[str, dict[str, Any]], Sample]
) -> Iterator[Sample]:
    """Yield what `make(place, object)` says of each line of a file with one JSON object a line.

    Each object has the `required` keys, which hold strings; its `text` is a string or None, a number being
    the string of its digits.
    """

    def parse(place: str, line: str) -> Sample:
        try:
            entry = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise UserError(f"{place} is not JSON ({error}); write one object a line") from None
        if not isinstance(entry, dict):
            raise UserError(f"{place} is not a JSON object; write one object a line")
        for key in required:
            if key not in entry:
                raise UserError(f"{place} has no key {key!r}; add it")
            if not isinstance(entry[key], str) or not entry[key].strip():
                raise UserError(f"{place}: `{key}` must be a string that names something; mend the line")
        text = entry.get("text")
        if isinstance(text, int | float) and not isinstance(text, bool):
            text = json.loads(line, parse_int=str, parse_float=str)["text"]
        if not isinstance(text, str | None):
            raise UserError(f"{place}: `text` must be a string; mend the line")
        return make(place, {**entry, "text": text})

    return read_samples(path, parse)


def read_columns(path: Path, delimiter: str, make: Callable[[str, dict[str, str]], Sample]) -> Iterator[Sample]:
    """Yield what `make(place, row)` says of each row of a table whose first line names its columns."""
    lines = (line + "\n" for _, line in _lines(path))
    quoted = delimiter == ","
    reader = csv.DictReader(lines, delimiter=delimiter, quoting=csv.QUOTE_MINIMAL if quoted else csv.QUOTE_NONE)
    rows: Iterator[dict[str, str]] = iter(reader)
    while True:
        place = f"{path}:{reader.line_num + 1}"
        try:
            row = next(rows, None)
            if row is None:
                return
            place = f"{path}:{reader.line_num}"
            if None in row or None in row.values():
                raise UserError(f"{place} has not as many columns as the first line; mend it")
            yield make(place, {name: decoded(place, value) for name, value in row.items()})
        except (UserError, csv.Error) as error:
            reason = str(error) if isinstance(error, UserError) else f"{place} is not a row ({error}); mend it"
            yield Sample(place, None, fault=reason)


def all_lines(path: Path) -> Iterator[tuple[int, str]]:
    """Yield `(line number, line)` of a text, packed (gz, xz, bz2) or not, the empty ones too; see `lines_of`."""
    return lines_of(_content(path), str(path))


def lines_of(content: bytes, name: str) -> Iterator[tuple[int, str]]:
    """Yield numbered lines, which only line feeds end; what is not UTF-8 is left for `decoded` to name."""
    lines = list(_split(content, name))
    if lines and not lines[-1][1]:  # a line feed ends the last line, and begins none
        lines.pop()
    return iter(lines)


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    """Yield all lines with their numbers; bytes that are not UTF-8 are kept as surrogates."""
    return _split(_content(path), str(path))


def _content(path: Path) -> bytes:
    opened: Any = {".gz": gzip.open, ".xz": lzma.open, ".bz2": bz2.open}.get(path.suffix.lower(), open)
    try:
        with opened(path, "rb") as file:
            content: bytes = file.read()
            return content
    except (OSError, EOFError, lzma.LZMAError) as error:
        reason = getattr(error, "strerror", None) or error
        raise UserError(f"{path} cannot be read ({reason}); check the path") from None


def _split(content: bytes, path: str) -> Iterator[tuple[int, str]]:
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise UserError(f"{path} is not UTF-8 text but UTF-16; save it as UTF-8")
    text = content.decode("utf-8-sig", errors="surrogateescape")
    for number, line in enumerate(text.split("\n"), start=1):
        yield number, line.removesuffix("\r")


def decoded(place: str, text: str) -> str:
    """Return a line of a text; raises UserError that names its place if it is not UTF-8."""
    if any("\udc80" <= character <= "\udcff" for character in text):
        raise UserError(f"{place} is not UTF-8 text; save the file as UTF-8")
    return text
