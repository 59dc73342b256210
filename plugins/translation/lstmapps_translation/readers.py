"""Where sentences and their translations are found."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from functools import partial
from itertools import zip_longest
from pathlib import Path
from typing import Any
from zipfile import BadZipFile, ZipFile

from lstmapps.data import Sample, all_lines, decoded, distinct, lines_of, named, read_json_lines
from lstmapps.errors import UserError

_PACKED = {".gz", ".xz", ".bz2"}
_TABLES = {".tsv"}
_FILES = {".txt", ".tsv", ".jsonl", ".zip", *_PACKED}


def read_source(source: str, read: str, written: str, columns: Sequence[str]) -> Iterator[Sample]:
    """Yield the sentences of a source, in order, with their translations where it has them; its ending tells its kind.

    - `-`: standard input, a sentence a line; in a line with a tab, what stands before the last one names it;
    - `X.de`, packed or not, with `X.en` beside it, if these are the languages `read` and `written`: parallel files;
    - `.tsv`: tables with the languages in `columns`; more columns are left alone;
    - `.jsonl`: objects with the keys `source` and `target`, or the two languages, there or in `translation`;
    - `.zip`: of manythings.org (`deu.txt` with English first) or OPUS (`X.de-en.de` and `X.de-en.en`);
    - another file: a sentence a line. Files may be packed (gz, xz, bz2).
    - what is no file: the sentence itself.
    """
    return distinct(_read(source, read, written, columns))


def _read(source: str, read: str, written: str, columns: Sequence[str]) -> Iterator[Sample]:
    if source == "-":
        content = sys.stdin.buffer.read()
        for sample in _plain(lines_of(content, "-"), "-"):
            yield sample if sample.fault else named(sample.id, sample.source)
        return
    path = Path(source)
    try:
        there, folder = bool(source) and path.is_file(), bool(source) and path.is_dir()
    except (OSError, ValueError):  # a text that is no possible file name
        there, folder = False, False
    if not there:
        if folder:
            raise UserError(f"{path} is a folder; name the files in it, or give a sentence")
        if path.suffix.lower() in _FILES:
            raise UserError(f"{path} does not exist; check the path, or give a sentence")
        yield Sample(source, source)
        return
    stem = path.with_suffix("") if path.suffix.lower() in _PACKED else path
    kind, partner = stem.suffix.lower(), _partner(path, read, written)
    if kind == ".zip":
        yield from _archive(path, read, written)
    elif kind in _TABLES:
        yield from _table(all_lines(path), str(path), columns, read, written)
    elif kind == ".jsonl":
        yield from read_json_lines(path, (), partial(_json_sample, read, written))
    elif partner is not None:
        yield from _parallel(all_lines(path), all_lines(partner), str(path), str(partner))
    else:
        yield from _plain(all_lines(path), str(path))


def _partner(path: Path, read: str, written: str) -> Path | None:
    """Return the file of translations that lies beside a file of sentences."""
    packed = path.suffix if path.suffix.lower() in _PACKED else ""
    name = path.name.removesuffix(packed)
    if not name.endswith(f".{read}"):
        return None
    stem = name.removesuffix(read)
    candidates = [path.with_name(stem + written + end) for end in (packed, "", *sorted(_PACKED))]
    return next((candidate for candidate in candidates if candidate.is_file()), None)


def _plain(lines: Iterator[tuple[int, str]], name: str) -> Iterator[Sample]:
    for number, line in lines:
        yield _sample(f"{name}:{number}", line, None)


def _parallel(
    lines: Iterator[tuple[int, str]], others: Iterator[tuple[int, str]], name: str, other: str
) -> Iterator[Sample]:
    for left, right in zip_longest(lines, others):
        if left is None or right is None:
            longer, shorter = (other, name) if left is None else (name, other)
            count = (left or right or (1, ""))[0] - 1
            raise UserError(
                f"{longer} has more lines than the {count} of {shorter}; line n of one translates line n of the other"
            )
        yield _sample(f"{name}:{left[0]}", left[1], right[1])


def _table(
    lines: Iterator[tuple[int, str]], name: str, columns: Sequence[str], read: str, written: str
) -> Iterator[Sample]:
    """Yield the pairs of a table; a line of one column is a sentence without its translation."""
    first, second = columns.index(read), columns.index(written)
    for number, line in lines:
        cells = line.split("\t")
        place = f"{name}:{number}"
        if len(cells) == 1:
            yield _sample(place, cells[0], None)
        elif len(cells) <= max(first, second):
            yield Sample(place, None, fault=f"{place} has no columns {', '.join(columns)}; mend the line")
        else:
            yield _sample(place, cells[first], cells[second])


def _json_sample(read: str, written: str, place: str, entry: dict[str, Any]) -> Sample:
    pair = entry.get("translation") if isinstance(entry.get("translation"), dict) else entry
    texts = [next((pair[key] for key in keys if key in pair), None) for keys in (("source", read), ("target", written))]
    if not isinstance(texts[0], str) or not isinstance(texts[1], str | None):
        names = " or ".join(dict.fromkeys((f"`source`, `{read}`").split(", ")))
        raise UserError(f"{place} has no text {names}, or a translation that is no text; mend the line")
    return Sample(place, texts[0], texts[1])


def _archive(path: Path, read: str, written: str) -> Iterator[Sample]:
    try:
        with ZipFile(path) as archive:
            names = {Path(name).name: name for name in archive.namelist() if not name.endswith("/")}
            ends = {end: next((n for n in names if n.endswith(f".{end}")), None) for end in (read, written)}
            if ends[read] and ends[written]:
                left, right = (lines_of(archive.read(names[str(ends[end])]), str(ends[end])) for end in (read, written))
                yield from _parallel(left, right, f"{path}/{ends[read]}", f"{path}/{ends[written]}")
                return
            for other in (read, written):
                if (name := f"{other}.txt") in names:  # manythings.org: English, the other language, an attribution
                    columns = [written if other == read else read, other]
                    content = lines_of(archive.read(names[name]), name)
                    yield from _table(content, f"{path}/{name}", columns, read, written)
                    return
    except (BadZipFile, OSError, NotImplementedError, RuntimeError) as error:
        raise UserError(f"{path} is no readable zip archive ({error}); fetch it again") from None
    raise UserError(f"{path} holds neither files for {read} and {written} nor a table of theirs; check the languages")


def _sample(place: str, text: str, translation: str | None) -> Sample:
    try:
        return Sample(place, decoded(place, text), None if translation is None else decoded(place, translation))
    except UserError as error:
        return Sample(place, None, fault=str(error))
