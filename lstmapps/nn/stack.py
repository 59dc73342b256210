"""Layers of one cell over batches of sequences of any lengths: what every recurrent layer is made of.

Padding costs little and changes nothing: a backward direction reverses each sequence inside its own
length and runs over the padded batch in fused calls that drop rows as they end, which is exact and
several times faster than `torch.nn.LSTM` on a PackedSequence (`make bench`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from lstmapps.lengths import Lengths, padding_mask, whole_lengths
from lstmapps.nn.cells import Cell, State, Weights
from lstmapps.nn.engine import run, run_within
from lstmapps.nn.noise import Drawn, RecurrentNoise


@dataclass(frozen=True)
class Extras:
    """What a stack has besides its cell, see `RecurrentLayer`."""

    dropout: float = 0.0
    variational: bool = False
    input_layer_norm: bool = False
    residual: bool = False
    noise: RecurrentNoise = RecurrentNoise()


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
        self.check(x, state)
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

    def check(self, x: Tensor, state: State | None) -> None:
        """Raise ValueError unless x and the state have the shapes that they should have."""
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

    def torch_names(self) -> Iterator[tuple[Direction, list[str]]]:
        """Yield each direction of each layer with the names that torch gives its weights."""
        for index in range(self.num_layers):
            for direction, suffix in zip(self.at(index), (f"l{index}", f"l{index}_reverse"), strict=False):
                yield direction, [f"{name}_{suffix}" for name in self.cell.shapes(1, self.hidden_size)]


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
