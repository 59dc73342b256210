"""Variations of a recording, as other speakers, rooms and microphones would have made it."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from lstmapps_speech.effects import in_room, mixed, noise, paced

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
    varied = x
    if _chance(variation.speed):
        varied = paced(varied, _SPEEDS[int(torch.randint(len(_SPEEDS), ()))])
    if _chance(variation.reverberation):
        varied = in_room(varied, _between(0.1, 0.5), _between(0.05, 0.5), rate)
    if _chance(variation.volume):
        varied = varied * 10 ** (_between(-12.0, 6.0) / 20)
    if _chance(variation.noise):
        varied = mixed(varied, noise(len(varied), _between(0.0, 2.0)), _between(10.0, 40.0))
    return varied.clone() if varied is x else varied


def _between(low: float, high: float) -> float:
    return low + (high - low) * float(torch.rand(()))


def _chance(probability: float) -> bool:
    return _between(0.0, 1.0) < probability
