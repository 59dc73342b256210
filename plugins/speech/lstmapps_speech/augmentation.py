"""Variations of a recording, as other speakers, rooms and microphones would have made it."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from lstmapps_speech.signal import resample

_SPEEDS = (90, 95, 100, 105, 110)  # percent (Ko et al. 2015, "Audio augmentation for speech recognition")


@dataclass(frozen=True)
class Variation:
    """How often a recording is varied while training; each is a probability, 0 never.

    speed: played at 90 to 110 %. volume: 12 dB softer to 6 dB louder. noise: coloured noise, 10 to
    40 dB below the voice. reverberation: a room whose echo falls by 60 dB in 0.1 to 0.5 seconds.
    """

    speed: float = 0.8
    volume: float = 0.5
    noise: float = 0.3
    reverberation: float = 0.2


def vary_recording(x: Tensor, variation: Variation, rate: int) -> Tensor:
    """Return a varied copy of x (samples, 1) at `rate` samples a second."""
    sound = x.squeeze(1)
    if _chance(variation.speed):
        speed = _SPEEDS[int(torch.randint(len(_SPEEDS), ()))]
        if speed != 100:
            divisor = math.gcd(speed, 100)
            sound = resample(sound, speed // divisor, 100 // divisor)
    if _chance(variation.reverberation):
        sound = _reverberated(sound, rate)
    if _chance(variation.volume):
        sound = sound * 10 ** (_between(-12.0, 6.0) / 20)
    if _chance(variation.noise):
        sound = _noisy(sound)
    return (sound.clone() if sound.data_ptr() == x.data_ptr() else sound).unsqueeze(1)


def _reverberated(sound: Tensor, rate: int) -> Tensor:
    """Convolve with a direct path and an exponentially falling tail of noise, as loud as before."""
    decay = _between(0.1, 0.5)
    time = torch.arange(int(decay * rate)) / rate
    tail = torch.randn(len(time)) * torch.exp(-6.91 * time / decay)  # e^-6.91 is 60 dB of amplitude
    impulse = tail * (_between(0.05, 0.5) / tail.norm().clamp(min=1e-9))
    impulse[0] = 1.0
    size = 2 ** math.ceil(math.log2(len(sound) + len(impulse)))
    spectrum = torch.fft.rfft(sound, size) * torch.fft.rfft(impulse, size)
    wet = torch.fft.irfft(spectrum, size)[: len(sound)]
    return wet * (sound.norm() / wet.norm().clamp(min=1e-9))


def _noisy(sound: Tensor) -> Tensor:
    """Add noise whose power falls with frequency to the power 0 (white) to 2 (brown)."""
    spectrum = torch.fft.rfft(torch.randn(max(2, len(sound))))
    frequency = torch.arange(1, len(spectrum) + 1)
    noise = torch.fft.irfft(spectrum * frequency.pow(-_between(0.0, 2.0) / 2), max(2, len(sound)))[: len(sound)]
    level = sound.norm() * 10 ** (-_between(10.0, 40.0) / 20)
    return sound + noise * (level / noise.norm().clamp(min=1e-9))


def _between(low: float, high: float) -> float:
    return low + (high - low) * float(torch.rand(()))


def _chance(probability: float) -> bool:
    return _between(0.0, 1.0) < probability
