"""Where lines of handwriting are listed: tables, JSON lines, folders, PAGE and ALTO XML, single pictures."""

from __future__ import annotations

import sys
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator
from pathlib import Path

from lstmapps.data import Sample, read_json_lines, read_table
from lstmapps.errors import UserError
from lstmapps_handwriting.images import NOWHERE, Region

PICTURES = {".png", ".jpg", ".jpeg", ".tif", ".tiff", ".webp"}
_TEXT_SUFFIX = ".gt.txt"


def read_source(source: str) -> Iterator[Sample]:
    """Yield the lines of a source; its kind is told by its ending.

    - a folder: the lines of every PAGE or ALTO file in it; where there is none, every picture, with the
      text of `name.gt.txt` if that lies beside `name.png`;
    - `.tsv`, `.txt`: lines of `image<TAB>text`, images relative to the table;
    - `.jsonl`: objects with `image` and, if known, `text`;
    - `.xml`: PAGE or ALTO, its lines cut from the picture it names;
    - `-`: the paths of pictures, a line each on standard input;
    - anything else: one picture.
    """
    if source == "-":
        for line in sys.stdin:
            yield Sample(line.rstrip("\n"), Path(line.rstrip("\n")))
        return
    path = Path(source)
    suffix = path.suffix.lower()
    if path.is_dir():
        yield from _folder(path)
    elif suffix not in PICTURES and not path.exists():
        raise UserError(f"{path} does not exist; check the path")
    elif suffix in {".tsv", ".txt"}:
        for _, name, text in read_table(path):
            yield Sample(name, path.parent / name, text)
    elif suffix == ".jsonl":
        for number, entry in read_json_lines(path, ("image",)):
            text = entry.get("text")
            if not isinstance(entry["image"], str) or not isinstance(text, str | None):
                raise UserError(f"{path}:{number}: `image` and `text` must be strings; mend the line")
            yield Sample(entry["image"], path.parent / entry["image"], text)
    elif suffix == ".xml":
        yield from _xml(path)
    else:
        yield Sample(str(path), path)


def _folder(folder: Path) -> Iterator[Sample]:
    pages = sorted(path for path in folder.iterdir() if path.suffix.lower() == ".xml")
    for page in pages:
        yield from _xml(page)
    if pages:
        return
    pictures = sorted(path for path in folder.iterdir() if path.suffix.lower() in PICTURES)
    if not pictures:
        raise UserError(f"{folder} holds no pictures (PNG, JPEG, TIFF, WebP) and no PAGE or ALTO; check the path")
    for picture in pictures:
        transcript = picture.with_name(picture.stem + _TEXT_SUFFIX)
        text = None
        if transcript.exists():
            try:
                text = transcript.read_text(encoding="utf-8-sig").strip()
            except UnicodeDecodeError:
                raise UserError(f"{transcript} is not UTF-8 text; save it as UTF-8") from None
        yield Sample(str(picture), picture, text)


def _xml(path: Path) -> Iterator[Sample]:
    try:
        root = ElementTree.parse(path).getroot()
    except ElementTree.ParseError as error:
        raise UserError(f"{path} is not well-formed XML ({error}); export it again") from None
    for element in root.iter():
        element.tag = element.tag.rpartition("}")[2]
    if root.tag == "PcGts":
        yield from _page(path, root)
    elif root.tag == "alto":
        yield from _alto(path, root)
    elif root.tag != "mets":  # the table of contents of an export: it has no lines of its own
        raise UserError(f"{path} is neither PAGE nor ALTO (its root is <{root.tag}>); give one of these")


def _page(path: Path, root: ElementTree.Element) -> Iterator[Sample]:
    page = root.find("Page")
    if page is None or not page.get("imageFilename"):
        raise UserError(f"{path} names no picture (Page/@imageFilename); add it")
    picture = path.parent / str(page.get("imageFilename"))
    for number, line in enumerate(page.iter("TextLine")):
        coordinates = line.find("Coords")
        points = "" if coordinates is None else coordinates.get("points", "")
        id_ = line.get("id") or f"line{number}"
        yield Sample(f"{path}#{id_}", picture, _page_text(line), region=_polygon(points))


def _page_text(line: ElementTree.Element) -> str | None:
    """Return the transcript of a line: of its TextEquivs the one with the lowest index."""
    equivalents = [e for e in line.findall("TextEquiv") if e.find("Unicode") is not None]
    if not equivalents:
        return None
    first = min(equivalents, key=lambda e: int(e.get("index") or 0))
    return (first.findtext("Unicode") or "").strip()


def _alto(path: Path, root: ElementTree.Element) -> Iterator[Sample]:
    name = root.findtext("./Description/sourceImageInformation/fileName")
    if not name:
        raise UserError(f"{path} names no picture (sourceImageInformation/fileName); add it")
    unit = root.findtext("./Description/MeasurementUnit") or "pixel"
    if unit.strip() != "pixel":
        raise UserError(f"{path} measures in {unit.strip()}; export it with pixel as the MeasurementUnit")
    for number, line in enumerate(root.iter("TextLine")):
        id_ = line.get("ID") or f"line{number}"
        words = [string.get("CONTENT", "") for string in line.iter("String")]
        polygon = line.find("./Shape/Polygon")
        if polygon is not None:
            region = _polygon(polygon.get("POINTS", ""))
        else:
            region = _rectangle(line)
        yield Sample(f"{path}#{id_}", path.parent / name.strip(), " ".join(words) if words else None, region=region)


def _polygon(points: str) -> Region:
    """Return the region of `x,y x,y …`, or of ALTO's other form, `x y x y …`; NOWHERE if it is neither."""
    try:
        numbers = [round(float(number)) for number in points.replace(",", " ").split()]
    except ValueError:
        return NOWHERE
    if len(numbers) < 6 or len(numbers) % 2:
        return NOWHERE
    polygon = tuple(zip((max(0, x) for x in numbers[::2]), (max(0, y) for y in numbers[1::2]), strict=True))
    left, top = min(x for x, _ in polygon), min(y for _, y in polygon)
    right, bottom = max(x for x, _ in polygon), max(y for _, y in polygon)
    return Region(left, top, right - left + 1, bottom - top + 1, polygon)


def _rectangle(line: ElementTree.Element) -> Region:
    try:
        left, top, width, height = (round(float(line.get(key, ""))) for key in ("HPOS", "VPOS", "WIDTH", "HEIGHT"))
    except ValueError:
        return NOWHERE
    return Region(left, top, width, height)
