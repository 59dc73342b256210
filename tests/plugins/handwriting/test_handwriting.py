"""The handwriting plugin: every kind of picture and list it reads, what it refuses, how it varies lines."""

import json

import numpy as np
import pytest
import torch
from drawn import draw
from lstmapps_handwriting.digits import DigitStrings
from lstmapps_handwriting.domain import Handwriting
from lstmapps_handwriting.frontend import LineFrontend
from lstmapps_handwriting.images import Region
from lstmapps_handwriting.writers import box
from PIL import Image

from lstmapps.data import Sample
from lstmapps.errors import UserError
from lstmapps.prediction import Piece, Prediction


def load(path, height=24):
    domain = Handwriting(height)
    (sample,) = domain.read(str(path))
    measured = domain.measure(sample)
    x = domain.load(measured)
    assert measured.size == len(x)
    return x


def with_alpha(picture):
    ink = Image.new("RGBA", picture.size, (0, 0, 0, 0))
    ink.putalpha(Image.eval(picture, lambda value: 255 - value))
    return ink


FORMS = {
    "jpeg": (lambda p: p, "x.jpg", {"quality": 98}),
    "tiff": (lambda p: p, "x.tiff", {}),
    "webp": (lambda p: p, "x.webp", {"lossless": True}),
    "colour": (lambda p: p.convert("RGB"), "x.png", {}),
    "palette": (lambda p: p.convert("P"), "x.png", {}),
    "alpha": (with_alpha, "x.png", {}),
    "16 bit": (lambda p: Image.fromarray(np.asarray(p).astype(np.uint16) * 257), "x.png", {}),
    "capital ending": (lambda p: p, "X.PNG", {}),
}


@pytest.mark.parametrize("form", FORMS)
def test_every_form_of_a_picture_is_the_same_line(tmp_path, plain, form):
    change, name, options = FORMS[form]
    change(draw("123")).save(tmp_path / name, **options)
    torch.testing.assert_close(load(tmp_path / name), plain, atol=0.06, rtol=0)


def test_a_picture_that_the_camera_turned_is_read_upright(tmp_path, plain):
    exif = Image.Exif()
    exif[0x0112] = 6  # turn a quarter clockwise to see it upright
    draw("123").transpose(Image.Transpose.ROTATE_90).save(tmp_path / "turned.png", exif=exif)
    torch.testing.assert_close(load(tmp_path / "turned.png"), plain)


@pytest.mark.parametrize("height", [12, 24, 96])
def test_the_aspect_ratio_is_kept_at_any_height(tmp_path, height):
    draw("12345").resize((68 * 3, 24 * 3)).save(tmp_path / "x.png")
    assert load(tmp_path / "x.png", height).shape == (round(68 * height / 24), height)


BAD = {
    "empty file": (lambda p: p.write_bytes(b""), "not a picture"),
    "a text": (lambda p: p.write_text("abc"), "not a picture"),
    "truncated": (lambda p: (draw("123").save(p), p.write_bytes(p.read_bytes()[:-40])), "is damaged"),
    "one pixel high": (lambda p: Image.new("L", (100, 1)).save(p), "too small"),
    "too wide": (lambda p: Image.new("L", (30_000, 40)).save(p), "too wide for one line"),
    "missing": (lambda _: None, "does not exist"),
}


@pytest.mark.parametrize("case", BAD)
def test_a_bad_picture_is_named_with_a_remedy(tmp_path, case):
    make, message = BAD[case]
    path = tmp_path / "bad.png"
    make(path)
    with pytest.raises(UserError, match=message) as error:
        load(path)
    assert str(path) in str(error.value)
    assert "\n" not in str(error.value)


def test_tables_folders_and_json_lines_list_the_same_lines(lines):
    rows = [row.split("\t") for row in (lines / "train.tsv").read_text().splitlines()]
    manifest = [json.dumps({"image": name, "text": text}) for name, text in rows]
    (lines / "m.jsonl").write_text("\n".join(manifest))
    for name, text in rows:
        (lines / name).with_suffix(".gt.txt").write_text(text + "\n")
    expected = sorted((lines / name, text) for name, text in rows)
    for source in (lines / "train.tsv", lines / "m.jsonl", lines):
        assert sorted((s.source, s.text) for s in Handwriting().read(str(source))) == expected


def test_a_picture_that_changes_is_read_anew(tmp_path):
    path = tmp_path / "x.png"
    draw("123").save(path)
    before = load(path)
    draw("45678").save(path)
    assert load(path).shape != before.shape


def test_a_picture_of_a_page_is_no_line(tmp_path):
    Image.new("L", (900, 1200), 255).save(tmp_path / "page.png")
    with pytest.raises(UserError, match=r"page\.png is 900 x 1200 pixels, the shape of a page"):
        load(tmp_path / "page.png")
    Image.new("L", (4000, 600), 255).save(tmp_path / "line.png")
    assert len(load(tmp_path / "line.png")) == 160


GREY = np.asarray(draw("123"))


