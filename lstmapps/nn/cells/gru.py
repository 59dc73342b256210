"""Gated recurrent units."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import linear

from lstmapps.nn.cells.cell import Cell, Fused, State, Weights, plain_shapes


@dataclass(frozen=True)
class GRUCell(Cell):
    """A gated recurrent unit (Cho et al. 2014, eq. 5 to 8).

        r = sigma(W_r x + R_r h + b_r)                  reset gate
        z = sigma(W_z x + R_z h + b_z)                  update gate
        n = tanh(W_n x + b_n + R_n (r * h) + d_n)       new content
        h' = (1 - z) * n + z * h

    reset_after: reset after the product, n = tanh(W_n x + b_n + r * (R_n h + d_n)), as cuDNN and torch have it;
    without, before it, as in the paper.
    """

    reset_after: bool = True

    @property
    def fused(self) -> Fused | None:
        return "gru" if self.reset_after else None

    @property
    def gates(self) -> str:
        return "rzn"

    def blocks(self, hidden_size: int) -> list[int]:
        return [hidden_size] * 3

    def shapes(self, input_size: int, hidden_size: int) -> dict[str, tuple[int, ...]]:
        return plain_shapes(3 * hidden_size, input_size, hidden_size)

    @property
    def unitwise(self) -> bool:
        return self.reset_after

    @property
    def hears(self) -> int | None:
        return 0 if self.reset_after else None

    def share(self, state: State, weights: Weights) -> Tensor:
        _, weight_hh, _, bias_hh = weights
        rows = len(bias_hh) if self.reset_after else 2 * state[0].shape[-1]
        return linear(state[0], weight_hh[:rows], bias_hh[:rows])

    def advance(self, now: Tensor, share: Tensor, state: State, weights: Weights, keep: Tensor | None = None) -> State:
        (h,) = state
        if self.reset_after and keep is None:
            return (gru_recur(now, share, h),)
        r_x, z_x, n_x = now.chunk(3, dim=-1)
        r_h, z_h, *n_h = torch.split(share, h.shape[-1], dim=-1)
        r, z = (r_x + r_h).sigmoid(), (z_x + z_h).sigmoid()
        rows = 2 * h.shape[-1]
        n = (n_x + (r * n_h[0] if n_h else linear(r * h, weights[1][rows:], weights[3][rows:]))).tanh()
        return ((1 - z) * (n if keep is None else n * keep) + z * h,)

    def openness(self, now: Tensor, share: Tensor, state: State, weights: Weights) -> dict[str, Tensor]:
        rows = 2 * state[0].shape[-1]
        r, z = (now[..., :rows] + share[..., :rows]).sigmoid().chunk(2, dim=-1)
        return {"r": r, "z": z}


@dataclass(frozen=True)
class MGUCell(Cell):
    """A minimal gated unit (Zhou et al. 2016, "Minimal gated unit for recurrent neural networks", eq. 7).

    f = sigma(W_f x + R_f h + b_f)                  the one gate
    n = tanh(W_n x + b_n + R_n (f * h) + d_n)       new content
    h' = (1 - f) * h + f * n
    """

    @property
    def gates(self) -> str:
        return "zn"

    @property
    def hears(self) -> int | None:
        return None

    def blocks(self, hidden_size: int) -> list[int]:
        return [hidden_size] * 2

    def shapes(self, input_size: int, hidden_size: int) -> dict[str, tuple[int, ...]]:
        return plain_shapes(2 * hidden_size, input_size, hidden_size)

    def share(self, state: State, weights: Weights) -> Tensor:
        rows = state[0].shape[-1]
        return linear(state[0], weights[1][:rows], weights[3][:rows])

    def advance(self, now: Tensor, share: Tensor, state: State, weights: Weights, keep: Tensor | None = None) -> State:
        (h,) = state
        rows = h.shape[-1]
        f_x, n_x = now.chunk(2, dim=-1)
        f = (f_x + share).sigmoid()
        n = (n_x + linear(f * h, weights[1][rows:], weights[3][rows:])).tanh()
        return ((1 - f) * h + f * (n if keep is None else n * keep),)

    def openness(self, now: Tensor, share: Tensor, state: State, weights: Weights) -> dict[str, Tensor]:
        return {"z": (now.chunk(2, dim=-1)[0] + share).sigmoid()}


def gru_step(x: Tensor, h: Tensor, weights: Weights) -> Tensor:
    """Advance a GRU by one step (Cho et al. 2014; reset after the product, as cuDNN has it).

    r = sigma(W_r x + b_r + R_r h + d_r)      z = sigma(W_z x + b_z + R_z h + d_z)
    n = tanh(W_n x + b_n + r * (R_n h + d_n))
    h' = (1 - z) * n + z * h
    """
    weight_ih, weight_hh, bias_ih, bias_hh = weights
    return gru_recur(linear(x, weight_ih, bias_ih), linear(h, weight_hh, bias_hh), h)


def gru_recur(x: Tensor, share: Tensor, h: Tensor) -> Tensor:
    """Advance as `gru_step`, given the shares W x + b and R h + d of all gates, (batch, gates * hidden) each."""
    r_x, z_x, n_x = x.chunk(3, dim=-1)
    r_h, z_h, n_h = share.chunk(3, dim=-1)
    r, z = (r_x + r_h).sigmoid(), (z_x + z_h).sigmoid()
    n = (n_x + r * n_h).tanh()
    return (1 - z) * n + z * h
