"""Pictures of coloured shapes with sentences about them: a data set that needs no download."""

from __future__ import annotations

import math
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from PIL import Image, ImageDraw

from lstmapps.data import Box, Sample, Source

COLOURS = {
    "red": (214, 39, 40),
    "green": (44, 140, 60),
    "blue": (40, 80, 200),
    "yellow": (235, 205, 40),
    "purple": (140, 70, 170),
    "orange": (250, 130, 20),
    "black": (25, 25, 25),
}
KINDS = ("circle", "square", "triangle", "star")
RADII = {"small": 0.085, "large": 0.17}
_ROWS, _COLUMNS = ("top", "middle", "bottom"), ("left", "centre", "right")
_SHARES = {"test": (0.0, 0.2), "validation": (0.2, 0.25), "train": (0.25, 1.0)}
_APART = 0.42  # of the side, between the middles of two shapes along the axis that is told


@dataclass(frozen=True)
class Shape:
    """A shape: x, y of its middle, in shares of the picture's side."""

    size: str
    colour: str
    kind: str
    x: float
    y: float

    def __str__(self) -> str:
        return f"{self.size} {self.colour} {self.kind}"

    @property
    def box(self) -> Box:
        """Left, top, right, bottom, in shares of the picture's side."""
        radius = RADII[self.size]
        return self.x - radius, self.y - radius, self.x + radius, self.y + radius


@dataclass(frozen=True)
class Scene:
    """One shape, or two, on paper of some grey."""

    shapes: tuple[Shape, ...]
    paper: int

    def drawn(self, size: int) -> Image.Image:
        """Return the picture, `size` pixels high and wide."""
        fine = 4 * size
        picture = Image.new("RGB", (fine, fine), (self.paper,) * 3)
        for shape in self.shapes:
            _draw(ImageDraw.Draw(picture), shape, fine)
        return picture.resize((size, size), Image.Resampling.BOX)

    def sentences(self) -> list[str]:
        """Return what can be said of the scene."""
        first, *others = self.shapes
        if not others:
            row, column = (names[min(2, int(3 * at))] for names, at in ((_ROWS, first.y), (_COLUMNS, first.x)))
            place = "middle" if (row, column) == ("middle", "centre") else f"{row} {column}"
            return [f"a {first} in the {place}"]
        (second,) = others
        if abs(first.x - second.x) > abs(first.y - second.y):
            there, back = ("left of", "right of") if first.x < second.x else ("right of", "left of")
        else:
            there, back = ("above", "below") if first.y < second.y else ("below", "above")
        return [f"a {first} {there} a {second}", f"a {second} {back} a {first}"]

    def places(self, words: Sequence[str]) -> list[Box | None]:
        """Return for each word of a sentence where the shape is that it, with the words around it, names."""
        boxes: list[Box | None] = [None] * len(words)
        for end in range(2, len(words)):
            named = " ".join(words[end - 2 : end + 1])
            for shape in self.shapes:
                if named == str(shape):
                    boxes[end - 2 : end + 1] = [shape.box] * 3
        return boxes


class Shapes(Source):
    """Scenes with sentences; what stands together in one stands together in none of another part.

    A combination is a shape, its colour, size and place, or two shapes with their colours: its hash says
    which part it belongs to.

    count: how many pictures, half of them of two shapes. Their sentences are all right; the first is drawn.
    """

    def __init__(self, part: Literal["train", "validation", "test"], count: int, seed: int = 0) -> None:
        self.part, self.count, self.seed = part, count, seed

    def samples(self) -> Iterator[Sample]:
        generator = random.Random(f"{self.part} {self.seed}")
        low, high = _SHARES[self.part]
        number = 0
        while number < self.count:
            scene = _scene(generator, 1 + number % 2)
            if low <= random.Random(f"{_combination(scene)} {self.seed}").random() < high:
                text, *others = generator.sample(scene.sentences(), len(scene.shapes))
                yield Sample(f"{self.part}-{number:05d}", scene, text, others=tuple(others))
                number += 1


def _scene(generator: random.Random, count: int) -> Scene:
    paper = generator.randint(190, 250)
    while True:
        shapes = tuple(_shape(generator) for _ in range(count))
        apart = [abs(shapes[0].x - each.x) - abs(shapes[0].y - each.y) for each in shapes[1:]]
        far = [max(abs(shapes[0].x - each.x), abs(shapes[0].y - each.y)) for each in shapes[1:]]
        alike = len({(shape.colour, shape.kind) for shape in shapes}) < count
        if not alike and all(abs(each) > 0.15 for each in apart) and all(each >= _APART for each in far):
            return Scene(shapes, paper)


def _shape(generator: random.Random) -> Shape:
    size = generator.choice(list(RADII))
    margin = RADII[size] + 0.02
    x, y = (_between_lines(generator, margin) for _ in "xy")
    return Shape(size, generator.choice(list(COLOURS)), generator.choice(KINDS), x, y)


def _between_lines(generator: random.Random, margin: float) -> float:
    """Return a place that is not near the lines between thirds, where nobody could tell on which side it is."""
    while True:
        at = generator.uniform(margin, 1.0 - margin)
        if min(abs(at - 1 / 3), abs(at - 2 / 3)) > 0.04:
            return at


def _combination(scene: Scene) -> str:
    if len(scene.shapes) == 1:
        return scene.sentences()[0]
    return " and ".join(sorted(f"{shape.colour} {shape.kind}" for shape in scene.shapes))


def _draw(draw: ImageDraw.ImageDraw, shape: Shape, side: int) -> None:
    radius, x, y = RADII[shape.size] * side, shape.x * side, shape.y * side
    colour = COLOURS[shape.colour]
    if shape.kind == "circle":
        draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=colour)
    elif shape.kind == "square":
        half = 0.85 * radius
        draw.rectangle((x - half, y - half, x + half, y + half), fill=colour)
    else:
        count, inner = (3, None) if shape.kind == "triangle" else (5, 0.45)
        draw.polygon(_corners(x, y, radius, count, inner), fill=colour)


def _corners(x: float, y: float, radius: float, count: int, inner: float | None) -> list[tuple[float, float]]:
    """Return the corners of a regular polygon that stands upright; of a star, with `inner` of the radius between."""
    radii = [radius] if inner is None else [radius, inner * radius]
    steps = count * len(radii)
    corners = []
    for step in range(steps):
        angle, length = 2 * math.pi * step / steps, radii[step % len(radii)]
        corners.append((x + length * math.sin(angle), y - length * math.cos(angle)))
    return corners
