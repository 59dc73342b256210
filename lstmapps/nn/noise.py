"""What is drawn by chance within a recurrence while it is trained, so that it remembers by more than one way."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from lstmapps.nn.cells import State, Weights


@dataclass(frozen=True)
class RecurrentNoise:
    """Shares, 0 to 1, of what a recurrence loses while training.

    zoneout: units whose state stays what it was, of h, or of h and of an LSTM's c; in use, states are the mean of both
        outcomes (Krueger et al. 2017, eq. 2 to 5).
    recurrent: new content that does not enter the state, drawn at each step (Semeniuta et al. 2016, eq. 14).
    state: units that recurrent weights do not read, the same at all steps (Gal & Ghahramani 2016, eq. 7).
    weight: recurrent weights that are left out, the same at all steps (DropConnect; Merity et al. 2018, section 2).
    """

    zoneout: float | tuple[float, float] = 0.0
    recurrent: float = 0.0
    state: float = 0.0
    weight: float = 0.0

    def __post_init__(self) -> None:
        if len(self.zoned) != 2:
            raise ValueError(f"zoneout is a share, or two, of h and of c, not {self.zoneout}")
        shares = [("zoneout", share) for share in self.zoned]
        for name, share in (*shares, *((f"{name} dropout", getattr(self, name)) for name in _DROPPED)):
            if not 0.0 <= share < 1.0:
                raise ValueError(f"{name} must lie in [0, 1), not {share}")

    @property
    def zoned(self) -> tuple[float, ...]:
        """The share of each part of a state, of h first, that stays what it was."""
        return (self.zoneout, self.zoneout) if isinstance(self.zoneout, float | int) else tuple(self.zoneout)

    def __bool__(self) -> bool:
        return any((*self.zoned, self.recurrent, self.state, self.weight))


_DROPPED = ("recurrent", "state", "weight")


class Drawn:
    """What one run over a batch has drawn of a noise; in use it draws nothing, and zoneout is a mean."""

    def __init__(self, noise: RecurrentNoise, training: bool, hidden_size: int, heard: Tensor) -> None:
        """heard: the part of the state that recurrent weights read."""
        self.noise, self.training, self.hidden_size = noise, training, hidden_size
        self._heard = self._mask(noise.state, heard) if training and noise.state else None

    def weights(self, weights: Weights) -> Weights:
        """Return the weights of this run."""
        if not (self.training and self.noise.weight):
            return weights
        weight_ih, weight_hh, *others = weights
        return (weight_ih, functional.dropout(weight_hh, self.noise.weight), *others)

    def heard(self, state: State, part: int) -> State:
        """Return the state as recurrent weights read it, one part of it, of the first rows of the batch."""
        if self._heard is None:
            return state
        kept = self._heard[: len(state[part])].to(state[part].dtype)
        return (*state[:part], state[part] * kept, *state[part + 1 :])

    def entering(self, now: Tensor) -> Tensor | None:
        """Return what new content (rows, hidden) is multiplied by, if by anything, of what the inputs (rows, …) add."""
        if not (self.training and self.noise.recurrent):
            return None
        return self._mask(self.noise.recurrent, now.new_empty(len(now), self.hidden_size))

    def after(self, new: State, old: State) -> State:
        """Return the state that a step leaves, of what it would be and what it was."""
        if not any(self.noise.zoned):
            return new
        shares = (*self.noise.zoned, *(0.0 for _ in new[2:]))
        return tuple(self._zoned(a, b, share) for a, b, share in zip(new, old, shares, strict=False))

    def _zoned(self, new: Tensor, old: Tensor, share: float) -> Tensor:
        if not self.training:
            return share * old + (1 - share) * new
        stays = torch.rand_like(new) < share
        return torch.where(stays, old, new)

    def _mask(self, share: float, like: Tensor) -> Tensor:
        return torch.empty_like(like).bernoulli_(1 - share) / (1 - share)
