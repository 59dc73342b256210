"""What a recurrent cell is: sizes of weights and states, and one step in time."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn.functional import layer_norm, linear

Weights = tuple[Tensor, ...]
"""The weights of a cell, in the order of its `shapes`."""

State = tuple[Tensor, ...]
"""What a cell hands on from step to step, each part (batch, size); the first is also what it gives out."""

Fused = Literal["lstm", "gru", "rnn"]
"""A layer that torch computes in one call."""


class Cell(ABC):
    """A recurrent cell: a value without weights, which says what weights it needs and how they make a step.

    Its first four weights are `weight_ih` (rows, input), `weight_hh`, `bias_ih` and `bias_hh` (rows,), where the rows
    of its gates lie below one another. Weights are given from outside, so that a cell is a function of all that a
    learning rule may want to differentiate.
    """

    @property
    def fused(self) -> Fused | None:
        """The layer of torch that computes the same, if there is one."""
        return None

    @property
    @abstractmethod
    def gates(self) -> str:
        """A letter for each gate, in the order of their rows: i, f, g (new content), o; r, z, n (new content); h."""

    @abstractmethod
    def shapes(self, input_size: int, hidden_size: int) -> dict[str, tuple[int, ...]]:
        """Return the weights by name, each with its shape."""

    @abstractmethod
    def blocks(self, hidden_size: int) -> list[int]:
        """Return the rows of each gate in `weight_ih`, from above."""

    @abstractmethod
    def advance(self, now: Tensor, share: Tensor, state: State, weights: Weights, keep: Tensor | None = None) -> State:
        """Return the next state, given what input and state add to the gates, `inputs` and `share` (batch, rows).

        keep: what new content is multiplied by before it enters the state (Semeniuta et al. 2016, eq. 14).
        """

    def openness(self, now: Tensor, share: Tensor, state: State, weights: Weights) -> dict[str, Tensor]:
        """Return how far each gate is open in that step, 0 to 1, by the letters of `gates` that are gates."""
        return {}

    @property
    def hears(self) -> int | None:
        """The part of the state that recurrent weights read, in `share` alone; None where they read more than that."""
        return 0

    @property
    def zones(self) -> bool:
        """Whether a part of the state may stay what it was while the others move on."""
        return True

    @property
    def multiple(self) -> int:
        """The least number of units, of which all others are multiples."""
        return 1

    def hidden_size(self, weights: Weights) -> int:
        """Return how many units a cell with these weights has."""
        return len(weights[0]) * self.multiple // sum(self.blocks(self.multiple))

    @property
    def unitwise(self) -> bool:
        """Whether in `advance` each unit depends on its own rows and its own state alone, and so on others only through
        `share`; what weights there are besides the first four then have a unit to each of their last dimension."""
        return False

    @property
    def diagonal(self) -> bool:
        """Whether each unit sees its own past alone."""
        return False

    def heard(self, state: State) -> Tensor:
        """Return what each row of `weight_hh` is multiplied by, (batch, rows or 1, columns)."""
        return state[0].unsqueeze(-2)

    def own(self, weights: Weights) -> tuple[int, Tensor]:
        """Return by how much (rows,) each unit's own state adds to its rows of `share`, and which part of the state."""
        hidden = weights[1].shape[1]
        return 0, weights[1].view(-1, hidden, hidden).diagonal(dim1=-2, dim2=-1).flatten()

    def state_sizes(self, hidden_size: int) -> tuple[int, ...]:
        """Return the size of each part of the state."""
        return (hidden_size,)

    def share(self, state: State, weights: Weights) -> Tensor:
        """Return what the state adds to the gates, R h + d."""
        return linear(state[0], weights[1], weights[3])

    def recur(self, now: Tensor, state: State, weights: Weights, keep: Tensor | None = None) -> State:
        """Return the next state, given what the input adds to each gate."""
        return self.advance(now, self.share(state, weights), state, weights, keep)

    def inputs(self, x: Tensor, weights: Weights) -> Tensor:
        """Return what inputs x (…, input) add to each gate, W x + b."""
        return linear(x, weights[0], weights[2])

    def step(self, x: Tensor, state: State, weights: Weights) -> State:
        """Return the state after an input x (batch, input)."""
        return self.recur(self.inputs(x, weights), state, weights)

    def initialise(self, weights: Weights, hidden_size: int) -> None:
        """Fill weights in place: Glorot for the input, orthogonal for each gate's recurrence, zero biases.

        See `lstmapps.nn.initialisation` for others.
        """
        weight_ih, weight_hh, *others = weights
        for gate in torch.split(weight_ih, self.blocks(hidden_size)):
            nn.init.xavier_uniform_(gate)
        for gate in torch.split(weight_hh, self.blocks(hidden_size)):
            nn.init.orthogonal_(gate)
        for other in others:
            nn.init.zeros_(other)


def plain_shapes(rows: int, input_size: int, output_size: int) -> dict[str, tuple[int, ...]]:
    """Return the shapes of the four weights that every cell has."""
    return {"weight_ih": (rows, input_size), "weight_hh": (rows, output_size), "bias_ih": (rows,), "bias_hh": (rows,)}


def normalised(sums: Tensor, gain: Tensor, bias: Tensor) -> Tensor:
    """Normalise the sums of all gates (…, rows) over the rows, LN of Ba, Kiros & Hinton 2016, eq. 3 and 4."""
    return layer_norm(sums, sums.shape[-1:]) * gain + bias
