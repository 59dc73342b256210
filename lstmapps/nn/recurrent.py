"""Recurrent layers for batches of sequences of any lengths: LSTMs since 1997, GRU, MGU, sLSTM, Elman and Jordan nets.

Padding costs little and changes nothing: a backward direction reverses each sequence inside its own
length and runs over the padded batch in fused calls that drop rows as they end, which is exact and
several times faster than `torch.nn.LSTM` on a PackedSequence (`make bench`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Self

import torch
from torch import Tensor, nn

from lstmapps.lengths import Lengths, padding_mask, whole_lengths
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
    State,
    Variant,
    Weights,
)
from lstmapps.nn.engine import run, run_within
from lstmapps.nn.noise import Drawn, RecurrentNoise

__all__ = [
    "GRU",
    "LSTM",
    "MGU",
    "RNN",
    "SLSTM",
    "ElementwiseLSTM",
    "JordanRNN",
    "RecurrentLayer",
    "RecurrentStack",
]

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


@dataclass(frozen=True)
class Extras:
    """What a stack has besides its cell, see `RecurrentLayer`."""

    dropout: float = 0.0
    variational: bool = False
    input_layer_norm: bool = False
    residual: bool = False
    noise: RecurrentNoise = RecurrentNoise()


class Direction(nn.Module):
    """The weights of one direction of one layer, named and laid out as in torch."""

    def __init__(self, cell: Cell, input_size: int, hidden_size: int) -> None:
        super().__init__()
        self.cell, self.hidden_size = cell, hidden_size
        for name, shape in cell.shapes(input_size, hidden_size).items():
            setattr(self, name, nn.Parameter(torch.empty(shape)))
        cell.initialise(self.weights(), hidden_size)

    def weights(self) -> Weights:
        return tuple(self.parameters())

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
        extras: Extras = Extras(),
    ) -> None:
        super().__init__()
        if min(input_size, hidden_size, num_layers) < 1:
            raise ValueError("input_size, hidden_size and num_layers must be at least 1")
        if not 0.0 <= extras.dropout < 1.0:
            raise ValueError(f"dropout must lie in [0, 1), not {extras.dropout}")
        if extras.noise.state and cell.hears is None:
            raise ValueError(f"{cell} has recurrent weights besides those of its gates; leave its state whole")
        if any(extras.noise.zoned) and not cell.zones:
            raise ValueError(f"{cell} has a memory of several parts that go together; leave zoneout out")
        self.cell, self.extras = cell, extras
        self.input_size, self.hidden_size, self.num_layers = input_size, hidden_size, num_layers
        self.directions = 2 if bidirectional else 1
        self.output_size = self.directions * cell.state_sizes(hidden_size)[0]
        self.layers, self.norms = nn.ModuleList(), nn.ModuleList() if extras.input_layer_norm else None
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
            drawn = self._drawn(start)
            if padding is None or lengths is None:
                y, end = run(self.cell, inputs, start, weights, drawn)
            else:
                y, end = run_within(self.cell, inputs, lengths, padding, start, weights, drawn)
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
                nothing = tuple(torch.zeros_like(part) for part in start)
                y, _ = run(self.cell, x.flip(0), nothing, weights, self._drawn(nothing))
                return y.flip(0)
            y, end = run(self.cell, x[:keep].contiguous(), start, weights, self._drawn(start))
            for part, new in zip(ends, end, strict=True):
                part[place] = new
            if keep == len(x):
                return y
            return torch.cat([y, run(self.cell, x[keep:].contiguous(), end, weights, self._drawn(end))[0]])

        y = self._through_layers(x.transpose(0, 1), directed)
        return y[:keep].transpose(0, 1), tuple(ends)

    def init_state(self, batch: int = 1) -> State:
        """Return the state before the first step, zeros."""
        like, count = self.at(0)[0].weights()[0], self.num_layers * self.directions
        return tuple(like.new_zeros(count, batch, size) for size in self.cell.state_sizes(self.hidden_size))

    def _drawn(self, state: State) -> Drawn | None:
        """Draw what a run from a state loses, if anything; in use only zoneout is left of it."""
        noise = self.extras.noise
        if not (noise and (self.training or any(noise.zoned))):
            return None
        return Drawn(noise, self.training, self.hidden_size, state[self.cell.hears or 0])

    def _through_layers(self, x: Tensor, directed: Callable[[int, int, Tensor], Tensor]) -> Tensor:
        """Run x (time, batch, features) up the layers; `directed(layer, direction, x)` runs one direction."""
        for index in range(self.num_layers):
            before = x
            if self.norms is not None:
                x = self.norms[index](x)
            if index > 0 and self.extras.dropout and self.training:
                x = self._drop(x)
            outputs = [directed(index, d, x) for d in range(self.directions)]
            x = outputs[0] if len(outputs) == 1 else torch.cat(outputs, dim=2)
            if self.extras.residual and before.shape[2] == self.output_size:
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
        share = self.extras.dropout
        if not self.extras.variational:
            return nn.functional.dropout(x, share)
        keep = x.new_empty(1, *x.shape[1:]).bernoulli_(1.0 - share)
        return x * (keep / (1.0 - share))

    def torch_names(self) -> Iterator[tuple[Direction, list[str]]]:
        """Yield each direction of each layer with the names that torch gives its weights."""
        for index in range(self.num_layers):
            for direction, suffix in zip(self.at(index), (f"l{index}", f"l{index}_reverse"), strict=False):
                yield direction, [f"{name}_{suffix}" for name in self.cell.shapes(1, self.hidden_size)]

    def _check(self, x: Tensor, state: State | None) -> None:
        if x.dim() != 3 or x.shape[2] != self.input_size:
            raise ValueError(f"x must be (batch, time, {self.input_size}), not {tuple(x.shape)}")
        if x.shape[1] == 0:
            raise ValueError("x has no time steps")
        if state is None:
            return
        count, sizes = self.num_layers * self.directions, self.cell.state_sizes(self.hidden_size)
        expected, given = [(count, x.shape[0], size) for size in sizes], [tuple(part.shape) for part in state]
        if given != expected:
            shown = [" and ".join(map(str, shapes)) for shapes in (expected, given)]
            raise ValueError(f"the state must be {shown[0]}, not {shown[1]}")


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
