"""Writing is found wherever it stands, and looks alike on whatever paper."""

import math

import numpy as np
import pytest
import torch
from lstmapps_handwriting.blanks import blank_lines
from lstmapps_handwriting.disturbances import disturbances_of
from lstmapps_handwriting.domain import Handwriting
from lstmapps_handwriting.writing import ink_of, normalised, slope_of
from PIL import Image, ImageDraw, ImageFont

from lstmapps.data import Sample

HEIGHT, SHARE = 64, 0.45


def written(columns=900, rows=64, size=30, paper=200, ink=40):
    """A line of writing as a loaded line: (columns, rows), 1 for black."""
    picture = Image.new("L", (columns, rows), paper)
    font = ImageFont.load_default(size)
    ImageDraw.Draw(picture).text((20, rows / 2), "the quick brown fox jumps over it", ink, font, anchor="lm")
    return 1 - torch.from_numpy(np.asarray(picture, dtype=np.float32).T.copy()) / 255


def stands(ink):
    """From which row to which nine tenths of the ink (columns, rows) lie."""
    dark = torch.where(ink > 0.65, ink, 0.0)  # rules are paler
    share = dark.sum(dim=0).cumsum(0) / dark.sum()
    return tuple(int((share < part).sum()) for part in (0.05, 0.95))


@pytest.mark.parametrize("disturbance", disturbances_of(), ids=str)
def test_a_line_looks_alike_whatever_happened_to_it(disturbance):
    plain, x = normalised(written(), HEIGHT, SHARE), normalised(disturbance(written(), "a"), HEIGHT, SHARE)
    assert x.shape[1] == HEIGHT
    assert stands(x) == pytest.approx(stands(plain), abs=6)
    assert abs(slope_of(x.T.numpy())) < math.radians(0.4)
    ink, thicker = float((plain > 0.5).float().mean()), 1.0 if disturbance.name == "blurred" else 0.35
    assert float((x > 0.5).float().mean()) == pytest.approx(ink, rel=thicker)


@pytest.mark.parametrize("factor", [0.9, 0.5, 0.3])
def test_light_changes_nothing_at_all(factor):
    light = 1 - written().T.numpy()
    np.testing.assert_allclose(ink_of(light * factor), ink_of(light), atol=1e-5)


@pytest.mark.parametrize("degrees", [0, 2])
def test_the_edge_of_the_page_is_not_taken_for_writing(degrees):
    pale = 1 - written(paper=180, ink=130).T.numpy()
    light = np.concatenate([pale, np.full((10, 900), 230 / 255, dtype=np.float32)])
    turned = Image.fromarray((255 * light).round().astype(np.uint8)).rotate(degrees, fillcolor=180)
    ink = ink_of(np.asarray(turned, dtype=np.float32) / 255)
    assert ink[:52].mean() > 2 * ink[60:].mean()


@pytest.mark.parametrize("columns", [60, 120])
def test_a_short_word_stays_darker_than_its_paper_where_light_falls(columns):
    light = 1 - written(columns, paper=200, ink=150).T.numpy()
    for fall in (np.linspace(1.0, 0.5, columns, dtype=np.float32), np.linspace(0.5, 1.0, columns, dtype=np.float32)):
        assert np.corrcoef(ink_of(light * fall).ravel(), ink_of(light).ravel())[0, 1] > 0.8


@pytest.mark.parametrize("fall", [(1.0, 0.5), (0.5, 1.0)], ids=["below", "above"])
@pytest.mark.parametrize("corner", [False, True])
def test_light_may_fall_across_a_line(fall, corner):
    light, down = 1 - written().T.numpy(), np.linspace(*fall, 64, dtype=np.float32)[:, None]
    if corner:
        down = 1 - (1 - down) * np.linspace(0, 1, 900, dtype=np.float32)
    assert np.abs(ink_of(light * down) - ink_of(light)).mean() < 0.01


