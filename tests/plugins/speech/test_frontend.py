"""Features against torchaudio's own, and what padding and normalisation must hold."""

import math
from dataclasses import fields

import pytest
import torch
import torchaudio
from lstmapps_speech.augmentation import Variation, vary_recording
from lstmapps_speech.frontend import SpeechFrontend
from lstmapps_speech.loudness import init_state, relative
from torch.nn.functional import pad

RATE = 16_000


@pytest.fixture
def sound():
    torch.manual_seed(0)
    return torch.randn(1, 8000, 1) * 0.1


def features(kind, sound, **settings):
    frontend = SpeechFrontend(kind, normalisation="none", **settings).eval()
    return frontend(sound, torch.tensor([sound.shape[1]]))[0][0]


def test_log_mel_is_torchaudios(sound):
    settings = {"n_fft": 512, "win_length": 400, "hop_length": 160, "f_min": 20.0, "n_mels": 80, "center": False}
    transform = torchaudio.transforms.MelSpectrogram(RATE, wkwargs={"periodic": False}, **settings)
    # torchaudio centres the window in 512 samples, so 56 more on each side
    expected = transform(pad(sound[0, :, 0], (176, 176)))
    torch.testing.assert_close(features("log_mel", sound), (expected + 1e-6).log().T, atol=1e-4, rtol=1e-4)


def test_mfcc_is_the_cosine_transform_of_it(sound):
    dct = torchaudio.functional.create_dct(13, 80, "ortho")
    torch.testing.assert_close(features("mfcc", sound), features("log_mel", sound) @ dct, atol=1e-4, rtol=1e-4)


def test_filter_bank_is_kaldis(sound):
    settings = {"num_mel_bins": 40, "dither": 0.0, "sample_frequency": RATE, "high_freq": RATE / 2}
    second = sound[0, 160 - 120 :].T * 32768  # from the first sample that our second frame sees
    expected = torchaudio.compliance.kaldi.fbank(second, **settings)
    ours = features("filter_bank", sound * 32768, bands=40)
    torch.testing.assert_close(ours[1:49], expected[:48], atol=2e-2, rtol=1e-3)


@pytest.mark.parametrize("normalisation", ["utterance", "global", "running", "relative", "none"])
def test_padding_changes_nothing(normalisation):
    torch.manual_seed(0)
    frontend = SpeechFrontend(normalisation=normalisation)
    x, lengths = torch.randn(3, 5000, 1), torch.tensor([5000, 3210, 1])
    frontend(x, lengths)
    frontend.eval()
    y, counts = frontend(x, lengths)
    assert counts.tolist() == [32, 21, 1]
    for row, (length, count) in enumerate(zip(lengths.tolist(), counts.tolist(), strict=True)):
        alone, _ = frontend(x[row : row + 1, :length], lengths[row : row + 1])
        torch.testing.assert_close(y[row, :count], alone[0], atol=1e-4, rtol=1e-4)
        assert not y[row, count:].any()


def test_normalisations_do_what_they_say():
    torch.manual_seed(0)
    x = torch.randn(4, 16_000, 1) * 0.1
    lengths = torch.full((4,), 16_000)
    for normalisation, over in (("utterance", 1), ("global", (0, 1))):
        frontend = SpeechFrontend(normalisation=normalisation)
        frontend(x, lengths)
        y, _ = frontend.eval()(x, lengths)
        assert float(y.mean(dim=over).abs().max()) < 1e-3
        assert float((y.std(dim=over) - 1).abs().max()) < 0.1
    running = SpeechFrontend(normalisation="running")
    running(x, lengths)
    louder, _ = running.eval()(x * 8, lengths)
    assert float(louder[:, 0].mean()) > 2 * float(louder[:, -1].mean()) > 0  # gets used to a louder voice


