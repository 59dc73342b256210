"""Stretches of time and bands of features that training blanks out."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Masks:
    """What is set to zero, the mean, between a frontend and its encoder (Park et al. 2019, "SpecAugment").

    bands, frames: how many masks of features and of time; band_width, frame_width: the greatest width of
    one; share: the greatest share of an input that one mask of time takes. Widths are drawn uniformly from 0 up.
    """

    bands: int = 2
    band_width: int = 20
    frames: int = 2
    frame_width: int = 40
    share: float = 0.15

    def __post_init__(self) -> None:
        if min(self.bands, self.band_width, self.frames, self.frame_width) < 0 or not 0.0 <= self.share <= 1.0:
            raise ValueError(f"masks have counts and widths from 0 up and a share of 0 to 1, unlike {self}")

    def __call__(self, y: Tensor, lengths: Tensor) -> Tensor:
        """Return a masked copy of y (batch, frames, features), each row masked on its own."""
        batch, time, features = y.shape
        for _ in range(self.bands):
            band = _stretches(y.new_full((batch,), features), self.band_width, features)
            y = y.masked_fill(band.unsqueeze(1), 0.0)
        widest = (lengths * self.share).clamp(max=self.frame_width)
        for _ in range(self.frames):
            y = y.masked_fill(_stretches(lengths.to(y.dtype), widest, time).unsqueeze(2), 0.0)
        return y


def _stretches(lengths: Tensor, widest: Tensor | int, size: int) -> Tensor:
    """Return (batch, size), true on one stretch of each row that is at most `widest` wide and within its length."""
    width = torch.rand_like(lengths) * widest
    start = torch.rand_like(lengths) * (lengths - width)
    places = torch.arange(size, device=lengths.device)
    return (places >= start.unsqueeze(1)) & (places < (start + width).unsqueeze(1))
