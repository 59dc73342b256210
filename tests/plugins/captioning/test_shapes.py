"""Pictures of shapes show what their sentences say."""

import numpy as np
import pytest
from lstmapps_captioning.shapes import COLOURS, Scene, Shape, Shapes

LEFT = Shape("large", "red", "circle", 0.25, 0.5)
RIGHT = Shape("small", "blue", "star", 0.8, 0.6)


def test_sentences_tell_place_and_relation():
    assert Scene((LEFT,), 200).sentences() == ["a large red circle in the middle left"]
    assert Scene((Shape("small", "red", "star", 0.5, 0.5),), 200).sentences() == ["a small red star in the middle"]
    told = Scene((LEFT, RIGHT), 200).sentences()
    assert told == [
        "a large red circle left of a small blue star",
        "a small blue star right of a large red circle",
    ]
    above = Shape("small", "green", "square", 0.3, 0.05)
    assert Scene((LEFT, above), 200).sentences()[1] == "a small green square above a large red circle"


def test_shapes_are_drawn_where_they_are_said_to_be():
    pixels = np.asarray(Scene((LEFT, RIGHT), 220).drawn(64)).astype(int)
    for shape in (LEFT, RIGHT):
        assert tuple(pixels[int(64 * shape.y), int(64 * shape.x)]) == COLOURS[shape.colour]
        left, top, right, bottom = (round(64 * edge) for edge in shape.box)
        pixels[top:bottom, left:right] = 220
    assert (abs(pixels - 220) < 40).all(), "nothing is drawn outside the boxes"


def test_words_are_placed_where_the_shape_is_that_they_name():
    words = ["a", "small", "blue", "star", "right", "of", "a", "large", "red", "circle"]
    places = Scene((LEFT, RIGHT), 200).places(words)
    assert places == [None, *[RIGHT.box] * 3, None, None, None, *[LEFT.box] * 3]
    assert Scene((LEFT,), 200).places(["a", "large", "blue", "circle"]) == [None] * 4


@pytest.mark.parametrize("part", ["train", "validation", "test"])
def test_a_source_gives_the_same_scenes_each_time(part):
    samples = list(Shapes(part, 20).samples())
    assert samples == list(Shapes(part, 20).samples())
    assert {len(sample.references) for sample in samples} == {1, 2}
    assert all(set(sample.references) == set(sample.source.sentences()) for sample in samples)


def test_combinations_of_one_part_stand_in_no_other():
    def combinations(part):
        found = set()
        for sample in Shapes(part, 300).samples():
            shapes = sample.source.shapes
            found.add(sample.text if len(shapes) == 1 else frozenset((s.colour, s.kind) for s in shapes))
        return found

    train, validation, test = (combinations(part) for part in ("train", "validation", "test"))
    assert not train & validation
    assert not (train | validation) & test
