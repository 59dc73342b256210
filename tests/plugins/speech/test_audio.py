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


def test_a_channel_is_chosen(tmp_path, capsys):
    left, right = tones("ab"), tones("cd")
    soundfile.write(tmp_path / "x.wav", np.stack([left, right], axis=1), RATE, subtype="FLOAT")

    def heard(channel="mix", own=None):
        domain = Speech(channel=channel)
        sample = domain.measure(Sample("x", tmp_path / "x.wav", region=Extent(channel=own)))
        torch.testing.assert_close(torch.cat(list(domain.load_blocks(sample))), domain.load(sample))
        return domain.load(sample)[:, 0]

    torch.testing.assert_close(heard(), torch.from_numpy((left + right) / 2))
    torch.testing.assert_close(heard(1), torch.from_numpy(right))
    torch.testing.assert_close(heard(1, own=0), torch.from_numpy(left))
    with pytest.raises(UserError, match="channels 0 to 1, but channel 2"):
        heard(2)
    assert capsys.readouterr().err == ""


def test_a_mix_that_cancels_itself_out_is_its_loudest_channel(tmp_path, capsys):
    sound = tones("ab")
    soundfile.write(tmp_path / "x.wav", np.stack([sound, -sound * 0.99], axis=1), RATE, subtype="FLOAT")
    for _ in range(2):
        torch.testing.assert_close(load(tmp_path / "x.wav")[:, 0], torch.from_numpy(sound), atol=1e-4, rtol=0)
    assert capsys.readouterr().err.count("cancel each other") == 1
    soundfile.write(tmp_path / "silence.wav", np.zeros((4000, 2)), RATE)
    assert not load(tmp_path / "silence.wav").any()


def test_unfinished_and_unseekable_and_odd_files_are_read(tmp_path):
    sound = tones(TEXT)
    soundfile.write(tmp_path / "good.wav", sound, RATE)
    content = bytearray((tmp_path / "good.wav").read_bytes())
    content[4:8] = content[40:44] = bytes(4)
    (tmp_path / "unfinished.wav").write_bytes(content)
    torch.testing.assert_close(load(tmp_path / "unfinished.wav"), load(tmp_path / "good.wav"))
    soundfile.write(tmp_path / "gsm.wav", tones(TEXT, 8000), 8000, subtype="GSM610")
    x = load(tmp_path / "gsm.wav")
    assert abs(len(x) - len(sound)) < 1000
    part = load(tmp_path / "gsm.wav", Extent(0.25, 0.5))
    assert float(torch.corrcoef(torch.stack([part[200:-200, 0], x[4000:12_000, 0][200:-200]]))[0, 1]) > 0.99


def test_full_scale_is_that_of_16_bits_where_numbers_are_that_large(tmp_path):
    sound = tones(TEXT)
    soundfile.write(tmp_path / "x.wav", sound * 32768, RATE, subtype="FLOAT")
    torch.testing.assert_close(load(tmp_path / "x.wav")[:, 0], torch.from_numpy(sound), atol=1e-4, rtol=0)
    begins_softly = np.concatenate([np.zeros(RATE, np.float32), sound * 32768])
    soundfile.write(tmp_path / "y.wav", begins_softly, RATE, subtype="FLOAT")
    assert float(load(tmp_path / "y.wav", Extent(0.0, 1.05)).abs().max()) < 0.01
    soundfile.write(tmp_path / "z.wav", sound * 1e9, RATE, subtype="FLOAT")
    with pytest.raises(UserError, match="beyond every full scale"):
        load(tmp_path / "z.wav")


SOUND = tones(TEXT)
ARRAYS = {
    "float64": SOUND.astype(np.float64),
    "tensor": torch.from_numpy(SOUND),
    "column": SOUND[:, None],
    "two columns": np.repeat(SOUND[:, None], 2, axis=1),
    "big-endian": SOUND.astype(">f4"),
    "int16": (SOUND * 32767).astype(np.int16),
    "big-endian int16": (SOUND * 32767).astype(">i2"),
    "int32": (SOUND * (2**31 - 1)).astype(np.int32),
    "reversed twice": np.ascontiguousarray(SOUND[::-1])[::-1],
    "every second": np.repeat(SOUND, 2)[::2],
}


@pytest.mark.parametrize("kind", ARRAYS)
def test_an_array_is_the_sound_it_holds(kind):
    domain = Speech()
    sample = domain.measure(Sample("s", ARRAYS[kind]))
    assert sample.size == len(SOUND)
    for x in (domain.load(sample), torch.cat(list(domain.load_blocks(sample))), domain.from_array(ARRAYS[kind])):
        torch.testing.assert_close(x[:, 0], torch.from_numpy(SOUND), atol=1e-4, rtol=0)


BAD_ARRAYS = [np.zeros(0), np.zeros((2, 16_000)), np.zeros((3, 3, 3)), np.zeros(9, np.int64), np.full(9, np.nan)]
BAD_ARRAYS += [SOUND * 32768, np.array(["x"]), np.zeros(9, complex), np.zeros(9, bool), np.array(3.0)]


@pytest.mark.parametrize("array", BAD_ARRAYS, ids=lambda array: f"{array.dtype} {array.shape}")
def test_an_array_that_is_no_sound_is_refused(array):
    with pytest.raises(UserError, match=r"^s "):
        Speech().measure(Sample("s", array))


def test_the_plugin_keeps_the_contract(tmp_path):
    check_plugin(installed()[0]["speech"], str(write_tones(tmp_path, 4) / "train.tsv"))
