"""How loud frames are against the loudest that was heard lately, which is the same however loud a recording is."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

_WINDOW = 20  # frames over which energy is averaged, so that a click is not taken for a voice
_FALL = 0.06 * math.log(10) / 10  # nepers of energy a frame, by which the loudest is forgotten: 6 dB a second
_FLOOR = -60 * math.log(10) / 10  # of the energy in a band against the loudest: -60 dB
_QUIETEST = -80 * math.log(10) / 10  # of all bands, that the loudest has at least: -126 dB below full scale


class State(NamedTuple):
    """The energies of the last frames (batch, at most window - 1), and the logarithm of the loudest (batch, 1)."""

    energies: Tensor
    loudest: Tensor


def init_state(batch: int, like: Tensor) -> State:
    """Return the state before the first frame: nothing has been heard."""
    energies = like.new_zeros(batch, 0, dtype=torch.float64)
    return State(energies, energies.new_full((batch, 1), _QUIETEST))


def relative(y: Tensor, state: State) -> tuple[Tensor, State]:
    """Return logarithms of energies y (batch, frames, bands) against the loudest so far, from a floor up.

    e_t is the energy of all bands, averaged over the last frames; the loudest is
    l_t = max(log e_t, l_{t-1} - fall, quietest), and so l_t + fall * t is a cumulative maximum.
    """
    count = y.shape[1]
    if not count:
        return y, state
    energies = torch.cat([state.energies, y.double().exp().sum(dim=2)], dim=1)
    before = state.energies.shape[1]
    sums = functional.pad(energies, (_WINDOW - 1, 0)).unfold(1, _WINDOW, 1).sum(dim=2)[:, before:]
    heard = torch.arange(before + 1, before + count + 1, device=y.device).clamp(max=_WINDOW)
    fallen = _FALL * torch.arange(1, count + 1, device=y.device, dtype=torch.float64)
    latest = (sums / heard).log().clamp(min=_QUIETEST)
    loudest = torch.maximum((latest + fallen).cummax(dim=1).values, state.loudest) - fallen
    against = y - loudest.unsqueeze(2).to(y.dtype)
    return torch.logaddexp(against, against.new_tensor(_FLOOR)), State(energies[:, -(_WINDOW - 1) :], loudest[:, -1:])
