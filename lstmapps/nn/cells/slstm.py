"""The scalar memory of xLSTM."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from lstmapps.nn.cells.cell import Cell, State, Weights, plain_shapes


@dataclass(frozen=True)
class SLSTMCell(Cell):
    """An LSTM with exponential gates, a normaliser and heads (Beck et al. 2024, "xLSTM", eq. 8 to 17).

        i~ = W_i x + R_i h + b_i                        f~ = W_f x + R_f h + b_f
        g = tanh(W_g x + R_g h + b_g)                   o = sigma(W_o x + R_o h + b_o)
        m' = max(log f + m, i~)                         the stabiliser, at first i~; f = sigma(f~), or exp(f~)
        i = exp(i~ - m')                                f = exp(log f + m - m')
        c' = f * c + i * g                              n' = f * n + i
        h' = o * c' / n'

    heads: the recurrent weights R connect units of one head only.
    forget: "sigmoid" or "exponential".

    The state is (h, c, n, m). Rows of gates lie in the order i, f, g, o.
    """

    heads: int = 1
    forget: Literal["sigmoid", "exponential"] = "sigmoid"

    def __post_init__(self) -> None:
        if self.heads < 1 or self.forget not in ("sigmoid", "exponential"):
            raise ValueError("an sLSTM has at least one head, and a forget gate that is sigmoid or exponential")

    @property
    def gates(self) -> str:
        return "ifgo"

    def blocks(self, hidden_size: int) -> list[int]:
        if hidden_size % self.heads:
            raise ValueError(f"{hidden_size} units are no {self.heads} heads of one size; give a multiple of it")
        return [hidden_size] * 4

    def shapes(self, input_size: int, hidden_size: int) -> dict[str, tuple[int, ...]]:
        return plain_shapes(sum(self.blocks(hidden_size)), input_size, hidden_size // self.heads)

    def state_sizes(self, hidden_size: int) -> tuple[int, ...]:
        return (hidden_size,) * 4

    @property
    def multiple(self) -> int:
        return self.heads

    @property
    def zones(self) -> bool:
        """No: c means nothing without the n and m that go with it."""
        return False

    @property
    def unitwise(self) -> bool:
        return True

    def share(self, state: State, weights: Weights) -> Tensor:
        _, weight_hh, _, bias_hh = weights
        h, recurrent = state[0], weight_hh.view(4, self.heads, -1, weight_hh.shape[1])
        heads = h.view(*h.shape[:-1], self.heads, weight_hh.shape[1])
        product = torch.einsum("...hx,ghyx->...ghy", heads, recurrent)
        return product.flatten(-3) + bias_hh

    def heard(self, state: State) -> Tensor:
        h = state[0]
        size = h.shape[-1] // self.heads
        heads = h.view(*h.shape[:-1], 1, self.heads, 1, size)
        return heads.expand(*h.shape[:-1], 4, self.heads, size, size).flatten(-4, -2)

    def own(self, weights: Weights) -> tuple[int, Tensor]:
        size = weights[1].shape[1]
        return 0, weights[1].view(-1, size, size).diagonal(dim1=-2, dim2=-1).flatten()

    def advance(self, now: Tensor, share: Tensor, state: State, weights: Weights, keep: Tensor | None = None) -> State:
        _, c, n, m = state
        *_, g, o = (now + share).chunk(4, dim=-1)
        i, f, largest = self._stabilised(now + share, n, m)
        c = f * c + i * (g.tanh() if keep is None else g.tanh() * keep)
        n = f * n + i
        return o.sigmoid() * c / n, c, n, largest

    def _stabilised(self, sums: Tensor, n: Tensor, m: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return i and f, one of which is 1, and the new m; where nothing is remembered yet, n = 0, i is."""
        i, f, *_ = sums.chunk(4, dim=-1)
        kept = m + (functional.logsigmoid(f) if self.forget == "sigmoid" else f)
        largest = torch.where(n > 0, torch.maximum(kept, i), i)
        return (i - largest).exp(), torch.where(n > 0, kept - largest, 0.0).exp(), largest

    def openness(self, now: Tensor, share: Tensor, state: State, weights: Weights) -> dict[str, Tensor]:
        """Return the output gates, and the others after the stabiliser."""
        *_, o = (now + share).chunk(4, dim=-1)
        i, f, _ = self._stabilised(now + share, state[2], state[3])
        return {"i": i, "f": f, "o": o.sigmoid()}

    def initialise(self, weights: Weights, hidden_size: int) -> None:
        """Fill weights in place; forget gates start open, between nearly and wholly (as in the paper's code), and as
        open where they are exponential."""
        super().initialise(weights, hidden_size)
        size = hidden_size // self.heads
        for gate in weights[1].view(-1, size, size):
            nn.init.orthogonal_(gate)
        with torch.no_grad():
            opened = torch.linspace(1.0, 6.0, hidden_size)
            biases = opened if self.forget == "sigmoid" else functional.logsigmoid(opened)
            weights[2][hidden_size : 2 * hidden_size] = biases
