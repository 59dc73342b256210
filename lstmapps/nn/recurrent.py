"""Recurrent layers: LSTMs since 1997, GRU, MGU, sLSTM, Elman and Jordan nets; `lstmapps.nn.stack` runs them all."""

from __future__ import annotations

from typing import Any, Self

import torch
from torch import Tensor, nn

from lstmapps.lengths import Lengths
from lstmapps.nn.cells import (
    Cell,
    ElementwiseLSTMCell,
    ElmanCell,
    Fused,
    GRUCell,
    JordanCell,
    LSTMCell,
    MGUCell,
    SLSTMCell,
    Variant,
)
from lstmapps.nn.noise import RecurrentNoise
from lstmapps.nn.stack import Extras, RecurrentStack

_TORCH: dict[Fused, type[nn.LSTM] | type[nn.GRU] | type[nn.RNN]] = {"lstm": nn.LSTM, "gru": nn.GRU, "rnn": nn.RNN}


class RecurrentLayer(nn.Module):
    """What every recurrent layer has in common; `LSTM`, `GRU` and the others say which cell it runs.

    x is (batch, time, input_size), y (batch, time, directions * hidden_size) and zero beyond each
    length. `lengths` (batch,) are whole numbers from 0 to the time of x, a list or a tensor of any integer
    type; without them every row is as long as x. A state is (num_layers * directions, batch, hidden_size), or a tuple
    of such where the cell has several, ordered as in torch; returned, it is each sequence's state at its own end (a
    backward direction ends at step 0); given, it is what each direction starts from.

    cell: which of the cells of `lstmapps.nn.cells`; None for the usual one of this layer.
    dropout: share of each layer's input, but the first, that is dropped while training.
    variational: drop the same features at all steps of a sequence (Gal & Ghahramani 2016).
    input_layer_norm: normalise the input of each layer over its features (Ba et al. 2016); `recurrent_layer_norm` of
        `LSTM` normalises within the recurrence.
    residual: add a layer's input to its output wherever their sizes agree.
    noise: what is drawn within the recurrence while training (`RecurrentNoise`: zoneout and the kinds of dropout).
    device, dtype: of the weights, as in torch.

    Under autocast y and the state have autocast's dtype. torch.compile leaves the layer as it is, as it
    does torch's own; torch.export takes it with any batch, time and lengths, as an operator that
    needs lstmapps to run. Raises ValueError if shapes do not fit or a length exceeds the time of x.
    """

    usual: Cell

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        *,
        cell: Cell | None = None,
        bidirectional: bool = False,
        dropout: float = 0.0,
        variational: bool = False,
        input_layer_norm: bool = False,
        residual: bool = False,
        noise: RecurrentNoise = RecurrentNoise(),
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        if cell is not None and type(cell) is not type(self.usual):
            raise ValueError(f"{type(self).__name__} runs {type(self.usual).__name__}, not {type(cell).__name__}")
        extras = Extras(dropout, variational, input_layer_norm, residual, noise)
        stack = RecurrentStack(cell or self.usual, input_size, hidden_size, num_layers, bidirectional, extras)
        self.stack = stack if device is None and dtype is None else stack.to(device, dtype)

    def forward(self, x: Tensor, lengths: Lengths | None = None, state: Any = None) -> tuple[Tensor, Any]:
        """Return y and the state, a tensor where the cell has one and a tuple where it has several."""
        y, end = self.stack(x, lengths, (state,) if isinstance(state, Tensor) else state)
        return y, end if len(end) > 1 else end[0]

    @classmethod
    def from_torch(cls, layer: nn.RNNBase) -> Self:
        """Return a layer with the weights of the layer of that name in `torch.nn`, and equal outputs.

        Raises ValueError for a layer of another kind, or one with what ours have not.
        """
        if cls.usual.fused is None or type(layer) is not _TORCH[cls.usual.fused]:
            raise ValueError(f"a torch.nn.{cls.__name__} is needed, not {type(layer).__name__}")
        if getattr(layer, "nonlinearity", "tanh") != "tanh":
            raise ValueError(f"an RNN has tanh units; this one has {layer.nonlinearity!r}")
        made = cls(
            layer.input_size,
            layer.hidden_size,
            layer.num_layers,
            cell=LSTMCell(projection_size=layer.proj_size) if layer.proj_size else None,
            bidirectional=layer.bidirectional,
            dropout=layer.dropout,
        ).to(next(layer.parameters()))
        with torch.no_grad():
            for direction, names in made.stack.torch_names():
                for target, name in zip(direction.weights(), names, strict=True):
                    source = getattr(layer, name, None)
                    target.copy_(torch.zeros_like(target) if source is None else source)
        return made.train(layer.training)

    def to_torch(self) -> nn.RNNBase:
        """Return a layer of `torch.nn` (batch_first) with these weights and equal outputs.

        Raises ValueError for a layer with what torch's have not.
        """
        stack = self.stack
        extras, projection = stack.extras, getattr(stack.cell, "projection_size", 0)
        fused = LSTMCell().fused if stack.cell == LSTMCell(projection_size=projection) else stack.cell.fused
        if fused is None or extras.noise:
            raise ValueError(f"torch.nn has no layers of {stack.cell}, and nothing is drawn within its recurrences")
        if stack.norms is not None or extras.residual or (extras.variational and extras.dropout):
            raise ValueError("torch.nn has no layer norm, residual connections or variational dropout in its layers")
        like = stack.at(0)[0].weights()[0]
        made = _TORCH[fused](
            stack.input_size,
            stack.hidden_size,
            stack.num_layers,
            batch_first=True,
            dropout=extras.dropout,
            bidirectional=stack.directions == 2,
            **({"proj_size": projection} if projection else {}),
        ).to(like)
        with torch.no_grad():
            for direction, names in stack.torch_names():
                for source, name in zip(direction.weights(), names, strict=True):
                    getattr(made, name).copy_(source)
        return made.train(stack.training)


