"""What happens to inputs out there: noise on a recording, a page that lies askew, a misspelt word."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from lstmapps.data.chance import seeded
from lstmapps.data.samples import stable_hash


@dataclass(frozen=True)
class Disturbance:
    """One thing that happens to inputs, as strongly as it says.

    name: in plain words, such as "white noise". strength, unit: such as 20, "dB"; no unit where it is a number, and
        1 where there is only all of it.
    apply(x, strength): returns a disturbed copy of a loaded input, drawing from torch's random numbers alone.
    """

    name: str
    strength: float
    unit: str
    apply: Callable[[Any, float], Any]

    def __str__(self) -> str:
        whole = (self.strength, self.unit) == (1, "")
        return self.name if whole else f"{self.name} {self.strength:g} {self.unit}".rstrip()

    def __call__(self, x: Any, seed: str) -> Any:
        """Return a disturbed copy of a loaded input; what is drawn follows from the seed."""
        with seeded(stable_hash(f"{self} {seed}")):
            return self.apply(x, self.strength)


def tried(name: str, unit: str, apply: Callable[[Any, float], Any], *strengths: float) -> list[Disturbance]:
    """Return one disturbance in several strengths, in the order in which they are told."""
    return [Disturbance(name, strength, unit, apply) for strength in strengths]
