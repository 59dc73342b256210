"""A cell whose units see no other unit's past."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from lstmapps.nn.cells.cell import Cell, State, Weights, plain_shapes


@dataclass(frozen=True)
class ElementwiseLSTMCell(Cell):
    """An LSTM whose recurrence is one weight to each gate of each unit: its exact forward gradient costs no more than
    its backward one (after Irie, Gopalakrishnan & Schmidhuber 2023, "Exploring the promise and limits of real-time
    recurrent learning", section 3.2, whose output gate sees all units).

        f = sigma(W_f x + b_f + r_f * c)                g = tanh (W_g x + b_g + r_g * c)
        o = sigma(W_o x + b_o + r_o * c)
        c' = f * c + (1 - f) * g                        h' = o * c'

    The state is (h, c). `weight_hh` is (3 * hidden, 1), the rows r_f, r_g and r_o.
    """

    @property
    def gates(self) -> str:
        return "fgo"

    @property
    def unitwise(self) -> bool:
        return True

    @property
    def hears(self) -> int | None:
        return 1

    @property
    def diagonal(self) -> bool:
        return True

    def blocks(self, hidden_size: int) -> list[int]:
        return [hidden_size] * 3

    def shapes(self, input_size: int, hidden_size: int) -> dict[str, tuple[int, ...]]:
        return plain_shapes(3 * hidden_size, input_size, 1)

    def state_sizes(self, hidden_size: int) -> tuple[int, ...]:
        return (hidden_size,) * 2

    def share(self, state: State, weights: Weights) -> Tensor:
        return (self.heard(state) * weights[1]).squeeze(-1) + weights[3]

    def heard(self, state: State) -> Tensor:
        return torch.cat([state[1]] * 3, dim=-1).unsqueeze(-1)

    def own(self, weights: Weights) -> tuple[int, Tensor]:
        return 1, weights[1].squeeze(-1)

    def advance(self, now: Tensor, share: Tensor, state: State, weights: Weights, keep: Tensor | None = None) -> State:
        f, g, o = (now + share).chunk(3, dim=-1)
        f, g = f.sigmoid(), g.tanh()
        c = f * state[1] + (1 - f) * (g if keep is None else g * keep)
        return o.sigmoid() * c, c

    def openness(self, now: Tensor, share: Tensor, state: State, weights: Weights) -> dict[str, Tensor]:
        f, _, o = (now + share).sigmoid().chunk(3, dim=-1)
        return {"f": f, "o": o}

    def initialise(self, weights: Weights, hidden_size: int) -> None:
        """Fill weights in place; the forget gate starts open, with bias 1."""
        weight_ih, weight_hh, bias_ih, bias_hh = weights
        for gate in torch.split(weight_ih, self.blocks(hidden_size)):
            nn.init.xavier_uniform_(gate)
        nn.init.uniform_(weight_hh, -1.0, 1.0)
        nn.init.zeros_(bias_ih)
        nn.init.zeros_(bias_hh)
        nn.init.ones_(bias_ih[:hidden_size])
