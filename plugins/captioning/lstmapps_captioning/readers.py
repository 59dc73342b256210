"""Where pictures and their captions are found."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from lstmapps.data import Sample, distinct, read_columns, read_json_lines, read_lines, read_samples, tolerant
from lstmapps.errors import UserError
from lstmapps.pictures import SUFFIXES

_FOLDERS = ("", "images", "Images", "Flicker8k_Dataset", "Flickr8k_Dataset", "flickr30k-images", "flickr30k_images")
_CAPTIONS = "captions.csv"
_TOKENS = re.compile(r"\.token(\.txt)?(\.gz|\.xz|\.bz2)?$")
_PICTURE_COLUMNS, _CAPTION_COLUMNS = ("image", "image_name", "file", "filename"), ("caption", "comment", "text")

Find = Callable[[str], Path]
"""From the name of a picture to its path."""


def read_source(source: str, pictures: Path | None = None) -> Iterator[Sample]:
    """Yield the pictures of a source, one for each caption; its kind is told by its ending.

    - a folder: the pictures in `captions.csv` if it has one, or else all in it;
    - `.csv`: columns `image` and `caption`, comma-separated, or by ` | ` as the one of Flickr30k;
    - `.token`, `.token.txt`, packed or not: lines of `image#n<TAB>caption`, of Flickr8k and Flickr30k;
    - `.txt`: a list of pictures of such a file that lies beside it;
    - `.json`: captions of COCO; or splits of Karpathy, the ids of whose samples begin with `train/`, `val/`, `test/`;
    - `.jsonl`: objects with `image` and, if known, `caption` or `captions`;
    - `-`: the paths of pictures, a line each on standard input;
    - anything else: one picture.

    pictures: the folder where those are that a list names; else they lie beside it, or in a folder with a usual name.
    """
    return distinct(_read(source, pictures))


def _read(source: str, pictures: Path | None) -> Iterator[Sample]:
    if source == "-":
        for line in sys.stdin:
            if name := line.rstrip("\r\n"):
                yield Sample(name, Path(name))
        return
    path = Path(source)
    find, suffix = partial(_find, pictures or path.parent), path.suffix.lower()
    if path.is_dir():
        yield from _folder(path)
    elif suffix not in SUFFIXES and not path.exists():
        raise UserError(f"{path} does not exist; check the path")
    elif _TOKENS.search(path.name):
        yield from read_samples(path, partial(_token, find))
    elif suffix == ".csv":
        yield from _table(path, find)
    elif suffix == ".txt":
        yield from _list(path, find)
    elif suffix == ".json":
        yield from _json(path, pictures)
    elif suffix == ".jsonl":
        for sample in read_json_lines(path, ("image",), partial(_json_line, find)):
            yield from (replace(sample, text=text, others=()) for text in sample.references or (None,))
    else:
        yield Sample(str(path), path)


def _find(folder: Path, name: str) -> Path:
    """Return where a picture lies; where none does, the first place in which it could."""
    return _first([folder / below / name for below in _FOLDERS])


def _first(places: Sequence[Path]) -> Path:
    """Return the first place that is a file; where none is, the first."""
    try:
        return next((place for place in places if place.is_file()), places[0])
    except (OSError, ValueError):  # a name that is no possible file's
        return places[0]


def _folder(folder: Path) -> Iterator[Sample]:
    if (folder / _CAPTIONS).is_file():
        yield from _table(folder / _CAPTIONS, partial(_find, folder))
        return
    found = sorted(path for path in folder.iterdir() if path.suffix.lower() in SUFFIXES)
    if not found:
        raise UserError(f"{folder} holds no pictures (PNG, JPEG, TIFF, WebP) and no {_CAPTIONS}; check the path")
    for path in found:
        yield Sample(str(path), path)


def _token(find: Find, place: str, line: str) -> Sample:
    name, tab, text = line.partition("\t")
    picture, sharp, _ = name.rpartition("#")
    if not tab or not sharp:
        raise UserError(f"{place} is not `image#n<TAB>caption`; mend the line")
    return Sample(picture, find(picture), text)


def _list(path: Path, find: Find) -> Iterator[Sample]:
    """Yield the captions of the pictures that a list names, from the file of captions beside it."""
    names = dict.fromkeys(name.strip() for _, name in read_lines(path))
    beside = sorted(each for each in path.parent.glob("*.token*") if _TOKENS.search(each.name))
    captions = [each for each in beside if ".lemma." not in each.name]  # Flickr8k has its words' base forms too
    if len(captions) != 1:
        there = ", ".join(each.name for each in captions) or "none"
        raise UserError(
            f"{path} needs one file of captions (*.token.txt) beside it, and there is {there}; put it there"
        )
    seen: set[str] = set()
    for sample in read_samples(captions[0], partial(_token, find)):
        if sample.fault or sample.id in names:
            seen.add(sample.id)
            yield sample
    for name in names:
        if name not in seen:
            yield Sample(name, None, fault=f"{path} lists {name}, of which {captions[0]} has no caption; remove it")


def _table(path: Path, find: Find) -> Iterator[Sample]:
    _, header = next(read_lines(path), (0, ""))
    delimiter = "|" if "|" in header else "\t" if "\t" in header else ","

    def make(place: str, row: dict[str, str]) -> Sample:
        cells = {name.strip().lower(): value.strip() for name, value in row.items()}
        image, caption = (
            next((cells[name] for name in names if name in cells), None)
            for names in (_PICTURE_COLUMNS, _CAPTION_COLUMNS)
        )
        if not image or caption is None:
            raise UserError(f"{place} has no columns `image` and `caption`; name them in the first line of {path}")
        return Sample(image, find(image), caption)

    yield from read_columns(path, delimiter, make)


def _json_line(find: Find, place: str, entry: dict[str, Any]) -> Sample:
    captions = entry.get("captions", entry.get("caption", entry["text"]))
    texts = captions if isinstance(captions, list) else [captions]
    if captions is None or captions == []:
        return Sample(entry["image"], find(entry["image"]))
    if not all(isinstance(text, str) for text in texts):
        raise UserError(f"{place}: `caption` must be a string, `captions` a list of them; mend the line")
    return Sample(entry["image"], find(entry["image"]), texts[0], others=tuple(texts[1:]))


def _json(path: Path, pictures: Path | None) -> Iterator[Sample]:
    """Yield the captions of a file of COCO, or of Karpathy."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        images, annotations = content["images"], content.get("annotations")
        if not isinstance(images, list):
            raise ValueError("its `images` are no list")
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        reason = getattr(error, "strerror", None) or error
        raise UserError(f"{path} holds no captions of COCO or Karpathy ({reason}); check the file") from None
    if isinstance(annotations, list):
        yield from _coco(path, pictures, images, annotations)
        return
    for number, image in enumerate(images):
        yield from tolerant(f"{path}: image {number}", _karpathy(path, pictures, number, image))


