"""Recordings of every rate and form, the broken ones among them."""

import numpy as np
import pytest
import soundfile
import torch
from lstmapps_speech.audio import Extent
from lstmapps_speech.domain import Speech
from sounds import RATE, tones, write_tones

from lstmapps.data import Sample
from lstmapps.errors import UserError
from lstmapps.plugins import installed
from lstmapps.testing import check_plugin

TEXT = "abcdabcd"


def load(path, region=None):
    domain = Speech()
    sample = domain.measure(Sample(str(path), path, region=region))
    x = domain.load(sample)
    assert sample.size == len(x)
    return x


FORMS = {
    "8 kHz": (8000, 1, "x.wav", {}),
    "96 kHz": (96_000, 1, "x.wav", {}),
    "44.1 kHz": (44_100, 2, "x.flac", {}),
    "an odd rate": (16_001, 1, "x.wav", {}),
    "24 bit": (RATE, 1, "x.wav", {"subtype": "PCM_24"}),
    "float": (RATE, 1, "x.wav", {"subtype": "FLOAT"}),
    "6 channels": (RATE, 6, "x.wav", {}),
    "ogg": (RATE, 1, "x.ogg", {}),
    "mp3": (RATE, 1, "x.mp3", {}),
    "mp3 named wav": (RATE, 1, "x.wav", {"format": "MP3"}),
}


@pytest.mark.parametrize("form", FORMS)
def test_every_form_of_a_recording_is_the_same_sound(tmp_path, form):
    rate, channels, name, options = FORMS[form]
    sound = np.repeat(tones(TEXT, rate)[:, None], channels, axis=1)
    soundfile.write(tmp_path / name, sound, rate, **options)
    x = load(tmp_path / name)[:, 0]
    expected = torch.from_numpy(tones(TEXT))
    assert abs(len(x) - len(expected)) < 1200  # MP3 pads
    best = max(float(torch.corrcoef(torch.stack([x[d:][:14_000], expected[:14_000]]))[0, 1]) for d in range(0, 1200, 1))
    assert best > 0.97


def test_a_recording_in_blocks_is_the_whole(tmp_path):
    for rate in (16_000, 44_100, 8_000):
        generator = np.random.default_rng(0)
        soundfile.write(tmp_path / "x.wav", generator.uniform(-0.5, 0.5, 65 * rate), rate)
        domain = Speech()
        sample = domain.measure(Sample("x", tmp_path / "x.wav", region=Extent(1.5, 62.0)))
        blocks = list(domain.load_blocks(sample))
        assert len(blocks) == 3
        torch.testing.assert_close(torch.cat(blocks), domain.load(sample), atol=2e-4, rtol=0)


def test_an_extent_is_cut_out(tmp_path):
    soundfile.write(tmp_path / "x.wav", np.linspace(0, 1, RATE, dtype=np.float32), RATE, subtype="FLOAT")
    x = load(tmp_path / "x.wav", Extent(0.25, 0.5))
    assert len(x) == 8000
    assert float(x[0]) == pytest.approx(0.25, abs=1e-3)
    for start, duration in ((-1.0, 0.5), (2.0, None), (0.5, 5.0)):
        with pytest.raises(UserError, match=r"lie outside.*mend its offset"):
            load(tmp_path / "x.wav", Extent(start, duration))


def test_extremes_are_loaded(tmp_path):
    for name, sound in {"one.wav": [0.5], "silence.wav": [0.0] * 4000, "clipped.wav": [1.0, -1.0] * 4000}.items():
        soundfile.write(tmp_path / name, np.array(sound, dtype=np.float32), RATE)
        assert len(load(tmp_path / name)) == len(sound)


def broken(folder):
    good = tones(TEXT)
    soundfile.write(folder / "nan.wav", np.where(np.arange(len(good)) == 5, np.nan, good), RATE, subtype="FLOAT")
    soundfile.write(folder / "empty.wav", np.zeros(0, np.float32), RATE)
    soundfile.write(folder / "whole.flac", np.random.default_rng(0).uniform(-1, 1, RATE * 4), RATE)
    (folder / "cut.flac").write_bytes((folder / "whole.flac").read_bytes()[:60_000])
    (folder / "text.wav").write_text("this is no sound")
    (folder / "zero.wav").write_bytes(b"")
    (folder / "whole.flac").unlink()
    return ["nan.wav", "empty.wav", "cut.flac", "text.wav", "zero.wav", "missing.wav"]


def test_what_is_broken_is_refused_by_name(tmp_path):
    for name in broken(tmp_path):
        with pytest.raises(UserError, match=name) as caught:
            load(tmp_path / name)
        assert "\n" not in str(caught.value)


def test_the_plugin_keeps_the_contract(tmp_path):
    check_plugin(installed()[0]["speech"], str(write_tones(tmp_path, 4) / "train.tsv"))
