import math

import pytest
import torch
from lstmapps_speech.blanks import Blanks, blank_minutes
from lstmapps_speech.domain import Speech
from lstmapps_speech.effects import (
    amplified,
    clicks,
    companded,
    hum,
    in_room,
    mixed,
    noise,
    paced,
    surrounded,
    telephoned,
)

RATE = 16_000


def tone(frequency=440.0, seconds=1.0, height=0.5):
    return height * torch.sin(2 * math.pi * frequency * torch.arange(round(seconds * RATE)) / RATE).unsqueeze(1)


def power(x):
    return float(x.square().mean())


def decibels(ratio):
    return 10 * math.log10(ratio)


@pytest.mark.parametrize("level", [-40.0, -10.0, 5.0])
def test_levels_are_in_decibels(level):
    assert decibels(power(amplified(tone(), level)) / power(tone())) == pytest.approx(level, abs=1e-3)


def test_what_is_too_loud_is_cut_off():
    assert float(amplified(tone(), 20.0).abs().max()) == 1.0


@pytest.mark.parametrize("other", [lambda n: noise(n), lambda n: noise(n, 2.0), lambda n: hum(n, RATE)])
def test_noises_lie_as_far_below_as_they_say(other):
    x = tone()
    assert decibels(power(x) / power(mixed(x, other(len(x)), 20.0) - x)) == pytest.approx(20.0, abs=1e-3)


@pytest.mark.parametrize(("slope", "fall"), [(0.0, 0.0), (1.0, 10.0), (2.0, 20.0)])
def test_coloured_noise_falls_by_its_slope_for_each_ten_times_of_frequency(slope, fall):
    torch.manual_seed(0)
    spectrum = torch.fft.rfft(noise(1 << 18, slope).squeeze(1)).abs().square()
    low, high = (float(spectrum[band : 2 * band].mean()) for band in (1_000, 10_000))
    assert decibels(low / high) == pytest.approx(fall, abs=0.5)


def test_clicks_come_as_often_as_they_say():
    torch.manual_seed(0)
    sound = clicks(10 * RATE, RATE, 3.0).squeeze(1).abs()
    begins = (sound[1:] > 0.9) & (sound[:-1] < 0.9)
    assert 25 <= int(begins.sum()) <= 30
    assert power(sound) < 0.001


def test_a_telephone_passes_its_band_alone():
    passed = {frequency: power(telephoned(tone(frequency), RATE)) / power(tone()) for frequency in (100, 1_000, 5_000)}
    assert passed[1_000] == pytest.approx(1.0, abs=0.1)
    assert passed[100] < 0.01
    assert passed[5_000] < 0.01


def test_companding_is_finer_the_more_bits_it_has():
    x = tone(height=0.1)
    errors = [power(companded(x, bits) - x) / power(x) for bits in (4, 6, 8)]
    assert errors[0] > 4 * errors[1] > 16 * errors[2]
    assert decibels(errors[2]) < -30  # what the G.711 standard promises


def test_an_echo_is_as_loud_and_as_long_as_what_it_follows():
    x = torch.cat([torch.zeros(100, 1), tone(), torch.zeros(RATE, 1)])
    wet = in_room(x, 0.3, 0.5, RATE)
    assert wet.shape == x.shape
    assert power(wet) == pytest.approx(power(x), rel=1e-3)
    assert power(wet[100 + RATE : 100 + RATE + RATE // 10]) > 0
    assert float(wet[:100].abs().max()) < 1e-6  # none comes before


def test_speed_changes_length_and_pitch():
    faster = paced(tone(), 125)
    assert len(faster) == pytest.approx(RATE / 1.25, abs=1)
    peak = int(torch.fft.rfft(faster.squeeze(1)).abs().argmax()) / len(faster) * RATE
    assert peak == pytest.approx(440 * 1.25, abs=2)


def test_what_is_put_around_leaves_the_voice_as_it_is():
    x, silence = tone(), torch.zeros(10, 1)
    assert torch.equal(surrounded(x, silence)[10:-10], x)


def test_every_disturbance_leaves_amplitudes_that_are_no_fault():
    for one in Speech(RATE).disturbances():
        assert float(one(tone(), "a").abs().max()) < 4, str(one)


def test_blanks_are_the_same_every_time_and_as_loud_as_they_say():
    first, second = (list(blank_minutes(1_000)) for _ in range(2))
    for one, other in zip(first, second, strict=True):
        assert torch.equal(one.source, other.source)
        if one.id.endswith("dBFS"):
            assert decibels(power(one.source)) == pytest.approx(float(one.id.split()[-2]), abs=0.2)


def test_blanks_to_train_on_differ_and_are_made_alike_every_time():
    first, second = (list(Blanks(40, 0.5, 1.0, 1_000).samples()) for _ in range(2))
    assert all(torch.equal(one.source, other.source) for one, other in zip(first, second, strict=True))
    assert len({one.source.numpy().tobytes() for one in first if one.source.any()}) > 25
    assert all(500 <= len(one.source) <= 1_000 and one.text == "" for one in first)
    with pytest.raises(ValueError, match="the shortest first"):
        Blanks(1, 5.0, 2.0)