def _coco(path: Path, pictures: Path | None, images: list[Any], annotations: list[Any]) -> Iterator[Sample]:
    names = {str(image.get("id")): image.get("file_name") for image in images if isinstance(image, dict)}
    folder = path.stem.removeprefix("captions_")  # captions_train2014.json: the pictures are in train2014
    root = pictures or path.parent
    for number, annotation in enumerate(annotations):
        known = annotation if isinstance(annotation, dict) else {}
        name, text = names.get(str(known.get("image_id"))), known.get("caption")
        if not isinstance(name, str) or not isinstance(text, str):
            place = f"{path}: annotation {number}"
            yield Sample(place, None, fault=f"{place} has no caption, or one of a picture that the file does not name")
            continue
        yield Sample(name, _first([root / name, root / folder / name, root.parent / folder / name]), text)


def _karpathy(path: Path, pictures: Path | None, number: int, image: Any) -> Iterator[Sample]:
    try:
        name, part = image["filename"], image["split"].replace("restval", "train")
        texts = [sentence["raw"] for sentence in image["sentences"]]
        if not texts or not all(isinstance(text, str) for text in (name, part, *texts)):
            raise TypeError("there is no sentence, or a name that is no text")
        below = Path(image.get("filepath", "")) / name
    except (KeyError, TypeError, AttributeError) as error:
        raise UserError(f"{path}: image {number} has no filename, split and sentences ({error}); mend it") from None
    root = pictures or path.parent
    place = _first([root / below, *(root / folder / name for folder in _FOLDERS)])
    for text in texts:
        yield Sample(f"{part}/{name}", place, text)
