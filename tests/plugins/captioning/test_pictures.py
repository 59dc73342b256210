"""What pictures of any kind become, and what is done to them while training."""

import io

import numpy as np
import pytest
import torch
from lstmapps_captioning.domain import Captioning
from lstmapps_captioning.plugin import plugin
from PIL import Image

from lstmapps.data import Sample
from lstmapps.errors import UserError
from lstmapps.testing import check_plugin

DOMAIN = Captioning(size=16)


def loaded(path):
    (sample,) = DOMAIN.read(str(path))
    return DOMAIN.load(DOMAIN.measure(sample))


def halves():
    """Return a picture whose left half is red and whose right half is blue."""
    pixels = np.zeros((40, 60, 3), np.uint8)
    pixels[:, :30, 0] = pixels[:, 30:, 2] = 255
    return Image.fromarray(pixels)


def test_the_plugin_keeps_the_contract(tmp_path):
    for name, mode in (("a.png", "RGB"), ("b.jpg", "L")):
        halves().convert(mode).save(tmp_path / name)
    (tmp_path / "captions.csv").write_text("image,caption\na.png,red\nb.jpg,grey\n")
    check_plugin(plugin, str(tmp_path))


@pytest.mark.parametrize(
    ("mode", "suffix", "tolerance"),
    [("RGB", "png", 0.0), ("CMYK", "jpg", 0.15), ("P", "png", 0.02), ("RGBA", "webp", 0.15), ("RGB", "tif", 0.0)],
)
def test_pictures_of_every_mode_show_the_same(tmp_path, mode, suffix, tolerance):
    halves().convert(mode).save(tmp_path / f"a.{suffix}")
    x = loaded(tmp_path / f"a.{suffix}").view(16, 16, 3)
    assert x[:, 2].mean(0).tolist() == pytest.approx([1, 0, 0], abs=tolerance + 0.01)
    assert x[:, -3].mean(0).tolist() == pytest.approx([0, 0, 1], abs=tolerance + 0.01)


def test_sixteen_bits_turned_animated_and_transparent_pictures(tmp_path):
    deep = np.full((20, 20), 32768, np.uint16)
    deep[:, 10:] = 65535
    Image.fromarray(deep).save(tmp_path / "deep.png")
    assert loaded(tmp_path / "deep.png").view(16, 16, 3)[:, 2].mean() == pytest.approx(0.5, abs=0.02)
    exif = Image.Exif()
    exif[0x0112] = 3  # upside down: what is stored on the left is seen on the right
    halves().save(tmp_path / "turned.jpg", exif=exif, quality=95)
    assert loaded(tmp_path / "turned.jpg").view(16, 16, 3)[8, 2].argmax() == 2
    frames = [Image.new("RGB", (16, 16), colour) for colour in ("red", "blue")]
    for frame in frames:
        frame.paste("black", (0, 8, 16, 16))
    frames[0].save(tmp_path / "moving.webp", save_all=True, append_images=frames[1:], lossless=True)
    assert loaded(tmp_path / "moving.webp").view(-1, 3).mean(0).argmax() == 0
    clear = Image.new("RGBA", (16, 16), (0, 0, 0, 0))
    clear.paste((0, 0, 0, 255), (8, 0, 16, 16))
    clear.save(tmp_path / "clear.png")
    assert loaded(tmp_path / "clear.png").view(16, 16, 3)[:, :8].min() == 1.0


def test_arrays_given_in_python_are_pictures_too():
    pixels = np.asarray(halves())
    inputs = [pixels, torch.from_numpy(pixels.copy()), pixels.astype(np.float32) / 255]
    first, *others = [DOMAIN.load(DOMAIN.measure(Sample("x", each))) for each in inputs]
    assert all(torch.equal(first, other) for other in others)


def _cut_short(path):
    buffer = io.BytesIO()
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    Image.fromarray(noise).save(buffer, "JPEG")
    path.write_bytes(buffer.getvalue()[:-1000])


def _noise(path):
    grains = np.random.default_rng(0).normal(20, 8, (200, 200, 3)).clip(0, 255)
    Image.fromarray(grains.astype(np.uint8)).save(path)


BAD = {
    "white.png": (lambda path: Image.new("RGB", (64, 64), "white").save(path), "nothing to describe"),
    "dark.png": (_noise, "nothing to describe"),
    "one.png": (lambda path: Image.new("RGB", (1, 1)).save(path), "1 x 1 pixels, too small"),
    "huge.png": (lambda path: Image.new("1", (20_000, 20_000)).save(path), "20000 x 20000 pixels, too large"),
    "short.jpg": (_cut_short, "is damaged"),
    "text.jpg": (lambda path: path.write_text("hello"), "is not a picture"),
    "gone.jpg": (lambda path: None, "does not exist"),
}


@pytest.mark.parametrize("name", BAD)
def test_what_is_no_usable_picture_is_named(tmp_path, name):
    make, message = BAD[name]
    make(tmp_path / name)
    with pytest.raises(UserError, match=f"{name}.*{message}"):
        loaded(tmp_path / name)


def test_what_shows_little_is_not_taken_for_nothing(tmp_path):
    stripes = np.zeros((640, 640), np.uint8)
    stripes[:, ::8] = stripes[:, 1::8] = stripes[:, 2::8] = stripes[:, 3::8] = 255
    bird = np.full((427, 640), 200, np.uint8)
    bird[100:116, 300:316] = 30
    checks = np.indices((256, 256)).sum(0) // 4 % 2 * 255
    for name, pixels in (("stripes", stripes), ("bird", bird), ("checks", checks.astype(np.uint8))):
        Image.fromarray(pixels).save(tmp_path / f"{name}.png")
        assert loaded(tmp_path / f"{name}.png").shape == (16, 48)


def test_a_variation_is_of_the_same_shape_and_stays_near():
    varied = Captioning(size=16, augmentation=1.0)
    x = DOMAIN.from_array(np.asarray(halves()))
    torch.manual_seed(1)
    views = [varied.augment(x) for _ in range(20)]
    assert all(view.shape == x.shape and view.min() >= 0 and view.max() <= 1 for view in views)
    assert len({float(view.sum()) for view in views}) == 20
    assert all(view.view(16, 16, 3)[8, 0].argmax() == 0 and view.view(16, 16, 3)[8, -1].argmax() == 2 for view in views)
    assert torch.equal(DOMAIN.augment(x), x)
