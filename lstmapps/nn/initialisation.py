"""How recurrent weights start: other ways than the usual one."""

from __future__ import annotations

from typing import Literal

import torch
from torch import nn

from lstmapps.nn.recurrent import RecurrentLayer


def initialise(
    layer: RecurrentLayer,
    *,
    recurrent: Literal["orthogonal", "glorot", "uniform", "identity"] = "orthogonal",
    forget_bias: float = 1.0,
    chrono: int | None = None,
) -> None:
    """Fill the weights of a layer in place, as usual but for what is asked for.

    Usual are Glorot's weights for inputs (Glorot & Bengio 2010, eq. 16), orthogonal ones for each gate's recurrence
    (Saxe et al. 2014), zero biases, and forget gates that start open, with bias 1.

    recurrent: the weights of each gate's recurrence; "uniform" within 1 / sqrt(hidden_size), as torch has them, and
        "identity" for a simple recurrent network (Le et al. 2015).
    forget_bias: of forget gates (Gers et al. 2000; Jozefowicz et al. 2015).
    chrono: the longest lag, in steps, that is to be remembered: the biases of forget gates are drawn as
        log U(1, chrono - 1), and those of input gates are their negatives (Tallec & Ollivier 2018, eq. 16).
    Raises ValueError for a cell without what is asked for.
    """
    if chrono is not None and chrono < 3:
        raise ValueError(f"a lag that is to be remembered is 3 steps or more, not {chrono}")
    stack = layer.stack
    for index in range(stack.num_layers):
        for direction in stack.at(index):
            cell, weights, hidden = direction.cell, direction.weights(), direction.hidden_size
            cell.initialise(weights, hidden)
            with torch.no_grad():
                for gate in torch.split(weights[1], cell.blocks(hidden)):
                    _fill(gate, recurrent, hidden)
                biases = dict(zip(cell.gates, torch.split(weights[2], cell.blocks(hidden)), strict=True))
                if chrono is not None:
                    if "f" not in biases:
                        raise ValueError(f"{type(layer).__name__} has no forget gates that chrono could set")
                    biases["f"].uniform_(1.0, chrono - 1.0).log_()
                    if "i" in biases:
                        biases["i"].copy_(-biases["f"])
                elif "f" in biases and forget_bias != 1.0:
                    biases["f"].fill_(forget_bias)


def _fill(gate: torch.Tensor, kind: str, hidden: int) -> None:
    if kind == "glorot":
        nn.init.xavier_uniform_(gate)
    elif kind == "uniform":
        nn.init.uniform_(gate, -(hidden**-0.5), hidden**-0.5)
    elif kind == "identity":
        nn.init.eye_(gate)
    elif kind != "orthogonal":
        raise ValueError(f"recurrent weights are orthogonal, glorot, uniform or identity, not {kind!r}")
