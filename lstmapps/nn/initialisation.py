"""How recurrent weights start."""

from __future__ import annotations

import torch
from torch import nn

from lstmapps.nn.cells import Weights
from lstmapps.nn.engine import GATES, Cell


def initialise_direction(cell: Cell, weights: Weights) -> None:
    """Fill weights in place: Glorot for the input, orthogonal for each gate's recurrence, zero biases.

    The forget gate of an LSTM starts open, with bias 1 (Gers et al. 2000; Jozefowicz et al. 2015).
    """
    weight_ih, weight_hh, bias_ih, bias_hh = weights
    hidden = weight_hh.shape[1]
    with torch.no_grad():
        for gate in weight_ih.chunk(GATES[cell]):
            nn.init.xavier_uniform_(gate)
        for gate in weight_hh.chunk(GATES[cell]):
            nn.init.orthogonal_(gate)
        bias_ih.zero_()
        bias_hh.zero_()
        if cell == "lstm":
            bias_ih[hidden : 2 * hidden] = 1.0
