"""Variations of a recording, as other speakers, rooms and microphones would have made it."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from lstmapps.data import between, chance
from lstmapps_speech.effects import (
    amplified,
    clicks,
    companded,
    hum,
    in_room,
    noise,
    paced,
    surrounded,
    telephoned,
)

_SPEEDS = (90, 95, 100, 105, 110)  # percent (Ko et al. 2015, "Audio augmentation for speech recognition")
_LONGEST = 4.0  # seconds in which nobody speaks


@dataclass(frozen=True)
class Variation:
    """How often a recording is varied while training; each is a probability, 0 never.

    speed: played at 90 to 110 %. volume: 12 dB softer to 6 dB louder. noise: coloured noise, 5 to
    40 dB below the voice, more often nearly white than not. reverberation: a room whose echo falls by 60 dB in 0.1 to
    0.7 seconds.
    hum: of the mains, 0 to 30 dB below the voice. clicks: one to ten a second. pause: up to a second of quiet noise, or
    of silence, where the voice is softest. surroundings: the same, of up to four seconds, before and after it all.
    clipping: 0 to 20 dB too loud. telephone: its band, 8,000 samples a second. coding: each sample in 5 to 8 bits.
    """

    speed: float = 0.8
    volume: float = 0.5
    noise: float = 0.3
    reverberation: float = 0.2
    hum: float = 0.0
    clicks: float = 0.0
    pause: float = 0.0
    surroundings: float = 0.0
    clipping: float = 0.0
    telephone: float = 0.0
    coding: float = 0.0


def vary_recording(x: Tensor, variation: Variation, rate: int) -> Tensor:
    """Return a varied copy of x (samples, 1) at `rate` samples a second, in the order in which sound travels."""
    varied = x
    if chance(variation.speed):
        varied = paced(varied, _SPEEDS[int(torch.randint(len(_SPEEDS), ()))])
    level = float(varied.square().mean().sqrt())
    if chance(variation.pause):
        place = _softest(varied, rate)
        varied = torch.cat([varied[:place], _quiet(1.0, level, rate), varied[place:]])
    if chance(variation.surroundings):
        varied = surrounded(varied, _quiet(_LONGEST, level, rate), _quiet(_LONGEST, level, rate))
    if chance(variation.reverberation):
        varied = in_room(varied, between(0.1, 0.7), between(0.05, 0.5), rate)
    if chance(variation.volume):
        gain = 10 ** (between(-12.0, 6.0) / 20)
        varied, level = varied * gain, level * gain
    if chance(variation.noise):
        softer = 10 ** (-between(5.0, 40.0) / 20)
        varied = varied + level * softer * noise(len(varied), 2.0 * between(0.0, 1.0) ** 2)
    if chance(variation.hum):
        softer = 10 ** (-between(0.0, 30.0) / 20)
        varied = varied + level * softer * hum(len(varied), rate, 50.0 if chance(0.5) else 60.0)
    if chance(variation.clicks):
        varied = varied + level * between(0.5, 10.0) * clicks(len(varied), rate, between(1.0, 10.0))
    if chance(variation.clipping):
        peak = float(varied.abs().max())
        varied = amplified(varied / max(peak, 1e-9), between(0.0, 20.0)) * peak
    if chance(variation.telephone):
        varied = telephoned(varied, rate)
    if chance(variation.coding):
        varied = companded(varied, between(5.0, 8.0))
    return varied.clone() if varied is x else varied


def _quiet(longest: float, level: float, rate: int) -> Tensor:
    """Return up to `longest` seconds of what is heard where nobody speaks, against the level of the voice."""
    count = round(between(0.0, longest) * rate)
    if count == 0 or chance(0.4):
        return torch.zeros(count, 1)
    return noise(count, between(0.0, 2.0)) * (level * 10 ** (-between(10.0, 60.0) / 20))


def _softest(x: Tensor, rate: int) -> int:
    """Return where the voice is softest, over 50 ms, but for the first and last quarter of a second."""
    window, edge = rate // 20, rate // 4
    if len(x) < 2 * edge + window:
        return 0
    powers = functional.avg_pool1d(x[edge : len(x) - edge].T.square(), window, stride=window // 2)
    return edge + int(powers.argmin()) * (window // 2) + window // 2
