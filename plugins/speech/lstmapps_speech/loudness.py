"""How loud frames are against the loudest that was heard lately, which is the same however loud a recording is."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

_WINDOW = 20  # frames over which energy is averaged, so that a click is not taken for a voice
_FALL = 0.06  # dB a frame of 10 ms, by which the loudest is forgotten
_FLOOR = -60.0  # dB, of the energy in a band against the loudest


class State(NamedTuple):
    """The energies of the last frames (batch, window - 1), and the logarithm of the loudest (batch, 1)."""

    energies: Tensor
    loudest: Tensor


def init_state(batch: int, like: Tensor) -> State:
    """Return the state before the first frame: nothing has been heard."""
    energies = like.new_zeros(batch, _WINDOW - 1, dtype=torch.float64)
    return State(energies, energies.new_full((batch, 1), -math.inf))


def relative(y: Tensor, state: State) -> tuple[Tensor, State]:
    """Return logarithms of energies y (batch, frames, bands) against the loudest so far, from a floor up.

    e_t is the energy of all bands, averaged over the last frames; the loudest is
    l_t = max(log e_t, l_{t-1} - fall), and so its logarithm plus `fall * t` is a cumulative maximum.
    """
    energies = torch.cat([state.energies, y.double().exp().sum(dim=2)], dim=1)
    mean = functional.avg_pool1d(energies.unsqueeze(1), _WINDOW, stride=1).squeeze(1)
    fallen = _FALL * math.log(10) / 10 * torch.arange(1, y.shape[1] + 1, device=y.device, dtype=torch.float64)
    loudest = torch.maximum((mean.log() + fallen).cummax(dim=1).values, state.loudest) - fallen
    against = y - loudest.unsqueeze(2).to(y.dtype)
    floor = against.new_tensor(_FLOOR * math.log(10) / 10)
    return torch.logaddexp(against, floor), State(
        energies[:, y.shape[1] :], loudest[:, -1:] if y.shape[1] else state.loudest
    )
