"""Pages whose lines are outlined in PAGE or ALTO XML, as Transkribus, eScriptorium and libraries export them.

Texts have their white space joined to single spaces. A picture is looked for under the name that the XML gives,
under that name's last part beside the XML, and in the folder above, where exports keep `page/` and `alto/`.
"""

from __future__ import annotations

import re
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterable, Iterator
from pathlib import Path
from urllib.parse import unquote

from lstmapps.data import Sample
from lstmapps.errors import UserError
from lstmapps_handwriting.images import NOWHERE, Region, picture_size

_UNITS = {"mm10", "inch1200"}  # what ALTO measures in beside pixels: tenths of a millimetre, 1200ths of an inch


def read_page(path: Path) -> Iterator[Sample]:
    """Yield the lines of a PAGE or ALTO file; raises UserError if it is neither. Tables of contents have none."""
    try:
        root = ElementTree.parse(path).getroot()
    except ElementTree.ParseError as error:
        raise UserError(f"{path} is not well-formed XML ({error}); export it again") from None
    except (OSError, ValueError, LookupError) as error:
        raise UserError(f"{path} cannot be read ({error}); export it again") from None
    for element in root.iter():
        if isinstance(element.tag, str):
            element.tag = element.tag.rpartition("}")[2]
    if root.tag == "PcGts":
        yield from _page(path, root)
    elif root.tag == "alto":
        yield from _alto(path, root)
    elif root.tag != "mets":
        raise UserError(f"{path} is neither PAGE nor ALTO (its root is <{root.tag}>); give one of these")


def _page(path: Path, root: ElementTree.Element) -> Iterator[Sample]:
    page = root.find("Page")
    if page is None or not page.get("imageFilename"):
        raise UserError(f"{path} names no picture (Page/@imageFilename); add it")
    picture = _picture(path, str(page.get("imageFilename")))
    for number, line in enumerate(page.iter("TextLine")):
        words = line.findall("Word")
        texts = [text for word in words if (text := _equivalent(word))]
        text = _equivalent(line)
        if text is None and texts:
            text = " ".join(texts)
        region = _coordinates(line)
        if region is NOWHERE:
            region = _around(map(_coordinates, words))
        yield Sample(f"{path}#{line.get('id') or f'line{number}'}", picture, text, region=region)


def _equivalent(element: ElementTree.Element) -> str | None:
    """Return the transcript of a line or word: of its TextEquivs the one with the lowest index."""
    equivalents = [e for e in element.findall("TextEquiv") if e.find("Unicode") is not None]
    if not equivalents:
        return None

    def index(equivalent: ElementTree.Element) -> int:
        given = equivalent.get("index") or "0"
        return int(given) if given.isdecimal() else 0

    return _one_line(min(equivalents, key=index).findtext("Unicode") or "")


def _coordinates(element: ElementTree.Element) -> Region:
    """Return the region of a line or word in PAGE; before 2013 its points stood in elements of their own."""
    coordinates = element.find("Coords")
    if coordinates is None:
        return NOWHERE
    points = [f"{point.get('x')},{point.get('y')}" for point in coordinates.findall("Point")]
    return _polygon(coordinates.get("points") or " ".join(points))


def _alto(path: Path, root: ElementTree.Element) -> Iterator[Sample]:
    name = root.findtext("./Description/sourceImageInformation/fileName")
    if not name or not name.strip():
        raise UserError(f"{path} names no picture (sourceImageInformation/fileName); add it")
    picture = _picture(path, name.strip())
    unit = (root.findtext("./Description/MeasurementUnit") or "pixel").strip()
    if unit not in {"pixel", *_UNITS}:
        raise UserError(f"{path} measures in {unit}; export it with pixel as the MeasurementUnit")
    number = 0
    for page in root.iter("Page"):
        across, down = _scales(path, page, picture) if unit in _UNITS else (1.0, 1.0)
        for line in page.iter("TextLine"):
            polygon = line.find("./Shape/Polygon")
            region = NOWHERE if polygon is None else _polygon(polygon.get("POINTS", ""), across, down)
            if region is NOWHERE:
                region = _rectangle(line, across, down)
            if region is NOWHERE:
                region = _around(_rectangle(string, across, down) for string in line.iter("String"))
            yield Sample(f"{path}#{line.get('ID') or f'line{number}'}", picture, _content(line), region=region)
            number += 1


def _content(line: ElementTree.Element) -> str | None:
    """Return the text of a line of ALTO: its strings, and the hyphen that it may end in."""
    words: list[str] = []
    for element in line:
        if element.tag == "String":
            words.append(element.get("CONTENT", ""))
        elif element.tag == "HYP":
            words[-1:] = ["".join(words[-1:]) + element.get("CONTENT", "-")]
    return _one_line(" ".join(words)) if words else None


def _scales(path: Path, page: ElementTree.Element, picture: Path) -> tuple[float, float]:
    """Return how many pixels of the picture one unit is, across and down, by the sizes of page and picture."""
    try:
        width, height = float(page.get("WIDTH", "")), float(page.get("HEIGHT", ""))
        columns, rows = picture_size(picture)
        return columns / width, rows / height
    except (ValueError, ZeroDivisionError):
        raise UserError(f"{path} gives its page no WIDTH and HEIGHT; export it in pixels") from None


def _picture(path: Path, name: str) -> Path:
    """Return the picture that an XML file names: by a path, of another system too, or by a URI."""
    plain = unquote(re.sub("^file:(//[^/]*)?", "", name))
    last, raw = (re.split(r"[/\\]", text)[-1] for text in (plain, name))
    folder = path.parent
    candidates = [folder / name, folder / plain, folder / last, folder / raw]
    candidates += [folder.parent / last, folder.parent / raw]
    return next((candidate for candidate in candidates if candidate.is_file()), folder / last)


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _polygon(points: str, across: float = 1.0, down: float = 1.0) -> Region:
    """Return the region of `x,y x,y …`, or of ALTO's other form, `x y x y …`; NOWHERE if it is neither."""
    try:
        numbers = [float(number) for number in points.replace(",", " ").split()]
        places = [(round(x * across), round(y * down)) for x, y in zip(numbers[::2], numbers[1::2], strict=True)]
    except (ValueError, OverflowError):
        return NOWHERE
    if len(places) < 3:
        return NOWHERE
    polygon = tuple((max(0, x), max(0, y)) for x, y in places)
    left, top = min(x for x, _ in polygon), min(y for _, y in polygon)
    right, bottom = max(x for x, _ in polygon), max(y for _, y in polygon)
    return Region(left, top, right - left + 1, bottom - top + 1, polygon)


def _rectangle(element: ElementTree.Element, across: float, down: float) -> Region:
    try:
        left, top, width, height = (float(element.get(key, "")) for key in ("HPOS", "VPOS", "WIDTH", "HEIGHT"))
        return Region(round(left * across), round(top * down), round(width * across), round(height * down))
    except (ValueError, OverflowError):
        return NOWHERE


def _around(regions: Iterable[Region]) -> Region:
    """Return the box around regions; NOWHERE if there is none."""
    found = [region for region in regions if region is not NOWHERE]
    if not found:
        return NOWHERE
    left, top = min(r.left for r in found), min(r.top for r in found)
    right, bottom = max(r.left + r.width for r in found), max(r.top + r.height for r in found)
    return Region(left, top, right - left, bottom - top)
