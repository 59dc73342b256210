"""Recordings in which nothing is said: silence, noises, hums, clicks and tones."""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch
from torch import Tensor

from lstmapps.data import Sample, Source, between, seeded
from lstmapps_speech.effects import clicks, hum, noise

_MINUTE = 60.0
_LEVELS = (-50, -35, -20)  # dB below full scale
_COLOURS = {"white": 0.0, "pink": 1.0, "brown": 2.0}
_SOFTEST, _LOUDEST = -80.0, -10.0  # dB below full scale
_TONES = (80.0, 2_000.0)  # hertz
_KINDS = 8


class Blanks(Source):
    """Recordings of `shortest` to `longest` seconds without words, each made by chance: one or two of silence, noise
    of any colour that swells or not, the hum of the mains, clicks, a chord, a melody; at -80 to -10 dB of full scale.
    """

    def __init__(
        self,
        count: int,
        shortest: float = 1.0,
        longest: float = 8.0,
        sample_rate: int = 16_000,
        seed: int = 0,
    ) -> None:
        if not 0.1 <= shortest <= longest <= _MINUTE:
            raise ValueError(f"recordings of {shortest} to {longest} seconds: give 0.1 to 60, the shortest first")
        self.count, self.shortest, self.longest = count, shortest, longest
        self.sample_rate, self.seed = sample_rate, seed

    def samples(self) -> Iterator[Sample]:
        for number in range(self.count):
            with seeded(self.seed * 1_000_003 + number):
                length = round(between(self.shortest, self.longest) * self.sample_rate)
                sound = sum((_wordless(length, self.sample_rate) for _ in range(_any(2))), torch.zeros(length, 1))
            yield Sample(f"nothing said {number}", sound.clamp(-1.0, 1.0), "")


def blank_minutes(rate: int) -> Iterator[Sample]:
    """Yield a minute of each thing that a recogniser should not take for words."""
    count = round(_MINUTE * rate)
    time = torch.arange(count).unsqueeze(1) / rate
    with seeded(0):
        sounds = {"silence": torch.zeros(count, 1), "a tone": 0.1 * torch.sin(2 * torch.pi * 440.0 * time)}
        for colour, slope in _COLOURS.items():
            for level in _LEVELS:
                sounds[f"{colour} noise at {level} dBFS"] = noise(count, slope) * 10 ** (level / 20)
        sounds["hum"] = 0.1 * hum(count, rate)
        sounds["clicks"] = 0.3 * clicks(count, rate, 2.0)
    for name, sound in sounds.items():
        yield Sample(name, sound.clamp(-1.0, 1.0))


def _wordless(count: int, rate: int) -> Tensor:
    """Return one thing (count, 1) that is no voice."""
    kind = _any(_KINDS)
    level = 10 ** (between(_SOFTEST, _LOUDEST) / 20)
    if kind == 1:
        return torch.zeros(count, 1)
    if kind <= 4:
        return level * noise(count, between(0.0, 2.0)) * _swell(count)
    if kind == 5:
        return level * hum(count, rate, 50.0 if _any(2) == 1 else 60.0)
    if kind == 6:
        return level * 5.0 * clicks(count, rate, between(0.2, 8.0))
    return level * _music(count, rate, notes=1 if kind == 7 else max(1, round(count / rate / between(0.1, 1.0))))


def _swell(count: int) -> Tensor:
    """Return how loud a noise is (count, 1), which is constant in half of the cases."""
    if _any(2) == 1:
        return torch.ones(count, 1)
    turns = torch.rand(1, 1, 2 + _any(6))
    return torch.nn.functional.interpolate(turns, size=count, mode="linear", align_corners=True)[0].T


def _music(count: int, rate: int, notes: int) -> Tensor:
    """Return chords (count, 1) of one to four tones with overtones, one after another, each fading away."""
    sound = torch.zeros(count, 1)
    length = -(-count // notes)
    for start in range(0, count, length):
        time = torch.arange(min(length, count - start)).unsqueeze(1) / rate
        low, high = map(math.log, _TONES)
        for _ in range(_any(4)):
            frequency = math.exp(between(low, high))
            for overtone in range(1, 1 + _any(4)):
                tone = torch.sin(2 * torch.pi * frequency * overtone * time) / overtone
                sound[start : start + length] += tone * torch.exp(-time * between(0.0, 5.0))
    return sound


def _any(count: int) -> int:
    """Return one of 1 to `count`."""
    return 1 + int(torch.randint(count, ()))