@pytest.mark.parametrize("kind", ["log_mel", "mfcc", "filter_bank"])
def test_relative_features_know_neither_level_nor_offset(kind, sound):
    frontend = SpeechFrontend(kind, normalisation="relative")
    lengths = torch.tensor([sound.shape[1]])
    frontend(sound, lengths)
    expected, _ = frontend.eval()(sound, lengths)
    for level in (1e-2, 10):
        torch.testing.assert_close(frontend(sound * level, lengths)[0], expected, atol=2e-3, rtol=1e-3)
    torch.testing.assert_close(frontend(sound + 0.2, lengths)[0], expected, atol=2e-3, rtol=1e-3)
    soft = sound.cumsum(dim=1) * 1e-2  # softer the higher: there a step would be loudest
    torch.testing.assert_close(frontend(soft + 0.2, lengths)[0], frontend(soft, lengths)[0], atol=0.05, rtol=1e-2)


def test_relative_cepstra_are_computed_in_full_precision(sound):
    frontend = SpeechFrontend("mfcc", normalisation="relative").eval()
    lengths = torch.tensor([sound.shape[1]])
    with torch.autocast("cpu", torch.bfloat16):
        half, _ = frontend(sound, lengths)
    torch.testing.assert_close(half, frontend(sound, lengths)[0], atol=1e-4, rtol=1e-4)


def test_the_loudest_is_forgotten_little_by_little_and_silence_stays_at_the_floor():
    y = torch.full((1, 1000, 4), math.log(1e-14))
    decibels = 10 / math.log(10) * relative(y, init_state(1, y))[0]
    assert float(decibels.max()) < -56  # nothing has been heard
    y[:, 100:200] = 0.0
    against, _ = relative(y, init_state(1, y))
    decibels = 10 / math.log(10) * against[0, :, 0]
    assert float(decibels[199]) == pytest.approx(-6.0, abs=0.1)  # one of four equal bands
    assert float(decibels[250:900].max()) < -55  # the floor, 60 dB below the loudest
    y[:, 200:] = y[:, 150:151] - 3.0 * math.log(10)  # 30 dB softer
    against, _ = relative(y, init_state(1, y))
    decibels = 10 / math.log(10) * against[0, :, 0]
    assert float(decibels[400] - decibels[300]) == pytest.approx(6.0, abs=0.1)  # 6 dB a second
    assert float(decibels[-1]) == pytest.approx(-6.0, abs=0.1)  # what lasts becomes the loudest


KINDS = [field.name for field in fields(Variation)]


@pytest.mark.parametrize("kind", KINDS)
def test_each_variation_changes_a_recording_and_keeps_it_sound(kind):
    settings = dict.fromkeys(KINDS, 0.0) | {kind: 1.0}
    torch.manual_seed(1)
    x = torch.randn(8000, 1) * 0.1
    varied = [vary_recording(x, Variation(**settings), RATE) for _ in range(6)]
    assert all(v.isfinite().all() for v in varied)
    lengths = {len(v) for v in varied}
    if kind == "surroundings":
        assert max(lengths) > 16_000
    elif kind == "pause":
        assert 8000 < max(lengths) <= 8000 + RATE
    else:
        assert all(8000 / 1.16 < length < 8000 / 0.84 for length in lengths)
    if kind == "speed":
        assert len(lengths) > 1
    else:
        assert all(not torch.equal(v, x) for v in varied)
    if kind == "noise":
        ratio = [float((v - x).norm() / x.norm()) for v in varied]
        assert all(0.009 < r < 0.57 for r in ratio)  # 40 to 5 dB below the voice


def test_a_pause_comes_where_the_voice_is_softest():
    torch.manual_seed(0)
    x = torch.randn(RATE, 1)
    x[9_000:11_000] = 0.0
    settings = dict.fromkeys(KINDS, 0.0) | {"pause": 1.0}
    varied = vary_recording(x, Variation(**settings), RATE)
    assert torch.equal(varied[:9_000], x[:9_000])
    assert torch.equal(varied[-5_000:], x[-5_000:])


def test_two_processes_would_learn_the_statistics_of_one():
    torch.manual_seed(0)
    x = torch.randn(4, 16_000, 1)
    together, apart = SpeechFrontend(normalisation="global"), SpeechFrontend(normalisation="global")
    together(x, torch.full((4,), 16_000))
    apart(x[:1], torch.full((1,), 16_000))
    apart(x[1:], torch.full((3,), 16_000))
    torch.testing.assert_close(together.mean, apart.mean)
    torch.testing.assert_close(together.variance, apart.variance, rtol=1e-4, atol=1e-4)
