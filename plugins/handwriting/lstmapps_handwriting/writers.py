"""Readings as PAGE or ALTO XML, with boxes in the pixels of the pictures they came from."""

from __future__ import annotations

import os
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterable
from pathlib import Path
from typing import TextIO

from lstmapps.prediction import Piece, Prediction
from lstmapps_handwriting.images import Region, picture_size

Box = tuple[int, int, int, int]
"""Left, top, right, bottom, in pixels; right and bottom exclusive."""

_PAGE = "http://schema.primaresearch.org/PAGE/gts/pagecontent/2019-07-15"
_ALTO = "http://www.loc.gov/standards/alto/ns-v4#"


def box(prediction: Prediction, piece: Piece) -> Box:
    """Return where a character or word stands in the picture that its line was cut from."""
    region: Region = prediction.sample.region
    scale = region.width / (prediction.sample.size or 1)
    left = region.left + int(piece.start * scale)
    right = region.left + max(int(piece.start * scale) + 1, round(piece.end * scale))
    return left, region.top, right, region.top + region.height


def write_page(predictions: Iterable[Prediction], file: TextIO) -> None:
    """Write the lines of one picture as a PAGE document."""
    predictions = list(predictions)
    source = Path(predictions[0].sample.source)
    width, height = picture_size(source)
    root = ElementTree.Element("PcGts", xmlns=_PAGE)
    attributes = {"imageFilename": _name(source, file), "imageWidth": str(width), "imageHeight": str(height)}
    page = ElementTree.SubElement(root, "Page", attributes)
    region = ElementTree.SubElement(page, "TextRegion", id="region")
    ElementTree.SubElement(region, "Coords", points=_points((0, 0, width, height)))
    for number, prediction in enumerate(predictions):
        line = ElementTree.SubElement(region, "TextLine", id=f"line{number}")
        ElementTree.SubElement(line, "Coords", points=_outline(prediction))
        for index, piece in enumerate(prediction.words):
            word = ElementTree.SubElement(line, "Word", id=f"line{number}word{index}")
            ElementTree.SubElement(word, "Coords", points=_points(box(prediction, piece)))
            _equivalent(word, piece.text, piece.confidence)
        _equivalent(line, prediction.text, prediction.confidence)
    _write(root, file)


def write_alto(predictions: Iterable[Prediction], file: TextIO) -> None:
    """Write the lines of one picture as an ALTO 4 document."""
    predictions = list(predictions)
    source = Path(predictions[0].sample.source)
    width, height = picture_size(source)
    root = ElementTree.Element("alto", xmlns=_ALTO)
    description = ElementTree.SubElement(root, "Description")
    ElementTree.SubElement(description, "MeasurementUnit").text = "pixel"
    information = ElementTree.SubElement(description, "sourceImageInformation")
    ElementTree.SubElement(information, "fileName").text = _name(source, file)
    layout = ElementTree.SubElement(root, "Layout")
    page = ElementTree.SubElement(layout, "Page", WIDTH=str(width), HEIGHT=str(height), PHYSICAL_IMG_NR="1", ID="page")
    space = ElementTree.SubElement(page, "PrintSpace", _place((0, 0, width, height)))
    block = ElementTree.SubElement(space, "TextBlock", _place((0, 0, width, height)), ID="block")
    for number, prediction in enumerate(predictions):
        region: Region = prediction.sample.region
        place = _place((region.left, region.top, region.left + region.width, region.top + region.height))
        line = ElementTree.SubElement(block, "TextLine", place, ID=f"line{number}")
        shape = ElementTree.SubElement(line, "Shape")
        ElementTree.SubElement(shape, "Polygon", POINTS=_outline(prediction))
        for index, piece in enumerate(prediction.words):
            attributes = _place(box(prediction, piece)) | {"CONTENT": piece.text, "WC": f"{piece.confidence:.4f}"}
            ElementTree.SubElement(line, "String", attributes, ID=f"line{number}word{index}")
            if index + 1 < len(prediction.words):
                ElementTree.SubElement(line, "SP")
    _write(root, file)


def _write(root: ElementTree.Element, file: TextIO) -> None:
    ElementTree.indent(root)
    file.write('<?xml version="1.0" encoding="UTF-8"?>\n')
    file.write(ElementTree.tostring(root, encoding="unicode") + "\n")


def _name(source: Path, file: TextIO) -> str:
    """Return what names the picture in a document: its path from the document's folder, if that is known."""
    place = getattr(file, "name", None)
    folder = Path(place).parent if isinstance(place, str) and Path(place).is_file() else Path()
    return Path(os.path.relpath(source, folder)).as_posix()


def _equivalent(parent: ElementTree.Element, text: str, confidence: float) -> None:
    equivalent = ElementTree.SubElement(parent, "TextEquiv", conf=f"{confidence:.4f}")
    ElementTree.SubElement(equivalent, "Unicode").text = text


def _outline(prediction: Prediction) -> str:
    region: Region = prediction.sample.region
    if region.polygon:
        return " ".join(f"{x},{y}" for x, y in region.polygon)
    return _points((region.left, region.top, region.left + region.width, region.top + region.height))


def _points(place: Box) -> str:
    left, top, right, bottom = place
    return f"{left},{top} {right - 1},{top} {right - 1},{bottom - 1} {left},{bottom - 1}"


def _place(place: Box) -> dict[str, str]:
    left, top, right, bottom = place
    return {"HPOS": str(left), "VPOS": str(top), "WIDTH": str(right - left), "HEIGHT": str(bottom - top)}
