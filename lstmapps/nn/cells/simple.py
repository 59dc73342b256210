"""Recurrent networks without gates: those of Elman and of Jordan."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, nn
from torch.nn.functional import linear

from lstmapps.nn.cells.cell import Cell, Fused, State, Weights, plain_shapes


@dataclass(frozen=True)
class ElmanCell(Cell):
    """A simple recurrent network (Elman 1990): h' = tanh(W x + b + R h + d)."""

    @property
    def fused(self) -> Fused | None:
        return "rnn"

    @property
    def gates(self) -> str:
        return "h"

    def blocks(self, hidden_size: int) -> list[int]:
        return [hidden_size]

    def shapes(self, input_size: int, hidden_size: int) -> dict[str, tuple[int, ...]]:
        return plain_shapes(hidden_size, input_size, hidden_size)

    @property
    def unitwise(self) -> bool:
        return True

    def advance(self, now: Tensor, share: Tensor, state: State, weights: Weights, keep: Tensor | None = None) -> State:
        h = (now + share).tanh()
        return (h if keep is None else h * keep,)


@dataclass(frozen=True)
class JordanCell(Cell):
    """A network whose output, not its hidden layer, comes back (Jordan 1986).

        h = tanh(W x + b + R y + d)
        y' = sigma(V h + e)

    output_size: of y, 0 for as many units as the hidden layer has.
    """

    output_size: int = 0

    def __post_init__(self) -> None:
        if self.output_size < 0:
            raise ValueError(f"an output has at least one unit, or 0 for as many as are hidden, not {self.output_size}")

    @property
    def gates(self) -> str:
        return "h"

    def blocks(self, hidden_size: int) -> list[int]:
        return [hidden_size]

    def shapes(self, input_size: int, hidden_size: int) -> dict[str, tuple[int, ...]]:
        size = self.output_size or hidden_size
        shapes = plain_shapes(hidden_size, input_size, size)
        return shapes | {"weight_out": (size, hidden_size), "bias_out": (size,)}

    def state_sizes(self, hidden_size: int) -> tuple[int, ...]:
        return (self.output_size or hidden_size,)

    def advance(self, now: Tensor, share: Tensor, state: State, weights: Weights, keep: Tensor | None = None) -> State:
        *_, weight_out, bias_out = weights
        h = (now + share).tanh()
        return (linear(h if keep is None else h * keep, weight_out, bias_out).sigmoid(),)

    def initialise(self, weights: Weights, hidden_size: int) -> None:
        super().initialise(weights, hidden_size)
        nn.init.xavier_uniform_(weights[4])


def rnn_step(x: Tensor, h: Tensor, weights: Weights) -> Tensor:
    """Advance a simple recurrent network by one step (Elman 1990): h' = tanh(W x + b + R h + d)."""
    weight_ih, weight_hh, bias_ih, bias_hh = weights
    return (linear(x, weight_ih, bias_ih) + linear(h, weight_hh, bias_hh)).tanh()
