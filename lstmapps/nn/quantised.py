"""Weights of eight bits: a decoder that writes several times as fast on a CPU, nearly as well.

Each row of a matrix has a scale of its own; what is multiplied with it is rounded to eight bits on the way
(Jacob et al. 2018, "Quantization and training of neural networks for efficient integer-arithmetic-only inference";
the kernels are torch's).
"""

from __future__ import annotations

import warnings
from typing import Any

import torch
from torch import Tensor, nn

from lstmapps.nn.cells import State, gru_recur, lstm_recur
from lstmapps.nn.stack import Direction


class QuantisedLinear(nn.Module):
    """y = W x + b with W in eight bits."""

    def __init__(self, weight: Tensor, bias: Tensor | None) -> None:
        super().__init__()
        self.out_features, self.in_features = weight.shape
        self._weight = weight.detach().float().cpu()
        self._bias = None if bias is None else bias.detach().float().cpu()
        scales = self._weight.abs().amax(dim=1).clamp(min=1e-12).double() / 127
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of torch's plans for the names of its quantised tensors
            zeros = torch.zeros(len(weight), dtype=torch.long)
            rounded = torch.quantize_per_channel(self._weight, scales, zeros, 0, torch.qint8)
            self._packed: Any = torch.ops.quantized.linear_prepack(rounded, self._bias)

    def rows(self, index: Tensor) -> QuantisedLinear:
        """Return the layer of some of the rows of W and b, (rows,)."""
        return QuantisedLinear(self._weight[index], None if self._bias is None else self._bias[index])

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = torch.ops.quantized.linear_dynamic(x.contiguous(), self._packed, True)
        return y


class QuantisedDirection(nn.Module):
    """An LSTM's or a GRU's layer, in one direction, with matrices of eight bits."""

    def __init__(self, direction: Direction) -> None:
        super().__init__()
        self.cell = direction.cell
        weight_ih, weight_hh, bias_ih, bias_hh = direction.weights()
        self.from_input = QuantisedLinear(weight_ih, bias_ih)
        self.from_hidden = QuantisedLinear(weight_hh, bias_hh)

    def run(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        """See `Direction.run`."""
        outputs = []
        for now in self.from_input(x):
            share = self.from_hidden(state[0])
            state = (
                lstm_recur(now, share, state[1]) if self.cell.fused == "lstm" else (gru_recur(now, share, state[0]),)
            )
            outputs.append(state[0])
        return torch.stack(outputs), state


def quantise(module: nn.Module) -> None:
    """Replace the matrices of a module, in place, by ones of eight bits; embeddings stay as they are.

    The module can no longer be trained or saved. What it computes of a row depends, in its rounding, on the greatest
    number of the batch. Raises ValueError if it is not on a CPU.
    """
    if any(parameter.device.type != "cpu" for parameter in module.parameters()):
        raise ValueError("weights of eight bits are for a CPU")
    for name, part in list(module.named_children()):
        if isinstance(part, nn.Linear):
            setattr(module, name, QuantisedLinear(part.weight, part.bias))
        elif isinstance(part, Direction):
            setattr(module, name, QuantisedDirection(part))
        else:
            quantise(part)