@pytest.mark.parametrize("stroke", [1, 2, 3])
@pytest.mark.parametrize(("paper", "ink"), [(200, 60), (80, 240)])
def test_bold_writing_is_not_taken_for_paper(stroke, paper, ink):
    picture = Image.new("L", (900, 64), paper)
    font = ImageFont.load_default(50)
    ImageDraw.Draw(picture).text((10, 32), "mmmm WMW billiard", ink, font, anchor="lm", stroke_width=stroke)
    light = np.asarray(picture, dtype=np.float32) / 255
    strokes = abs(light - ink / 255) < abs(light - paper / 255)
    assert ink_of(light)[strokes].mean() > 0.9
    assert ink_of(light)[~strokes].mean() < 0.1


def test_grains_of_noise_do_not_pass_for_the_height_of_pale_writing():
    pale = written(paper=180, ink=110)
    generator = torch.Generator().manual_seed(1)
    noisy = (pale + 0.08 * torch.randn(pale.shape, generator=generator)).clamp(0, 1)
    assert len(normalised(noisy, HEIGHT, SHARE)) == pytest.approx(len(normalised(pale, HEIGHT, SHARE)), rel=0.06)


@pytest.mark.parametrize("degrees", [-3.0, -1.0, 0.5, 2.0])
def test_the_slope_is_found(degrees):
    picture = Image.fromarray((255 * (1 - written().T.numpy())).astype(np.uint8))
    turned = picture.rotate(-degrees, Image.Resampling.BICUBIC, expand=True, fillcolor=200)
    slope = slope_of(ink_of(np.asarray(turned, dtype=np.float32) / 255))
    assert math.degrees(math.atan(slope)) == pytest.approx(degrees, abs=0.15)


@pytest.mark.parametrize(
    ("rows", "size", "share"), [(64, 20, 0.45), (64, 30, 0.45), (128, 40, 0.45), (128, 60, 0.45), (128, 60, 0.7)]
)
def test_writing_of_any_size_comes_out_at_one_and_in_the_middle(rows, size, share):
    top, bottom = stands(normalised(written(rows=rows, size=size), HEIGHT, share))
    assert bottom - top == pytest.approx(share * HEIGHT, abs=6)
    assert (top + bottom) / 2 == pytest.approx(HEIGHT / 2, abs=4)


def test_every_column_stays_where_it_was():
    x = torch.zeros(900, 64)
    x[200:220, 20:40] = 1.0
    x[700:720, 20:40] = 1.0
    columns = normalised(x, HEIGHT, SHARE).sum(dim=1)
    inked = (columns > columns.max() / 2).nonzero().flatten() / len(columns)
    first, second = inked[inked < 0.5], inked[inked > 0.5]
    found = [float(place) for bar in (first, second) for place in (bar.min(), bar.max())]
    assert found == pytest.approx([200 / 900, 220 / 900, 700 / 900, 720 / 900], abs=0.005)


def test_blank_paper_stays_blank_and_dirt_stays_pale():
    for sample in blank_lines():
        x = Handwriting(HEIGHT, normalised=True).from_array(sample.source)
        assert float(x.mean()) < (0.25 if sample.id in ("ruled paper", "spots") else 0.1), sample.id
    dirty = written(ink=200)  # nothing but paper
    dirty[300:310, 20:40] += 0.02
    assert float(normalised(dirty, HEIGHT, SHARE).max()) < 0.3


@pytest.mark.parametrize("shape", [(4, 4), (5, 300), (300, 5), (1, 64), (64, 1), (64, 2)])
def test_what_is_hardly_a_line_is_no_fault(shape):
    torch.manual_seed(0)
    for x in (torch.zeros(shape), torch.ones(shape), torch.rand(shape)):
        y = normalised(x, HEIGHT, SHARE)
        assert y.shape[1] == HEIGHT
        assert y.isfinite().all()


@pytest.mark.parametrize("share", [0.0, 1.1, float("nan")])
def test_writing_takes_a_part_of_the_height(share):
    with pytest.raises(ValueError, match="a tenth of a line's height to all of it"):
        Handwriting(writing_share=share)


def test_lines_are_loaded_high_enough_for_what_is_small_in_them():
    domain = Handwriting(HEIGHT, normalised=True)
    for rows, loaded in ((40, 64), (100, 100), (400, 128)):
        sample = domain.measure(Sample("a", (written(rows=rows).T.numpy() * 255).astype(np.uint8)))
        x = domain.load(sample)
        assert x.shape == (sample.size, loaded)
