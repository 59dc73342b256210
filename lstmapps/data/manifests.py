"""Reading lists of inputs and texts: tables and JSON lines."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from lstmapps.errors import UserError


def read_lines(path: Path) -> Iterator[tuple[int, str]]:
    """Yield `(line number, line)` of a UTF-8 text, skipping empty lines and a byte-order mark."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise UserError(f"{path} is not UTF-8 text (byte {error.start}); save it as UTF-8") from None
    except OSError as error:
        raise UserError(f"{path} cannot be read ({error.strerror}); check the path") from None
    for number, line in enumerate(text.split("\n"), start=1):
        line = line.removesuffix("\r")
        if line.strip():
            yield number, line


def read_table(path: Path) -> Iterator[tuple[int, str, str]]:
    """Yield `(line number, input, text)` from lines of `input<TAB>text`."""
    for number, line in read_lines(path):
        name, tab, text = line.partition("\t")
        if not tab:
            raise UserError(f"{path}:{number} has no tab; each line is `input<TAB>text`")
        yield number, name, text


def read_json_lines(path: Path, required: tuple[str, ...]) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield `(line number, object)` from a file with one JSON object a line, each with the required keys."""
    for number, line in read_lines(path):
        try:
            entry = json.loads(line)
        except ValueError as error:
            raise UserError(f"{path}:{number} is not JSON ({error}); write one object a line") from None
        if not isinstance(entry, dict):
            raise UserError(f"{path}:{number} is not a JSON object; write one object a line")
        for key in required:
            if key not in entry:
                raise UserError(f"{path}:{number} has no key {key!r}; add it")
        yield number, entry
