"""Recurrent layers for batches of sequences of any lengths: LSTM, GRU and simple RNN.

Padding costs little and changes nothing: a backward direction reverses each sequence inside its own
length and runs over the padded batch in fused calls that drop rows as they end, which is exact and
several times faster than `torch.nn.LSTM` on a PackedSequence (`make bench`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Self

import torch
from torch import Tensor, nn

from lstmapps.lengths import Lengths, padding_mask, whole_lengths
from lstmapps.nn.cells import Weights
from lstmapps.nn.engine import GATES, Cell, State, run, run_within
from lstmapps.nn.initialisation import initialise_direction

__all__ = ["GRU", "LSTM", "RNN", "RecurrentLayer", "RecurrentStack"]

_TORCH: dict[Cell, type[nn.LSTM] | type[nn.GRU] | type[nn.RNN]] = {"lstm": nn.LSTM, "gru": nn.GRU, "rnn": nn.RNN}


class RecurrentLayer(nn.Module):
    """What every recurrent layer has in common; `LSTM`, `GRU` and `RNN` say which cell it runs.

    x is (batch, time, input_size), y (batch, time, directions * hidden_size) and zero beyond each
    length. `lengths` (batch,) are whole numbers from 0 to the time of x, a list or a tensor of any integer
    type; without them every row is as long as x. A state is (num_layers * directions, batch, hidden_size),
    ordered as in torch; returned, it is each sequence's state at its own end (a backward direction ends at
    step 0); given, it is what each direction starts from.

    dropout: share of each layer's input, but the first, that is dropped while training.
    variational: drop the same features at all steps of a sequence (Gal & Ghahramani 2016).
    layer_norm: normalise the input of each layer over its features (Ba et al. 2016).
    residual: add a layer's input to its output wherever their sizes agree.
    device, dtype: of the weights, as in torch.

    Under autocast y and the state have autocast's dtype. torch.compile leaves the layer as it is, as it
    does torch's own; torch.export takes it with any batch, time and lengths, as an operator that
    needs lstmapps to run. Raises ValueError if shapes do not fit or a length exceeds the time of x.
    """

    cell: Cell

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        *,
        bidirectional: bool = False,
        dropout: float = 0.0,
        variational: bool = False,
        layer_norm: bool = False,
        residual: bool = False,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        stack = RecurrentStack(
            self.cell, input_size, hidden_size, num_layers, bidirectional, dropout, variational, layer_norm, residual
        )
        self.stack = stack if device is None and dtype is None else stack.to(device, dtype)

    @classmethod
    def from_torch(cls, layer: nn.RNNBase) -> Self:
        """Return a layer with the weights of the layer of that name in `torch.nn`, and equal outputs.

        Raises ValueError for a layer of another kind, or one with what ours have not.
        """
        if type(layer) is not _TORCH[cls.cell]:
            raise ValueError(f"a torch.nn.{cls.__name__} is needed, not {type(layer).__name__}")
        if layer.proj_size:
            raise ValueError("layers with a projection (proj_size) are not supported")
        if getattr(layer, "nonlinearity", "tanh") != "tanh":
            raise ValueError(f"an RNN has tanh units; this one has {layer.nonlinearity!r}")
        made = cls(
            layer.input_size,
            layer.hidden_size,
            layer.num_layers,
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
        if stack.norms is not None or stack.residual or (stack.variational and stack.dropout):
            raise ValueError("torch.nn has no layer norm, residual connections or variational dropout in its layers")
        like = stack.at(0)[0].weight_ih
        made = _TORCH[self.cell](
            stack.input_size,
            stack.hidden_size,
            stack.num_layers,
            batch_first=True,
            dropout=stack.dropout,
            bidirectional=stack.directions == 2,
        ).to(like)
        with torch.no_grad():
            for direction, names in stack.torch_names():
                for source, name in zip(direction.weights(), names, strict=True):
                    getattr(made, name).copy_(source)
        return made.train(stack.training)


class LSTM(RecurrentLayer):
    """Long short-term memory with forget gates (Hochreiter & Schmidhuber 1997; Gers et al. 2000).

        layer = LSTM(80, 256, num_layers=3, bidirectional=True, dropout=0.3)
        y, (h, c) = layer(x, lengths)

    Arguments and shapes are those of every recurrent layer (`lstmapps.nn.recurrent.RecurrentLayer`): x (batch,
    time, input_size), lengths (batch,), y (batch, time, directions * hidden_size); h and c
    (num_layers * directions, batch, hidden_size).
    """

    cell = "lstm"

    def forward(
        self, x: Tensor, lengths: Lengths | None = None, state: tuple[Tensor, Tensor] | None = None
    ) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        y, (h, c) = self.stack(x, lengths, state)
        return y, (h, c)


class GRU(RecurrentLayer):
    """Gated recurrent unit (Cho et al. 2014), with the arguments and shapes of `LSTM`; its state is h."""

    cell = "gru"

    def forward(self, x: Tensor, lengths: Lengths | None = None, state: Tensor | None = None) -> tuple[Tensor, Tensor]:
        y, (h,) = self.stack(x, lengths, None if state is None else (state,))
        return y, h


class RNN(RecurrentLayer):
    """Simple recurrent network with tanh (Elman 1990), with the arguments and shapes of `LSTM`; its state is h."""

    cell = "rnn"

    def forward(self, x: Tensor, lengths: Lengths | None = None, state: Tensor | None = None) -> tuple[Tensor, Tensor]:
        y, (h,) = self.stack(x, lengths, None if state is None else (state,))
        return y, h


class Direction(nn.Module):
    """The weights of one direction of one layer, named and laid out as in torch."""

    def __init__(self, cell: Cell, input_size: int, hidden_size: int) -> None:
        super().__init__()
        self.cell: Cell = cell
        rows = GATES[cell] * hidden_size
        self.weight_ih = nn.Parameter(torch.empty(rows, input_size))
        self.weight_hh = nn.Parameter(torch.empty(rows, hidden_size))
        self.bias_ih = nn.Parameter(torch.empty(rows))
        self.bias_hh = nn.Parameter(torch.empty(rows))
        initialise_direction(cell, self.weights())

    def weights(self) -> Weights:
        return self.weight_ih, self.weight_hh, self.bias_ih, self.bias_hh

    def run(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        """Run over x (time, batch, input), every row to the last step; return y and the state there."""
        return run(self.cell, x, state, self.weights())


class RecurrentStack(nn.Module):
    """Layers of one cell, each in one or two directions; what `LSTM`, `GRU` and `RNN` are made of.

    Its state is a tuple of (num_layers * directions, batch, hidden_size) tensors, as many as the
    cell carries. Inside, everything is (time, batch, features), the order in which it is computed.
    """

    def __init__(
        self,
        cell: Cell,
        input_size: int,
        hidden_size: int,
        num_layers: int,
        bidirectional: bool,
        dropout: float,
        variational: bool,
        layer_norm: bool,
        residual: bool,
    ) -> None:
        super().__init__()
        if min(input_size, hidden_size, num_layers) < 1:
            raise ValueError("input_size, hidden_size and num_layers must be at least 1")
        if not 0.0 <= dropout < 1.0:
            raise ValueError(f"dropout must lie in [0, 1), not {dropout}")
        self.cell: Cell = cell
        self.input_size, self.hidden_size, self.num_layers = input_size, hidden_size, num_layers
        self.directions = 2 if bidirectional else 1
        self.output_size = self.directions * hidden_size
        self.dropout, self.variational, self.residual = dropout, variational, residual
        self.layers, self.norms = nn.ModuleList(), nn.ModuleList() if layer_norm else None
        for index in range(num_layers):
            size = self.output_size if index else input_size
            self.layers.append(nn.ModuleList(Direction(cell, size, hidden_size) for _ in range(self.directions)))
            if self.norms is not None:
                self.norms.append(nn.LayerNorm(size))

    @torch.compiler.disable  # type: ignore[untyped-decorator]
    def forward(self, x: Tensor, lengths: Lengths | None, state: State | None) -> tuple[Tensor, State]:
        self._check(x, state)
        batch, time = x.shape[:2]
        exporting = torch.compiler.is_exporting()
        if lengths is not None:
            lengths = whole_lengths(lengths, batch, time, x.device)
        elif exporting:
            lengths = torch.full((batch,), time, device=x.device)
        if lengths is None or not (exporting or bool((lengths < time).any())):
            y, end = self._run(x.transpose(0, 1), state)
            return y.transpose(0, 1), end
        lengths, order = lengths.sort(descending=True, stable=True)
        back = order.argsort()
        steps = torch.arange(time, device=x.device)
        enter = (order * time + steps.unsqueeze(1)).flatten()
        leave = (steps * batch + back.unsqueeze(1)).flatten()
        padding = padding_mask(lengths, time).T
        x = _PermuteRows.apply(x.reshape(batch * time, -1), enter, leave).view(time, batch, -1)
        x = x.masked_fill(padding.unsqueeze(2), 0.0)
        if state is not None:
            state = tuple(part.index_select(1, order) for part in state)
        y, end = self._run(x, state, lengths, padding)
        y = y.masked_fill(padding.unsqueeze(2), 0.0)
        y = _PermuteRows.apply(y.reshape(time * batch, -1), leave, enter).view(batch, time, -1)
        return y, tuple(part.index_select(1, back) for part in end)

    def _run(
        self, x: Tensor, state: State | None, lengths: Tensor | None = None, padding: Tensor | None = None
    ) -> tuple[Tensor, State]:
        """Run all layers over x (time, batch, features); uneven rows come with decreasing lengths and their padding."""
        reversal = None if lengths is None or padding is None else _reversal(lengths, padding)
        starts = self.init_state(x.shape[1]) if state is None else state
        ends: list[State] = []

        def directed(index: int, d: int, x: Tensor) -> Tensor:
            start = tuple(part[index * self.directions + d] for part in starts)
            weights = self.at(index)[d].weights()
            inputs = x.contiguous() if d == 0 else _reverse(x, reversal)
            if padding is None or lengths is None:
                y, end = run(self.cell, inputs, start, weights)
            else:
                y, end = run_within(self.cell, inputs, lengths, padding, start, weights)
            ends.append(end)
            return y if d == 0 else _reverse(y, reversal)

        x = self._through_layers(x, directed)
        return x, tuple(torch.stack(parts) for parts in zip(*ends, strict=True))

    def advance(self, x: Tensor, state: State, keep: int) -> tuple[Tensor, State]:
        """Continue sequences whose steps so far left `state`, by the first `keep` steps of x (batch, time, input_size).

        The steps after them are context: forward directions run on over it, but the state returned is that
        before it; backward directions start at its end, from nothing (Zhang et al. 2016, "Highway long
        short-term memory RNNs", section 4: latency-controlled). A stack of one direction needs none.
        Returns y (batch, keep, output_size) and the state.
        """
        ends = [part.clone() for part in state]

        def directed(index: int, d: int, x: Tensor) -> Tensor:
            place = index * self.directions + d
            weights = self.at(index)[d].weights()
            start = tuple(part[place] for part in state)
            if d == 1:
                y, _ = run(self.cell, x.flip(0), tuple(torch.zeros_like(part) for part in start), weights)
                return y.flip(0)
            y, end = run(self.cell, x[:keep].contiguous(), start, weights)
            for part, new in zip(ends, end, strict=True):
                part[place] = new
            if keep == len(x):
                return y
            return torch.cat([y, run(self.cell, x[keep:].contiguous(), end, weights)[0]])

        y = self._through_layers(x.transpose(0, 1), directed)
        return y[:keep].transpose(0, 1), tuple(ends)

    def init_state(self, batch: int = 1) -> State:
        """Return the state before the first step, zeros."""
        like = self.at(0)[0].weight_hh
        zeros = like.new_zeros(self.num_layers * self.directions, batch, self.hidden_size)
        return (zeros, zeros) if self.cell == "lstm" else (zeros,)

    def _through_layers(self, x: Tensor, directed: Callable[[int, int, Tensor], Tensor]) -> Tensor:
        """Run x (time, batch, features) up the layers; `directed(layer, direction, x)` runs one direction."""
        for index in range(self.num_layers):
            before = x
            if self.norms is not None:
                x = self.norms[index](x)
            if index > 0 and self.dropout and self.training:
                x = self._drop(x)
            outputs = [directed(index, d, x) for d in range(self.directions)]
            x = outputs[0] if len(outputs) == 1 else torch.cat(outputs, dim=2)
            if self.residual and before.shape[2] == self.output_size:
                x = x + before
        return x

    def at(self, layer: int) -> list[Direction]:
        """Return the directions of a layer."""
        directions: Any = self.layers[layer]
        return list(directions)

    def level(self, layer: int) -> list[nn.Module]:
        """Return all that belongs to a layer: its directions, and its normalisation if it has one."""
        return [*self.at(layer), *([] if self.norms is None else [self.norms[layer]])]

    def _drop(self, x: Tensor) -> Tensor:
        if not self.variational:
            return nn.functional.dropout(x, self.dropout)
        keep = x.new_empty(1, *x.shape[1:]).bernoulli_(1.0 - self.dropout)
        return x * (keep / (1.0 - self.dropout))

    def torch_names(self) -> Iterator[tuple[Direction, list[str]]]:
        """Yield each direction of each layer with the names that torch gives its weights."""
        for index in range(self.num_layers):
            for direction, suffix in zip(self.at(index), (f"l{index}", f"l{index}_reverse"), strict=False):
                yield direction, [f"{kind}_{suffix}" for kind in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")]

    def _check(self, x: Tensor, state: State | None) -> None:
        if x.dim() != 3 or x.shape[2] != self.input_size:
            raise ValueError(f"x must be (batch, time, {self.input_size}), not {tuple(x.shape)}")
        if x.shape[1] == 0:
            raise ValueError("x has no time steps")
        expected = (self.num_layers * self.directions, x.shape[0], self.hidden_size)
        for part in state or ():
            if tuple(part.shape) != expected:
                raise ValueError(f"each part of the state must be {expected}, not {tuple(part.shape)}")


class _PermuteRows(torch.autograd.Function):
    """Reorder the rows of a matrix; with the inverse at hand, backward is a gather too, and no slow scatter."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, index: Tensor, inverse: Tensor) -> Tensor:
        ctx.save_for_backward(inverse)
        return x.index_select(0, index)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        (gradient,) = gradients
        (inverse,) = ctx.saved_tensors
        return gradient.contiguous().index_select(0, inverse), None, None


def _reverse(x: Tensor, reversal: Tensor | None) -> Tensor:
    """Reverse x (time, batch, features) in time, each sequence inside its own length."""
    if reversal is None:
        return x.flip(0)
    reversed_rows: Tensor = _PermuteRows.apply(x.reshape(-1, x.shape[2]), reversal, reversal)
    return reversed_rows.view(x.shape)


def _reversal(lengths: Tensor, padding: Tensor) -> Tensor:
    """Return (time * batch,): for each step the flat place of the step that takes its place."""
    time, batch = padding.shape
    steps = torch.arange(time, device=lengths.device).unsqueeze(1)
    source = torch.where(padding, steps, lengths.unsqueeze(0) - 1 - steps)
    return (source * batch + torch.arange(batch, device=lengths.device)).flatten()
