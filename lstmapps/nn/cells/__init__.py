"""The equations of one time step of each recurrent cell, written to be read.

A cell is a value, `LSTMCell(variant="CIFG")`: it says what weights it needs and how they make a step. Shapes: `x`
(batch, input), every state (batch, hidden), `weight_ih` (gates * hidden, input), `weight_hh` (gates * hidden, hidden),
biases (gates * hidden,). Gates lie below one another in torch's order, so weights can be exchanged with `torch.nn`. The
layers of `lstmapps.nn.recurrent` compute the same numbers for whole sequences; a decoder that moves symbol by symbol
calls a step.
"""

from lstmapps.nn.cells.cell import Cell, Fused, State, Weights
from lstmapps.nn.cells.elementwise import ElementwiseLSTMCell
from lstmapps.nn.cells.gru import GRUCell, MGUCell, gru_recur, gru_step
from lstmapps.nn.cells.lstm import LSTMCell, Variant, lstm_recur, lstm_step
from lstmapps.nn.cells.simple import ElmanCell, JordanCell, rnn_step
from lstmapps.nn.cells.slstm import SLSTMCell

CELLS: tuple[type[Cell], ...] = (
    LSTMCell,
    GRUCell,
    MGUCell,
    ElmanCell,
    JordanCell,
    SLSTMCell,
    ElementwiseLSTMCell,
)
"""Every kind of cell there is."""

NAMED: dict[str, Cell] = {"lstm": LSTMCell(), "gru": GRUCell(), "rnn": ElmanCell()}
"""The usual cells by their names in recipes."""

__all__ = [
    "CELLS",
    "NAMED",
    "Cell",
    "ElementwiseLSTMCell",
    "ElmanCell",
    "Fused",
    "GRUCell",
    "JordanCell",
    "LSTMCell",
    "MGUCell",
    "SLSTMCell",
    "State",
    "Variant",
    "Weights",
    "gru_recur",
    "gru_step",
    "lstm_recur",
    "lstm_step",
    "rnn_step",
]
