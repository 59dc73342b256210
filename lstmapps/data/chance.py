"""Chance that follows from a seed: what varies, disturbs and makes inputs draws from torch's random numbers alone."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from threading import RLock

import torch

_DRAWING = RLock()  # threads share one generator


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Draw torch's random numbers on a CPU from a seed, one thread at a time, and leave those outside as they were."""
    with _DRAWING, torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        yield


def between(low: float, high: float) -> float:
    """Return a number drawn evenly from `low` to `high`."""
    return low + (high - low) * float(torch.rand(()))


def chance(probability: float) -> bool:
    """Tell whether something of this probability comes to pass."""
    return between(0.0, 1.0) < probability
