"""How recurrent weights start: other ways than the usual one."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn.functional import logsigmoid

from lstmapps.nn.cells import SLSTMCell
from lstmapps.nn.recurrent import RecurrentLayer


def initialise(
    layer: RecurrentLayer,
    *,
    recurrent: Literal["orthogonal", "glorot", "uniform", "identity"] | None = None,
    forget_bias: float | None = None,
    chrono: int | None = None,
) -> None:
    """Fill the weights of a layer in place, as usual but for what is asked for.

    Usual are Glorot's weights for inputs (Glorot & Bengio 2010, eq. 16), orthogonal ones for each gate's recurrence
    (Saxe et al. 2014), zero biases, and forget gates that start open, with bias 1.

    recurrent: the weights of each gate's, or each head's, recurrence; "uniform" within 1 / sqrt(hidden_size), as torch
        has them, and "identity" for a simple recurrent network (Le et al. 2015).
    forget_bias: of forget gates (Gers et al. 2000; Jozefowicz et al. 2015).
    chrono: the longest lag, in steps, that is to be remembered: the biases of forget gates are drawn as
        log U(1, chrono - 1), and those of input gates are their negatives (Tallec & Ollivier 2018, eq. 16); where
        forget gates are exponential, so that they are as open as sigmoid ones would be.
    Raises ValueError for a cell without what is asked for.
    """
    if chrono is not None and forget_bias is not None:
        raise ValueError("chrono draws the biases of forget gates; leave it or forget_bias out")
    if chrono is not None and chrono < 3:
        raise ValueError(f"a lag that is to be remembered is 3 steps or more, not {chrono}")
    if recurrent not in (None, "orthogonal", "glorot", "uniform", "identity"):
        raise ValueError(f"recurrent weights are orthogonal, glorot, uniform or identity, not {recurrent!r}")
    stack = layer.stack
    if "f" not in stack.cell.gates and (chrono is not None or forget_bias is not None):
        raise ValueError(f"{stack.cell} has no forget gates of its own; leave the lag (chrono) or forget_bias out")
    for index in range(stack.num_layers):
        for direction in stack.at(index):
            cell, weights, hidden = direction.cell, direction.weights(), direction.hidden_size
            cell.initialise(weights, hidden)
            with torch.no_grad():
                if recurrent is not None:
                    _fill(weights[1], cell.blocks(hidden), recurrent, hidden)
                biases = dict(zip(cell.gates, torch.split(weights[2], cell.blocks(hidden)), strict=True))
                if chrono is not None:
                    biases["f"].uniform_(1.0, chrono - 1.0).log_()
                    if "i" in biases:
                        biases["i"].copy_(-biases["f"])
                    if isinstance(cell, SLSTMCell) and cell.forget == "exponential":
                        biases["f"].copy_(logsigmoid(biases["f"]))
                elif forget_bias is not None:
                    biases["f"].fill_(forget_bias)


def _fill(weight: Tensor, blocks: list[int], kind: str, hidden: int) -> None:
    """Fill recurrent weights, each square of them by itself: that of a gate, or of a head."""
    columns = weight.shape[1]
    sizes = [columns] * (len(weight) // columns) if all(rows % columns == 0 for rows in blocks) else blocks
    for square in torch.split(weight, sizes):
        if kind == "glorot":
            nn.init.xavier_uniform_(square)
        elif kind == "uniform":
            nn.init.uniform_(square, -(hidden**-0.5), hidden**-0.5)
        elif kind == "identity":
            nn.init.eye_(square)
        else:
            nn.init.orthogonal_(square)
