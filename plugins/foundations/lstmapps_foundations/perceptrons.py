"""Units and nets that see one input at a time: perceptron, delta rule, sigmoid unit, and backpropagation.

Inputs are x (count, inputs); the tutorial's chapters 3 and 4 in a few lines each.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from itertools import pairwise

import torch
from torch import Generator, Tensor

from lstmapps.report.drawings import BEYOND, regions

CORNERS = torch.tensor([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])
"""All inputs of two truth values."""

GATES = {
    "AND": torch.tensor([0.0, 0.0, 0.0, 1.0]),
    "OR": torch.tensor([0.0, 1.0, 1.0, 1.0]),
    "XOR": torch.tensor([0.0, 1.0, 1.0, 0.0]),
}
"""What each gate says of the corners."""


def boundaries(learnt: Mapping[str, Callable[[Tensor], Tensor]], points: int = 60) -> str:
    """Draw (SVG) where units or nets, by the names of the gates that they have learnt, say 1 and where 0.

    Raises ValueError for a gate that is not of `GATES`.
    """
    if not learnt or not learnt.keys() <= GATES.keys():
        raise ValueError(f"boundaries are drawn of {', '.join(GATES)}, not {', '.join(learnt) or 'nothing'}")
    axis = torch.linspace(-BEYOND, 1 + BEYOND, points)
    across, up = torch.meshgrid(axis, axis, indexing="xy")
    places = torch.stack([across.flatten(), up.flatten()], dim=1)
    said = {gate: unit(places).view(points, points).tolist() for gate, unit in learnt.items()}
    return regions(said, {gate: GATES[gate].tolist() for gate in learnt})


@dataclass
class Perceptron:
    """A unit that says 1 where w x + b > 0, and else 0 (Rosenblatt 1958).

    The perceptron rule adds (t - y) x to the weights after each input; it ends if a line parts the classes, and else
    never (Minsky & Papert 1969).
    """

    inputs: int
    weights: Tensor = field(init=False)
    bias: Tensor = field(init=False)

    def __post_init__(self) -> None:
        self.weights, self.bias = torch.zeros(self.inputs), torch.zeros(())

    def __call__(self, x: Tensor) -> Tensor:
        return (x @ self.weights + self.bias > 0).float()

    def learn(self, x: Tensor, targets: Tensor, rate: float = 1.0) -> int:
        """Show every input once; return how many it got wrong."""
        mistakes = 0
        for now, target in zip(x, targets, strict=True):
            error = target - self(now)
            self.weights += rate * error * now
            self.bias += rate * error
            mistakes += int(error != 0)
        return mistakes


@dataclass
class LinearUnit(Perceptron):
    """A unit that gives out w x + b, and learns by the delta rule (Widrow & Hoff 1960): down the gradient of the
    squared error E = sum (t - y)^2 / 2 over all inputs."""

    def __call__(self, x: Tensor) -> Tensor:
        return x @ self.weights + self.bias

    def learn(self, x: Tensor, targets: Tensor, rate: float = 0.1) -> float:
        """Show all inputs at once; return the squared error before."""
        errors = targets - self(x)
        self.weights += rate * errors @ x
        self.bias += rate * errors.sum()
        return float(errors.square().sum() / 2)


@dataclass
class SigmoidUnit(Perceptron):
    """A unit that gives out sigma(w x + b), and learns by the delta rule: its derivative is y (1 - y)."""

    def __call__(self, x: Tensor) -> Tensor:
        return torch.sigmoid(x @ self.weights + self.bias)

    def learn(self, x: Tensor, targets: Tensor, rate: float = 1.0) -> float:
        """Show all inputs at once; return the squared error before."""
        y = self(x)
        deltas = (targets - y) * y * (1 - y)
        self.weights += rate * deltas @ x
        self.bias += rate * deltas.sum()
        return float((targets - y).square().sum() / 2)


class Multilayer:
    """Layers of sigmoid units that learn by backpropagation (Rumelhart, Hinton & Williams 1986).

    sizes: of the input and of each layer. Above the errors are delta = (y - t) y (1 - y); below, each unit's is what
    the units above report through their weights, delta = (sum_k w_k delta_k) y (1 - y).
    """

    def __init__(self, sizes: list[int], generator: Generator) -> None:
        if len(sizes) < 2 or min(sizes) < 1:
            raise ValueError(f"a net has an input and at least one layer, each of 1 or more, not {sizes}")
        self.weights = [torch.randn(below, above, generator=generator) for below, above in pairwise(sizes)]
        self.biases = [torch.zeros(above) for above in sizes[1:]]

    def __call__(self, x: Tensor) -> Tensor:
        return self.outputs(x)[-1].squeeze(-1)

    def outputs(self, x: Tensor) -> list[Tensor]:
        """Return what the input and each layer give."""
        outputs = [x]
        for weights, bias in zip(self.weights, self.biases, strict=True):
            outputs.append(torch.sigmoid(outputs[-1] @ weights + bias))
        return outputs

    def gradients(self, x: Tensor, targets: Tensor) -> tuple[list[Tensor], list[Tensor]]:
        """Return those of E = sum (t - y)^2 / 2 by weights and biases of each layer, found backwards."""
        outputs = self.outputs(x)
        by_weights, by_biases = [], []
        delta = (outputs[-1] - targets.view_as(outputs[-1])) * outputs[-1] * (1 - outputs[-1])
        for layer in reversed(range(len(self.weights))):
            below = outputs[layer]
            by_weights.append(below.T @ delta)
            by_biases.append(delta.sum(dim=0))
            delta = (delta @ self.weights[layer].T) * below * (1 - below)
        return by_weights[::-1], by_biases[::-1]

    def learn(self, x: Tensor, targets: Tensor, rate: float = 1.0) -> float:
        """Show all inputs at once; return the squared error before."""
        error = float((self(x) - targets).square().sum() / 2)
        by_weights, by_biases = self.gradients(x, targets)
        for layer in range(len(self.weights)):
            self.weights[layer] -= rate * by_weights[layer]
            self.biases[layer] -= rate * by_biases[layer]
        return error
