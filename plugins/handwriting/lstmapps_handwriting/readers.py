"""Where lines of handwriting are listed: tables, JSON lines, folders, PAGE and ALTO XML, single pictures."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

from lstmapps.data import Sample, distinct, read_json_lines, read_lines, read_table, tolerant
from lstmapps.errors import UserError
from lstmapps.pictures import SUFFIXES
from lstmapps_handwriting.pages import read_page

_TEXT_SUFFIX = ".gt.txt"


def read_source(source: str) -> Iterator[Sample]:
    """Yield the lines of a source, no two with one id; its kind is told by its ending.

    - a folder: the lines of every PAGE or ALTO file in it, or in its `page/` or else its `alto/`; where there
      is none, every picture, with the text of `name.gt.txt` if that lies beside `name.png`;
    - `.tsv`, `.txt`: lines of `image<TAB>text`, images relative to the table;
    - `.jsonl`: objects with `image` and, if known, `text`;
    - `.xml`: PAGE or ALTO (see `lstmapps_handwriting.pages`), its lines cut from the picture it names;
    - `-`: the paths of pictures, a line each on standard input;
    - anything else: one picture.
    """
    return distinct(_read(source))


def _read(source: str) -> Iterator[Sample]:
    if source == "-":
        for line in sys.stdin:
            yield Sample(line.rstrip("\n"), Path(line.rstrip("\n")))
        return
    path = Path(source)
    suffix = path.suffix.lower()
    if path.is_dir():
        yield from _folder(path)
    elif suffix not in SUFFIXES and not path.exists():
        raise UserError(f"{path} does not exist; check the path")
    elif suffix in {".tsv", ".txt"}:
        yield from read_table(path)
    elif suffix == ".jsonl":
        yield from read_json_lines(path, ("image",), partial(_json_sample, path.parent))
    elif suffix == ".xml":
        yield from read_page(path)
    else:
        yield Sample(str(path), path)


def _json_sample(folder: Path, place: str, entry: dict[str, Any]) -> Sample:
    return Sample(entry["image"], folder / entry["image"], entry["text"])


def _folder(folder: Path) -> Iterator[Sample]:
    for below in (folder, folder / "page", folder / "alto"):
        pages = sorted(path for path in below.glob("*") if path.suffix.lower() == ".xml")
        for page in pages:
            yield from tolerant(str(page), read_page(page))
        if pages:
            return
    pictures = sorted(path for path in folder.iterdir() if path.suffix.lower() in SUFFIXES)
    if not pictures:
        raise UserError(f"{folder} holds no pictures (PNG, JPEG, TIFF, WebP) and no PAGE or ALTO; check the path")
    for picture in pictures:
        yield from tolerant(str(picture), _picture(picture))


def _picture(picture: Path) -> Iterator[Sample]:
    """Yield a picture with the text beside it."""
    transcript = picture.with_name(picture.stem + _TEXT_SUFFIX)
    text = " ".join(line for _, line in read_lines(transcript)) if transcript.exists() else None
    yield Sample(str(picture), picture, text)
