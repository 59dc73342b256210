"""Readings as subtitles, CTM and TextGrid, and made digits."""

import io
import itertools
import re
import time

import numpy as np
import pytest
from lstmapps_speech.audio import Extent
from lstmapps_speech.digits import SpokenDigits
from lstmapps_speech.domain import Speech

from lstmapps.data import Sample
from lstmapps.prediction import Piece, Prediction, words_of


def reading(text, start=10.0, each=0.2):
    """A reading of letters that last `each` seconds, in a recording that is cut out from `start` on."""
    step = int(each * 16_000)
    characters = [Piece(c, i * step, (i + 1) * step, 0.9) for i, c in enumerate(text)]
    size = len(text) * step
    sample = Sample("x", "dir/my file.wav", size=size, region=Extent(start, size / 16_000))
    return Prediction(sample, text, 0.9, characters, words_of(characters))


def written(name, *readings):
    file = io.StringIO()
    Speech().formats()[name].write(readings, file)
    return file.getvalue()


def test_srt():
    assert written("srt", reading("AB <C>")) == "1\n00:00:10,000 --> 00:00:11,200\nAB <C>\n\n"
    assert "01:00:00,000 --> 01:00:00,200" in written("srt", reading("A", 3600.0))


def test_webvtt():
    assert written("webvtt", reading("AB <C>")) == "WEBVTT\n\n00:00:10.000 --> 00:00:11.200\nAB &lt;C&gt;\n\n"


def test_subtitles_end_at_pauses_and_stay_short():
    lines = written("srt", reading("AB     CD")).split("\n\n")
    assert [line.splitlines()[-1] for line in lines if line] == ["AB", "CD"]
    long = written("srt", reading(" ".join(["WORD"] * 40), each=0.05))
    texts = [block.splitlines()[-1] for block in long.strip().split("\n\n")]
    assert max(map(len, texts)) <= 42
    assert " ".join(texts) == " ".join(["WORD"] * 40)


def test_ctm():
    assert written("ctm", reading("AB C")) == "myfile 1 10.00 0.40 AB 0.810\nmyfile 1 10.60 0.20 C 0.900\n"


def test_a_textgrid_covers_the_time_without_a_gap():
    text = written("textgrid", reading('A" C'))
    assert 'text = "A"""' in text
    tiers = text.split("item [")[2:]
    assert [re.search(r'name = "(\w+)"', tier)[1] for tier in tiers] == ["words", "characters"]
    for tier in tiers:
        times = [(float(a), float(b)) for a, b in re.findall(r"xmin = ([\d.]+)\s+xmax = ([\d.]+)\s+text", tier)]
        assert times[0][0] == 0.0
        assert times[-1][1] == pytest.approx(10.8)
        assert all(a[1] == b[0] for a, b in itertools.pairwise(times))
        assert int(re.search(r"size = (\d+)", tier)[1]) == len(times)


def test_spoken_digits_are_the_same_each_time_and_share_no_voice():
    parts = {part: list(SpokenDigits(part, 40).samples()) for part in ("train", "validation", "test")}
    voices = {part: {s.id.split("-")[-1] for s in samples} for part, samples in parts.items()}
    assert not voices["train"] & voices["test"]
    assert not voices["train"] & voices["validation"]
    assert not voices["validation"] & voices["test"]
    time.sleep(1.1)  # a voice's breath must not follow the clock
    again = list(SpokenDigits("test", 40).samples())
    assert [s.text for s in again] == [s.text for s in parts["test"]]
    for sample, other in zip(parts["test"], again, strict=True):
        np.testing.assert_array_equal(sample.source, other.source)
        seconds = len(sample.source) / 16_000
        assert 0.15 < seconds / len(sample.text.split()) < 1.5
        assert 0.01 < float(np.abs(sample.source).max()) <= 1.2


def test_pictures_and_sounds_for_the_report():
    (sample,) = SpokenDigits("test", 1).samples()
    domain = Speech()
    assert domain.picture(sample).startswith(b"\x89PNG")
    assert domain.sound(sample).startswith(b"fLaC")
