"""The equations of one time step of each recurrent cell, written to be read.

Shapes: `x` (batch, input), every state (batch, hidden), `weight_ih` (gates * hidden, input),
`weight_hh` (gates * hidden, hidden), biases (gates * hidden,). Gates lie below one another in
torch's order, so weights can be exchanged with `torch.nn`. The layers of `lstmapps.nn.recurrent`
compute the same numbers for whole sequences; a decoder that moves symbol by symbol calls a step.
"""

from __future__ import annotations

from torch import Tensor
from torch.nn.functional import linear

Weights = tuple[Tensor, Tensor, Tensor, Tensor]
"""`weight_ih`, `weight_hh`, `bias_ih`, `bias_hh`."""


def lstm_step(x: Tensor, state: tuple[Tensor, Tensor], weights: Weights) -> tuple[Tensor, Tensor]:
    """Advance an LSTM with forget gate by one step (Gers, Schmidhuber & Cummins 2000, eqs. 1-5).

        i = sigma(W_i x + R_i h + b_i)      f = sigma(W_f x + R_f h + b_f)
        g = tanh (W_g x + R_g h + b_g)      o = sigma(W_o x + R_o h + b_o)
        c' = f * c + i * g                  h' = o * tanh(c')

    Takes and returns the state `(h, c)`.
    """
    weight_ih, weight_hh, bias_ih, bias_hh = weights
    h, c = state
    return lstm_recur(linear(x, weight_ih, bias_ih), linear(h, weight_hh, bias_hh), c)


def lstm_recur(x: Tensor, h: Tensor, c: Tensor) -> tuple[Tensor, Tensor]:
    """Advance as `lstm_step`, given the shares W x + b and R h + d of all gates, (batch, gates * hidden) each."""
    i, f, g, o = (x + h).chunk(4, dim=-1)
    c = f.sigmoid() * c + i.sigmoid() * g.tanh()
    return o.sigmoid() * c.tanh(), c


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


def rnn_step(x: Tensor, h: Tensor, weights: Weights) -> Tensor:
    """Advance a simple recurrent network by one step (Elman 1990): h' = tanh(W x + b + R h + d)."""
    weight_ih, weight_hh, bias_ih, bias_hh = weights
    return (linear(x, weight_ih, bias_ih) + linear(h, weight_hh, bias_hh)).tanh()
