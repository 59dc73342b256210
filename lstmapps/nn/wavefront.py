"""Grids computed by anti-diagonals: all cells whose coordinates have one sum depend on those before them alone.

A grid of sizes (n_1, …, n_D) is computed in n_1 + … + n_D - D + 1 steps. The cell k = (k_1, …, k_{D-1}) of step s is
the one whose last coordinate is s - k_1 - … - k_{D-1}, if there is such a one: so its predecessor along the last axis
has the same k in the step before, and that along axis d has k_d - 1, and nothing need be gathered.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

import torch
from torch import Tensor


class Wavefront:
    """The order in which the cells of a grid of some sizes are computed."""

    def __init__(self, sizes: Sequence[int], device: torch.device) -> None:
        self.sizes, self.across = tuple(sizes), tuple(sizes[:-1])
        self.steps = sum(sizes) - len(sizes) + 1
        delay = torch.zeros((), dtype=torch.long, device=device)
        for size in self.across:
            delay = delay.unsqueeze(-1) + torch.arange(size, device=device)
        self._delay = delay.flatten()
        self._last = torch.arange(self.steps, device=device).unsqueeze(1) - self._delay

    def inside(self, lengths: Tensor) -> Tensor:
        """Return (steps, *across, batch), true for the cells within each grid's own sizes, `lengths` (batch, D)."""
        inside = ((self._last >= 0).unsqueeze(2) & (self._last.unsqueeze(2) < lengths[:, -1])).view(
            self.steps, *self.across, len(lengths)
        )
        for axis, size in enumerate(self.across):
            shape = [1] * (len(self.across) + 1) + [len(lengths)]
            shape[axis + 1] = size
            own = torch.arange(size, device=lengths.device).unsqueeze(1) < lengths[:, axis]
            inside = inside & own.view(shape)
        return inside

    def skewed(self, x: Tensor, axis: int) -> Tensor:
        """Turn x (…, *sizes, …), the sizes from an axis on, into (steps, …, *across, …), with anything outside."""
        flat = x.flatten(axis, axis + len(self.sizes) - 1)
        cells = torch.arange(prod(self.across), device=x.device) * self.sizes[-1]
        index = (self._last.clamp(0, self.sizes[-1] - 1) + cells).flatten()
        rows = flat.index_select(axis, index)
        shape = (*x.shape[:axis], self.steps, *self.across, *x.shape[axis + len(self.sizes) :])
        return rows.view(shape).movedim(axis, 0)

    def straight(self, y: Sequence[Tensor], axis: int) -> Tensor:
        """Turn what the steps gave, each (…, *across, …), back into (…, *sizes, …), the sizes from an axis on."""
        stacked = torch.stack(list(y), dim=axis).flatten(axis, axis + len(self.across))
        steps = self._delay.unsqueeze(1) + torch.arange(self.sizes[-1], device=stacked.device)
        width = len(self._delay)
        index = (steps * width + torch.arange(width, device=stacked.device).unsqueeze(1)).flatten()
        rows = stacked.index_select(axis, index)
        return rows.view(*rows.shape[:axis], *self.sizes, *rows.shape[axis + 1 :])


def handed_on(state: Tensor, axis: int, border: Tensor | None = None) -> Tensor:
    """Return what each cell gets along an axis: what the cell before it there had, and the first a border, or zeros."""
    first = torch.zeros_like(state.narrow(axis, 0, 1)) if border is None else border.unsqueeze(axis)
    return torch.cat([first, state.narrow(axis, 0, state.shape[axis] - 1)], dim=axis)
