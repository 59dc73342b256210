"""Lines that are set in fonts show the texts that they are said to."""

import numpy as np
import pytest
from lstmapps_handwriting.domain import Handwriting
from lstmapps_handwriting.typeset import TypesetLines
from PIL import ImageFont

from lstmapps.errors import UserError


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "fonts").mkdir()
    (tmp_path / "fonts" / "plain.ttf").write_bytes(ImageFont.load_default(10).font_bytes)
    (tmp_path / "texts.txt").write_text("The quick brown fox jumps\nover the lazy dog, again\nand again.\n", "utf-8")
    return tmp_path


def lines(folder, count=12, **settings):
    return list(TypesetLines(str(folder / "fonts"), str(folder / "texts.txt"), count, **settings).samples())


def test_lines_are_cut_between_words_and_as_long_as_is_said(folder):
    words = (folder / "texts.txt").read_text("utf-8").split() * 2
    text = " ".join(words).lower()
    found = lines(folder, shortest=10, longest=25)
    assert len(found) == 12
    assert all(f" {sample.text.lower()} " in f" {text} " for sample in found)
    assert all(10 <= len(sample.text) <= 25 for sample in found)
    assert len({sample.text for sample in found}) > 6


def test_lines_are_the_same_at_every_call_and_others_by_another_seed(folder):
    for one, other in zip(lines(folder), lines(folder), strict=True):
        assert one.text == other.text
        np.testing.assert_array_equal(one.source, other.source)
    assert [sample.text for sample in lines(folder)] != [sample.text for sample in lines(folder, seed=1)]


def test_longer_texts_are_wider_and_all_of_them_hold_ink(folder):
    domain = Handwriting(32, normalised=True)
    samples = [domain.measure(sample) for sample in lines(folder, 40, shortest=1, longest=40)]
    assert np.corrcoef([len(sample.text) for sample in samples], [sample.size for sample in samples])[0, 1] > 0.8
    for sample in samples:
        assert 0.01 < float(domain.prepare(domain.load(sample)).mean()) < 0.5, sample.text


def test_a_font_does_not_write_what_it_lacks(folder):
    (folder / "texts.txt").write_text("ab 漢字 cd", "utf-8")
    assert {sample.text.lower() for sample in lines(folder, 20, shortest=1, longest=2)} <= {"ab", "cd"}


def test_what_would_not_fit_a_picture_is_left_out(folder):
    (folder / "texts.txt").write_text("extraordinarily " * 50, "utf-8")
    found = lines(folder, 20, shortest=10, longest=400)
    assert 0 < len(found) < 20
    assert all(sample.source.shape[1] < 3000 for sample in found)


def test_places_may_be_named_by_variables(folder, monkeypatch):
    monkeypatch.setenv("PLACE", str(folder))
    assert len(list(TypesetLines("$PLACE/fonts", "$PLACE/texts.txt", 3).samples())) == 3


@pytest.mark.parametrize(("missing", "reason"), [("fonts/plain.ttf", "no fonts"), ("texts.txt", "texts.txt")])
def test_what_is_missing_is_named(folder, missing, reason):
    (folder / missing).unlink()
    with pytest.raises(UserError, match=reason):
        lines(folder)


def test_lengths_make_sense():
    with pytest.raises(ValueError, match="shortest first"):
        TypesetLines("fonts", "texts", 1, shortest=9, longest=3)