class LSTM(RecurrentLayer):
    """Long short-term memory, in every form that it has had since 1997: `lstmapps.nn.cells.LSTMCell` has the equations.

        layer = LSTM(80, 256, num_layers=3, bidirectional=True, dropout=0.3)
        y, (h, c) = layer(x, lengths)

    Arguments and shapes are those of every recurrent layer (`lstmapps.nn.recurrent.RecurrentLayer`): x (batch,
    time, input_size), lengths (batch,), y (batch, time, directions * hidden_size); h and c
    (num_layers * directions, batch, hidden_size). With a projection y and h have its size instead.

    variant, peepholes, block_size, projection_size: see `LSTMCell`. recurrent_layer_norm: its `layer_norm`.
    zoneout, recurrent_dropout, state_dropout, weight_dropout: see `RecurrentNoise`.
    """

    usual = LSTMCell()

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        *,
        variant: Variant = "NP",
        peepholes: bool | None = None,
        block_size: int = 1,
        projection_size: int = 0,
        recurrent_layer_norm: bool = False,
        bidirectional: bool = False,
        dropout: float = 0.0,
        variational: bool = False,
        input_layer_norm: bool = False,
        residual: bool = False,
        zoneout: float | tuple[float, float] = 0.0,
        recurrent_dropout: float = 0.0,
        state_dropout: float = 0.0,
        weight_dropout: float = 0.0,
        cell: Cell | None = None,
        noise: RecurrentNoise | None = None,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        own = LSTMCell(variant, peepholes, block_size, projection_size, recurrent_layer_norm)
        drawn = RecurrentNoise(zoneout, recurrent_dropout, state_dropout, weight_dropout)
        if (cell is not None and own != LSTMCell()) or (noise is not None and drawn):
            raise ValueError("a cell or a noise is given whole, or by its settings, but not both")
        if projection_size > hidden_size:
            raise ValueError(f"{hidden_size} units are projected to fewer, not to {projection_size}")
        super().__init__(
            input_size,
            hidden_size,
            num_layers,
            cell=cell or own,
            bidirectional=bidirectional,
            dropout=dropout,
            variational=variational,
            input_layer_norm=input_layer_norm,
            residual=residual,
            noise=noise or drawn,
            device=device,
            dtype=dtype,
        )


class GRU(RecurrentLayer):
    """Gated recurrent unit (Cho et al. 2014), with the arguments and shapes of every recurrent layer; its state is h.

    GRU(80, 256, cell=GRUCell(reset_after=False)) resets as in the paper.
    """

    usual = GRUCell()


class MGU(RecurrentLayer):
    """Minimal gated unit (Zhou et al. 2016), with the arguments and shapes of every recurrent layer; its state is h."""

    usual = MGUCell()


class RNN(RecurrentLayer):
    """Simple recurrent network with tanh (Elman 1990), with the arguments and shapes of every recurrent layer; its
    state is h."""

    usual = ElmanCell()


class JordanRNN(RecurrentLayer):
    """A network whose output comes back (Jordan 1986), with the arguments and shapes of every recurrent layer.

    JordanRNN(8, 20, cell=JordanCell(output_size=8)) gives out y (batch, time, 8), which is its state too.
    """

    usual = JordanCell()


class SLSTM(RecurrentLayer):
    """The scalar memory of xLSTM (Beck et al. 2024), with the arguments and shapes of every recurrent layer.

    Its state is (h, c, n, m). SLSTM(80, 256, cell=SLSTMCell(heads=4)) has heads.
    """

    usual = SLSTMCell()


class ElementwiseLSTM(RecurrentLayer):
    """An LSTM whose units see no other unit's past (after Irie et al. 2023), with the arguments and shapes of every
    recurrent layer; its state is (h, c)."""

    usual = ElementwiseLSTMCell()


def layer_of(cell: Cell) -> type[RecurrentLayer]:
    """Return the layer that runs a cell."""
    layers = (LSTM, GRU, MGU, RNN, JordanRNN, SLSTM, ElementwiseLSTM)
    return next(layer for layer in layers if type(layer.usual) is type(cell))