ARRAYS = {
    "bytes": GREY,
    "tensor": torch.from_numpy(GREY.copy()),
    "0 to 1": GREY / 255,
    "float32": (GREY / 255).astype(np.float32),
    "0 to 255": GREY.astype(np.float64),
    "16 bit": GREY.astype(np.uint16) * 257,
    "big-endian": (GREY.astype(np.uint16) * 257).astype(">u2"),
    "colours": np.repeat(GREY[:, :, None], 3, axis=2),
    "reversed twice": np.ascontiguousarray(GREY[::-1])[::-1],
}


@pytest.mark.parametrize("kind", ARRAYS)
def test_an_array_is_the_same_line_as_its_picture(plain, kind):
    domain = Handwriting(24)
    sample = domain.measure(Sample("s", ARRAYS[kind]))
    torch.testing.assert_close(domain.load(sample), plain, atol=0.005, rtol=0)
    assert sample.size == len(plain)
    assert domain.picture(sample)


BAD_ARRAYS = [np.zeros((0, 5), np.uint8), np.zeros(5), np.zeros((24, 40), np.int64), np.full((24, 40), np.nan)]


BAD_ARRAYS += [np.full((24, 40), -1.0), np.full((24, 40), "x"), np.zeros((24, 40), complex), np.zeros((24, 40, 2))]


@pytest.mark.parametrize("array", BAD_ARRAYS, ids=lambda array: f"{array.dtype} {array.shape}")
def test_an_array_that_is_no_picture_is_refused(array):
    with pytest.raises(UserError, match=r"^s "):
        Handwriting(24).measure(Sample("s", array))


def test_a_picture_of_floating_point_numbers_is_read(tmp_path, plain):
    Image.fromarray((GREY / 255).astype(np.float32)).save(tmp_path / "x.tiff")
    torch.testing.assert_close(load(tmp_path / "x.tiff"), plain, atol=0.005, rtol=0)


def test_an_empty_folder_is_named(tmp_path):
    with pytest.raises(UserError, match="holds no pictures"):
        list(Handwriting().read(str(tmp_path)))


def test_variations_keep_the_height_and_stay_in_range():
    x = torch.rand(200, 64)
    for seed in range(20):
        torch.manual_seed(seed)
        varied = Handwriting(64).augment(x)
        assert varied.shape[1] == 64
        assert 200 * 0.85 <= len(varied) <= 200 * 1.17
        assert float(varied.min()) >= 0.0
        assert float(varied.max()) <= 1.0
        assert bool(varied.isfinite().all())


def test_worn_lines_keep_the_height_and_stay_in_range():
    x = torch.rand(200, 64)
    seen = set()
    for seed in range(40):
        torch.manual_seed(seed)
        worn = Handwriting(64, augmentation=0, wear=1.0).augment(x)
        assert worn.shape[1] == 64
        assert float(worn.min()) >= 0.0
        assert float(worn.max()) <= 1.0
        assert not torch.equal(worn, x)
        seen.add(len(worn))
    assert len(seen) > 3  # margins and turns change the width


def test_no_variation_where_none_is_wanted():
    x = torch.rand(20, 16)
    assert Handwriting(16, augmentation=0).augment(x) is x


def test_the_frontend_sees_neither_contrast_nor_padding():
    x = torch.rand(2, 30, 16)
    lengths = torch.tensor([30, 12])
    y, _ = LineFrontend()(x, lengths)
    alone, _ = LineFrontend()(x[1:, :12], torch.tensor([12]))
    torch.testing.assert_close(y[1, :12], alone[0])
    assert bool((y[1, 12:] == 0).all())
    assert float(alone.mean()) == pytest.approx(0.0, abs=1e-5)
    faint, _ = LineFrontend()(0.2 * x + 0.1, lengths)
    torch.testing.assert_close(faint, y, atol=0.6, rtol=0.0)


def test_an_empty_line_stays_finite():
    y, _ = LineFrontend()(torch.full((1, 10, 16), 0.3), torch.tensor([10]))
    assert float(y.abs().max()) < 1e-3


def test_digit_strings_repeat_and_share_no_digit_between_parts():
    parts = {part: list(DigitStrings(part, 30).samples()) for part in ("train", "validation", "test")}
    again = list(DigitStrings("test", 30).samples())
    assert [s.text for s in again] == [s.text for s in parts["test"]]
    assert all(np.array_equal(a.source, b.source) for a, b in zip(again, parts["test"], strict=True))
    assert all(3 <= len(s.text) <= 9 for samples in parts.values() for s in samples)
    sample = parts["train"][0]
    assert Handwriting(32).load(Handwriting(32).measure(sample)).shape[1] == 32


def test_a_box_covers_at_least_a_pixel():
    sample = Sample("x", None, size=640, region=Region(5, 7, 10, 64))
    left, top, right, bottom = box(Prediction(sample, "a", 1.0), Piece("a", 3.0, 3.5, 1.0))
    assert (top, bottom) == (7, 71)
    assert right > left
