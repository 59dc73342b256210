"""N-gram models as ARPA files, which every toolkit reads; a name that ends in .gz is compressed."""

from __future__ import annotations

import gzip
import io
import math
import re
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TextIO

from lstmapps.errors import UserError
from lstmapps.language_model.ngram import NEVER, START, UNKNOWN, Gram, NGramModel

_LN10 = math.log(10)
_MOST_BYTES = 50 << 20  # unpacked: a million n-grams, half a gigabyte as a model


def write_arpa(model: NGramModel, path: str | Path) -> None:
    """Write a model, whole or not at all; logs are to the base of ten with seven decimals."""
    path = Path(path)
    partial = path.with_name(f".{path.name}.partial")
    opened = gzip.open if path.suffix == ".gz" else open
    try:
        with opened(partial, "wt", encoding="utf-8", newline="\n") as file:
            _write(model, file)
        partial.replace(path)
    except OSError as error:
        raise UserError(f"{path} could not be written ({error}); free some space or choose another place") from None
    finally:
        partial.unlink(missing_ok=True)


def read_arpa(path: str | Path) -> NGramModel:
    """Read a model; raises UserError with the line that is not ARPA."""
    path = Path(path)
    try:
        content = path.read_bytes()
    except OSError as error:
        raise UserError(f"{path} cannot be read ({error.strerror}); check the path") from None
    return parse_arpa(content, path)


@dataclass(frozen=True)
class ArpaFile:
    """An ARPA file in memory, compressed or not, which is parsed when its model is first asked for."""

    content: bytes
    path: Path

    @cached_property
    def model(self) -> NGramModel:
        """The model; raises UserError if the file holds none."""
        return parse_arpa(self.content, self.path)


def parse_arpa(content: bytes, path: Path) -> NGramModel:
    """Read a model from the bytes of an ARPA file, compressed or not; `path` is named in errors."""
    try:
        if content[:2] == b"\x1f\x8b":
            content = gzip.GzipFile(fileobj=io.BytesIO(content)).read(_MOST_BYTES + 1)
        if len(content) > _MOST_BYTES:
            raise UserError(
                f"{path} holds more than {_MOST_BYTES >> 20} MB of n-grams; take a lower order or less text"
            )
        text = content.decode("utf-8")
    except (OSError, EOFError, zlib.error, UnicodeDecodeError) as error:
        raise UserError(f"{path} is not a readable ARPA file ({error}); make it again") from None
    return _read(text, path)


def _write(model: NGramModel, file: TextIO) -> None:
    by_order: list[list[Gram]] = [[] for _ in range(model.order)]
    for gram in model.probabilities:
        by_order[len(gram) - 1].append(gram)
    file.write("\\data\\\n")
    file.writelines(f"ngram {size}={len(grams)}\n" for size, grams in enumerate(by_order, 1))
    for size, grams in enumerate(by_order, 1):
        file.write(f"\n\\{size}-grams:\n")
        for gram in sorted(grams):
            line = f"{model.probabilities[gram] / _LN10:.7f}\t{' '.join(gram)}"
            if size < model.order:
                line += f"\t{model.backoffs.get(gram, 0.0) / _LN10:.7f}"
            file.write(line + "\n")
    file.write("\n\\end\\\n")


def _read(text: str, path: Path) -> NGramModel:
    lines = _lines(text)
    sizes: dict[int, int] = {}
    probabilities: dict[Gram, float] = {}
    backoffs: dict[Gram, float] = {}
    size, number, ended = 0, 0, False
    try:
        if next(lines)[1] != "\\data\\":
            raise ValueError("it does not begin with \\data\\")
        for number, line in lines:  # noqa: B007 (the error below names it)
            if line == "\\end\\":
                ended = True
                break
            if line.startswith("\\"):
                size = int(line[1:].partition("-")[0])
            elif not size:
                order, _, count = line.removeprefix("ngram").partition("=")
                sizes[int(order)] = int(count)
            else:
                value, *rest = re.split("[ \t]+", line)
                gram, backoff = tuple(rest[:size]), rest[size:]
                if len(gram) < size or len(backoff) > 1:
                    raise ValueError(f"{len(rest)} fields in a {size}-gram")
                probabilities[gram] = float(value) * _LN10
                if backoff:
                    backoffs[gram] = float(backoff[0]) * _LN10
    except StopIteration:
        raise UserError(f"{path} is empty; make it again") from None
    except ValueError as error:
        raise UserError(f"{path}, line {number}: not ARPA ({error}); make it again") from None
    found = {order: sum(len(gram) == order for gram in probabilities) for order in sizes}
    if not ended or not sizes or found != sizes:
        raise UserError(f"{path} is cut off or damaged: {found} n-grams where {sizes} are announced; make it again")
    for mark in (START, UNKNOWN):
        probabilities.setdefault((mark,), NEVER)
    return NGramModel(max(sizes), probabilities, backoffs)


def _lines(text: str) -> Iterator[tuple[int, str]]:
    """Yield the lines that hold something, with their numbers."""
    for number, line in enumerate(text.split("\n"), 1):
        if stripped := line.strip(" \t\r"):
            yield number, stripped
