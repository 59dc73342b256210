"""What happens to recordings out there."""

from __future__ import annotations

import torch
from torch import Tensor

from lstmapps.data import Disturbance, tried
from lstmapps_speech.effects import (
    amplified,
    clicks,
    companded,
    hum,
    in_room,
    mixed,
    noise,
    offset,
    paced,
    surrounded,
    telephoned,
)

_QUIET = -60.0  # dB below full scale, of the noise of a good room


def disturbances_of(rate: int) -> list[Disturbance]:
    """Return what happens to recordings of `rate` samples a second.

    Noises are given by how far they lie below the voice, in dB of mean power.
    """

    def around(level: float | None, seconds: float) -> Tensor:
        count = round(seconds * rate)
        return torch.zeros(count, 1) if level is None else noise(count) * 10 ** (level / 20)

    return [
        *tried("softer", "dB", lambda x, strength: amplified(x, -strength), 10, 20, 30, 40),
        *tried("too loud", "dB", amplified, 10, 20),
        *tried("white noise", "dB", lambda x, strength: mixed(x, noise(len(x)), strength), 30, 20, 10),
        *tried("pink noise", "dB", lambda x, strength: mixed(x, noise(len(x), 1.0), strength), 20, 10),
        *tried("brown noise", "dB", lambda x, strength: mixed(x, noise(len(x), 2.0), strength), 20, 10),
        *tried("hum", "dB", lambda x, strength: mixed(x, hum(len(x), rate), strength), 20, 10),
        *tried("clicks", "a second", lambda x, strength: x + 0.3 * clicks(len(x), rate, strength), 1, 5),
        *tried("silence around", "s", lambda x, strength: surrounded(x, around(None, strength)), 1, 5),
        *tried(
            "quiet noise around",
            "s",
            lambda x, strength: surrounded(x, around(_QUIET, strength), around(_QUIET, strength)),
            1,
            5,
        ),
        *tried("offset", "", offset, 0.05, 0.2),
        *tried("echo", "s", lambda x, strength: in_room(x, strength, 0.5, rate), 0.3, 0.6),
        *tried("telephone", "kHz", lambda x, strength: telephoned(x, rate, round(1_000 * strength)), 8),
        *tried("coded", "bits", companded, 8, 6),
        *tried("speed", "%", paced, 80, 90, 110, 120),
    ]
