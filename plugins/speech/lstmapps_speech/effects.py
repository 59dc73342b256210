"""What rooms, microphones, telephones and neighbours do to a sound: x (samples, 1), amplitudes within [-1, 1]."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional

from lstmapps_speech.signal import resample

_BAND = (300.0, 3_400.0)  # hertz, that a telephone line passes (ITU-T G.712)
_COMPANDING = 255.0  # of the mu-law (ITU-T G.711)
_HARMONICS = (1.0, 0.5, 0.3, 0.2)  # of a hum, from the fundamental up


def amplified(x: Tensor, decibels: float) -> Tensor:
    """Return a louder or, below 0, a softer sound; what goes beyond full scale is cut off."""
    return (x * 10 ** (decibels / 20)).clamp(-1.0, 1.0)


def offset(x: Tensor, share: float) -> Tensor:
    """Add a constant, in shares of full scale."""
    return (x + share).clamp(-1.0, 1.0)


def noise(count: int, slope: float = 0.0) -> Tensor:
    """Return noise (count, 1) of power 1 that falls with frequency to the power `slope`: 0 white, 1 pink, 2 brown."""
    size = max(2, count + count % 2)
    spectrum = torch.fft.rfft(torch.randn(size))
    spectrum = spectrum * torch.arange(1, len(spectrum) + 1).pow(-slope / 2)
    return _of_power_one(torch.fft.irfft(spectrum, size)[:count].unsqueeze(1))


def hum(count: int, rate: int, frequency: float = 50.0) -> Tensor:
    """Return the hum (count, 1) of the mains, of power 1, at `rate` samples a second."""
    time = torch.arange(count, dtype=torch.float64) / rate
    phases = 2 * math.pi * torch.rand(len(_HARMONICS))
    tones = [
        height * torch.sin(2 * math.pi * frequency * number * time + phase)
        for number, (height, phase) in enumerate(zip(_HARMONICS, phases, strict=True), start=1)
    ]
    return _of_power_one(sum(tones[1:], tones[0]).float().unsqueeze(1))


def clicks(count: int, rate: int, frequency: float) -> Tensor:
    """Return a sound (count, 1) that is silent but for `frequency` clicks a second of a millisecond, of height 1."""
    number = max(1, round(count / rate * frequency))
    sound = torch.zeros(count)
    sound[torch.randint(count, (number,))] = torch.randn(number).sign()
    length = max(1, rate // 1_000)
    shape = torch.exp(-5.0 * torch.arange(length) / length)
    return functional.conv1d(functional.pad(sound[None, None], (length - 1, 0)), shape.flip(0)[None, None])[0].T


def mixed(x: Tensor, other: Tensor, decibels: float) -> Tensor:
    """Add another sound, so much softer than x, by their mean powers."""
    level = x.square().mean().sqrt() / other.square().mean().sqrt().clamp(min=1e-9)
    return x + other * (level * 10 ** (-decibels / 20))


def surrounded(x: Tensor, before: Tensor, after: Tensor | None = None) -> Tensor:
    """Put a sound before and after x, the same if only one is given."""
    return torch.cat([before, x, before if after is None else after])


def in_room(x: Tensor, decay: float, tail: float, rate: int) -> Tensor:
    """Convolve with a direct path and an exponentially falling tail of noise, as loud as before.

    decay: seconds in which the echo falls by 60 dB. tail: its norm, that of the direct path being 1.
    """
    sound = x.squeeze(1)
    time = torch.arange(int(decay * rate)) / rate
    impulse = torch.randn(len(time)) * torch.exp(-6.91 * time / decay)  # e^-6.91 is 60 dB of amplitude
    impulse = impulse * (tail / impulse.norm().clamp(min=1e-9))
    impulse[0] = 1.0
    size = 2 ** math.ceil(math.log2(len(sound) + len(impulse)))
    spectrum = torch.fft.rfft(sound, size) * torch.fft.rfft(impulse, size)
    wet = torch.fft.irfft(spectrum, size)[: len(sound)]
    return (wet * (sound.norm() / wet.norm().clamp(min=1e-9))).unsqueeze(1)


def telephoned(x: Tensor, rate: int, lowered: int = 8_000) -> Tensor:
    """Return what a telephone of the digital network passes on: its band, `lowered` samples a second, of eight bits."""
    narrow = resample(_band(x.squeeze(1), rate), rate, lowered)
    coded = companded(narrow.unsqueeze(1), 8).squeeze(1)
    return resample(coded, lowered, rate)[: len(x)].unsqueeze(1)


def companded(x: Tensor, bits: float) -> Tensor:
    """Code each sample in so many bits, by the mu-law."""
    steps = 2 ** (bits - 1) - 1
    small = x.clamp(-1.0, 1.0)
    coded = small.sign() * (torch.log1p(_COMPANDING * small.abs()) / math.log1p(_COMPANDING) * steps).round() / steps
    return coded.sign() * torch.expm1(coded.abs() * math.log1p(_COMPANDING)) / _COMPANDING


def paced(x: Tensor, percent: float) -> Tensor:
    """Play a sound at so many percent of its speed, and so of its pitch."""
    speed = round(percent)
    divisor = math.gcd(speed, 100)
    return x if speed == 100 else resample(x.squeeze(1), speed // divisor, 100 // divisor).unsqueeze(1)


def _band(sound: Tensor, rate: int) -> Tensor:
    low, high = _BAND
    spectrum = torch.fft.rfft(sound)
    frequency = torch.arange(len(spectrum)) * (rate / max(1, len(sound)))
    return torch.fft.irfft(spectrum * ((frequency >= low) & (frequency <= high)), len(sound))


def _of_power_one(x: Tensor) -> Tensor:
    return x / x.square().mean().sqrt().clamp(min=1e-9)
