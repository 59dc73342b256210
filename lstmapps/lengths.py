"""How long the sequences of a padded batch are."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

Lengths = Tensor | Sequence[int]
"""How many steps of each row are real: (batch,), whole numbers."""


def whole_lengths(lengths: Lengths, batch: int, time: int, device: torch.device) -> Tensor:
    """Return lengths as int64 (batch,) on a device; raises ValueError unless they are whole, from 0 to `time`."""
    whole = whole_numbers(lengths, (batch,), device)
    if not torch.compiler.is_exporting() and bool(((whole > time) | (whole < 0)).any()):
        raise ValueError(f"lengths must lie between 0 and {time}, the time of x")
    return whole


def whole_numbers(lengths: Tensor | Sequence[Any], shape: tuple[int, ...], device: torch.device) -> Tensor:
    """Return lengths as int64 of a shape on a device; raises ValueError unless they are whole numbers of it.

    A last dimension of 1 may be missing.
    """
    try:
        given = torch.as_tensor(lengths, dtype=None if isinstance(lengths, Tensor) or len(lengths) else torch.int64)
    except (TypeError, ValueError, RuntimeError):
        raise ValueError(f"lengths must be {shape} whole numbers, not {lengths!r}") from None
    if given.dtype == torch.bool or given.is_floating_point() or given.is_complex():
        raise ValueError(f"lengths must be whole numbers, not {given.dtype}; a mask's lengths are its sums")
    nothing = given.numel() == math.prod(shape) == 0
    if given.shape != shape and (*given.shape, 1) != shape and not nothing:
        raise ValueError(f"lengths must be {shape}, not {tuple(given.shape)}")
    return given.to(device, torch.int64).view(shape)


def padding_mask(lengths: Tensor, time: int) -> Tensor:
    """Return (batch, time), true where a step lies beyond its sequence's length."""
    return torch.arange(time, device=lengths.device).unsqueeze(0) >= lengths.unsqueeze(1)


def refuse_nan(name: str, values: Tensor, lengths: Tensor) -> None:
    """Raise ValueError that names the rows of values (batch, time, features) with NaN inside their lengths."""
    inside = ~padding_mask(lengths.to(values.device), values.shape[1])
    rows = (values.isnan().any(dim=2) & inside).any(dim=1).nonzero().flatten().tolist()
    if rows:
        raise ValueError(f"{name} are not numbers (NaN) in rows {rows}")
