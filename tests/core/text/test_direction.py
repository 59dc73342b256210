"""Scripts written from right to left: the order on the line, and back."""

import pytest
from bidi import get_display
from hypothesis import given
from hypothesis import strategies as st

from lstmapps.text import Vocabulary
from lstmapps.text.direction import logical_order, visual_order

HEBREW, ARABIC = ["שלום", "עולם", "ספר"], ["مرحبا", "العالم", "كتاب"]
LINES = [
    "שלום עולם",
    "مرحبا بالعالم",
    "שלום 12 34",
    "ספר 1948 עולם",
    "עולם abc ספר",
    "عام 1999، في Paris.",
    "كتاب 12.5 العالم",
    "(שלום) עולם",
    "hello (world) 12",
    "",
]


@pytest.mark.parametrize("text", LINES)
def test_what_stands_on_a_line_is_read_as_it_was_typed(text):
    visual, places = visual_order(text)
    assert sorted(places) == list(range(len(text)))
    if "(" not in text:  # the package's newer function mirrors no brackets
        assert visual == get_display(text)
    logical, back = logical_order(visual)
    assert logical == text
    assert [places[place] for place in back] == list(range(len(text)))


@given(st.lists(st.sampled_from([*HEBREW, *ARABIC, "abc", "Paris", "12", "3.5", "(", ")", ".", "-"]), max_size=8))
def test_what_is_read_would_stand_on_the_line_so(words):
    visual, _ = visual_order(" ".join(["שלום", *words]))
    logical, places = logical_order(visual)
    assert visual_order(logical)[0] == visual
    assert sorted(places) == list(range(len(visual)))


@given(st.text(alphabet="abc éß 12.,()-", max_size=20))
def test_a_text_from_left_to_right_is_the_same_in_both(text):
    assert visual_order(text)[0] == logical_order(text)[0] == text


def test_a_visual_vocabulary_writes_from_the_left_and_reads_as_typed(tmp_path):
    vocabulary = Vocabulary.learn(LINES, visual=True)
    for line in LINES:
        assert vocabulary.unknown(line) == []
        assert vocabulary.decode(vocabulary.encode(line)) == line
    assert vocabulary.text_of(vocabulary.encode("שלום עולם")[0]) == "ם", "the last letter stands leftmost"
    vocabulary.save(tmp_path / "v.json")
    assert Vocabulary.load(tmp_path / "v.json") == vocabulary != Vocabulary.learn(LINES)
    assert Vocabulary.learn(["ab"]).extended(["c"], visual=True).visual
