"""LSTMs over grids of any number of dimensions, in all directions, computed by anti-diagonals."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product

import torch
from torch import Tensor, nn

from lstmapps.lengths import whole_numbers
from lstmapps.nn.wavefront import Wavefront, handed_on

Weights = tuple[Tensor, ...]
"""`weight_ih` (rows, input), `weight_hh` (rows, dimensions * hidden), `bias` (rows,) and, where the gates see the
cells, `weight_peephole` (2 * dimensions + 1, hidden): of each dimension's cell to the input gate, and to its forget
gate, and of the new cell to the output gate."""


def md_lstm_step(
    x: Tensor, before: Sequence[tuple[Tensor, Tensor]], weights: Weights, stable: bool = False
) -> tuple[Tensor, Tensor]:
    """Advance a multidimensional LSTM by one cell (Graves, Fernandez & Schmidhuber 2007, section 3).

        i   = sigma(W_i x + sum_d R_i^d h^d + sum_d p_i^d * c^d + b_i)
        f^d = sigma(W_f^d x + sum_e R_f^de h^e + p_f^d * c^d + b_f^d)       a forget gate for each dimension d
        g   = tanh (W_g x + sum_d R_g^d h^d + b_g)
        c'  = sum_d f^d * c^d + i * g
        o   = sigma(W_o x + sum_d R_o^d h^d + p_o * c' + b_o)               h' = o * tanh(c')

    stable: c' cannot grow with the number of paths: one forget gate f, and shares s of the cells before which sum up to
    one, c' = f * sum_d s^d * c^d + i * g (Leifert et al. 2016, "Cells in multidimensional recurrent neural networks",
    section 4).

    before: `(h, c)` of the cell before along each dimension, each (…, batch, hidden). Rows of `weight_ih` lie in the
    order i, f^1 … f^D, g, o, those of a stable cell i, f, s^1 … s^D, g, o. Returns `(h, c)`.
    """
    weight_ih, weight_hh, bias, *peepholes = weights
    sums = x @ weight_ih.mT + torch.cat([h for h, _ in before], dim=-1) @ weight_hh.mT + bias
    return md_lstm_recur(sums, [c for _, c in before], peepholes[0] if peepholes else None, stable)


def md_lstm_recur(
    sums: Tensor, before: Sequence[Tensor], peepholes: Tensor | None, stable: bool
) -> tuple[Tensor, Tensor]:
    """Advance as `md_lstm_step`, given the sums of all gates (…, rows) but for the peepholes, (2 * dimensions + 1, …,
    hidden)."""
    dimensions, hidden = len(before), before[0].shape[-1]
    *own, g, o = torch.split(sums, hidden, dim=-1)
    i, forgets, shares = own[0], own[1 : 2 if stable else dimensions + 1], own[2:]
    if peepholes is not None:
        seen = [peepholes[number] * before[number % dimensions] for number in range(2 * dimensions)]
        i = i + torch.stack(seen[:dimensions]).sum(dim=0)
        to_forgets = [torch.stack(seen[dimensions:]).sum(dim=0)] if stable else seen[dimensions:]
        forgets = [gate + more for gate, more in zip(forgets, to_forgets, strict=True)]
    if stable:
        kept = forgets[0].sigmoid() * (torch.stack(shares).softmax(dim=0) * torch.stack(list(before))).sum(dim=0)
    else:
        kept = torch.stack([f.sigmoid() * c for f, c in zip(forgets, before, strict=True)]).sum(dim=0)
    c = kept + i.sigmoid() * g.tanh()
    o = torch.sigmoid(o + (0.0 if peepholes is None else peepholes[-1] * c))
    return o * c.tanh(), c


class MDLSTM(nn.Module):
    """A multidimensional LSTM (Graves et al. 2007; Graves & Schmidhuber 2009 read handwriting with it).

        layer = MDLSTM(1, 16)                        # pictures
        y, (h, c) = layer(x, lengths)                # (batch, rows, columns, 4 * 16)

    x is (batch, *sizes, input_size), `lengths` (batch, dimensions) the own sizes of each grid, which may be 0; without
    them every grid is as large as x. y is (batch, *sizes, directions * hidden_size) and zero beyond each grid;
    direction number n runs backwards along every dimension d whose bit 2^d is set in n. A state is that along the last
    dimension: h and c (num_layers * directions, batch, *sizes but the last, hidden_size); returned, it is the state at
    each grid's own end, given, it is what each direction starts from. Along the others all begins with zeros.

    all_directions: 2^dimensions of them, or one, forwards along all. stable, peepholes: see `md_lstm_step`.
    Raises ValueError if shapes do not fit.
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        dimensions: int = 2,
        num_layers: int = 1,
        *,
        all_directions: bool = True,
        stable: bool = False,
        peepholes: bool = False,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        if min(input_size, hidden_size, dimensions, num_layers) < 1:
            raise ValueError("input_size, hidden_size, dimensions and num_layers must be at least 1")
        self.input_size, self.hidden_size = input_size, hidden_size
        self.dimensions, self.num_layers = dimensions, num_layers
        self.stable = stable
        self.directions = 2**dimensions if all_directions else 1
        self.gates = dimensions + (4 if stable else 3)
        self.output_size = self.directions * hidden_size
        self.layers = nn.ModuleList()
        for index in range(num_layers):
            size = self.output_size if index else input_size
            layer = _Directions(self.directions, self.gates, size, hidden_size, dimensions, stable, peepholes)
            self.layers.append(layer if device is None and dtype is None else layer.to(device, dtype))

    def forward(
        self,
        x: Tensor,
        lengths: Tensor | Sequence[Sequence[int]] | None = None,
        state: tuple[Tensor, Tensor] | None = None,
    ) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        batch, sizes = self._check(x, state)
        x = x.to(self.layers[0].bias.dtype)  # type: ignore[arg-type]
        own = own_sizes(lengths, batch, sizes, x.device)
        wave = Wavefront(sizes, x.device)
        inside = wave.inside(own).unsqueeze(-1).unsqueeze(1)  # (steps, 1, *across, batch, 1)
        beyond = ~within(own, sizes).view(batch, *sizes, 1)
        flips = [_flip_index(own, sizes, direction) for direction in self._reversed()]
        x = x.masked_fill(beyond, 0.0)
        ends: list[tuple[Tensor, Tensor]] = []
        for index, layer in enumerate(self.layers):
            shape = (self.directions, batch, *sizes[:-1], self.hidden_size)
            start = [x.new_zeros(shape)] * 2
            if state is not None:
                start = [part[index * self.directions : (index + 1) * self.directions].to(x.dtype) for part in state]
            turned = torch.stack([_turned(x, flip) for flip in flips])
            y, end = self._scan(layer, turned, wave, inside, [part.movedim(1, -2) for part in start])
            y = torch.cat([_turned(one, flip) for one, flip in zip(y, flips, strict=True)], dim=-1)
            x = y.masked_fill(beyond, 0.0)
            ends.append(end)
        h, c = (torch.cat([end[part].movedim(-2, 1) for end in ends]) for part in (0, 1))
        return x, (h, c)

    def _scan(
        self, layer: nn.Module, x: Tensor, wave: Wavefront, inside: Tensor, start: Sequence[Tensor]
    ) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        """Run all directions over x (directions, batch, *sizes, input), each as if it ran forwards.

        Returns y (directions, batch, *sizes, hidden) and the state along the last dimension.
        """
        weight_ih, weight_hh, bias, *peepholes = layer.parameters()
        axes = range(1, self.dimensions)
        inputs = torch.baddbmm(bias.unsqueeze(1), x.flatten(1, -2), weight_ih.mT).view(*x.shape[:-1], bias.shape[-1])
        inputs = wave.skewed(inputs.movedim(1, -2), 1)  # (steps, directions, *across, batch, rows)
        looking = None
        if peepholes:  # (2 * dimensions + 1, directions, 1 …, hidden), as wide as the cells are
            seen = peepholes[0].movedim(0, 1)
            looking = seen.reshape(*seen.shape[:2], *[1] * self.dimensions, self.hidden_size)
        h, c = start
        outputs = []
        for now, real in zip(inputs, inside, strict=True):
            around = [*(handed_on(h, axis) for axis in axes), h]
            cells = [*(handed_on(c, axis) for axis in axes), c]
            share = torch.bmm(torch.cat(around, dim=-1).flatten(1, -2), weight_hh.mT)
            new_h, new_c = md_lstm_recur(now + share.view(now.shape), cells, looking, self.stable)
            h, c = torch.where(real, new_h, h), torch.where(real, new_c, c)
            outputs.append(h)
        return wave.straight(outputs, 1).movedim(-2, 1), (h, c)

    def _reversed(self) -> list[tuple[bool, ...]]:
        """Return for each direction along which dimensions it runs backwards."""
        if self.directions == 1:
            return [(False,) * self.dimensions]
        return [tuple(reversed(bits)) for bits in product((False, True), repeat=self.dimensions)]

    def _check(self, x: Tensor, state: tuple[Tensor, Tensor] | None) -> tuple[int, tuple[int, ...]]:
        if x.dim() != self.dimensions + 2 or x.shape[-1] != self.input_size or 0 in x.shape[1:]:
            named = ", ".join(f"size {number + 1}" for number in range(self.dimensions))
            raise ValueError(f"x must be (batch, {named}, {self.input_size}), not {tuple(x.shape)}")
        batch, *sizes = x.shape[:-1]
        check_state(state, (self.num_layers * self.directions, batch, *sizes[:-1], self.hidden_size))
        return batch, tuple(sizes)


class _Directions(nn.Module):
    """The weights of all directions of one layer, each as in `md_lstm_step` with the directions before them."""

    def __init__(
        self, directions: int, gates: int, size: int, hidden: int, dimensions: int, stable: bool, peepholes: bool
    ) -> None:
        super().__init__()
        self.weight_ih = nn.Parameter(torch.empty(directions, gates * hidden, size))
        self.weight_hh = nn.Parameter(torch.empty(directions, gates * hidden, dimensions * hidden))
        self.bias = nn.Parameter(torch.zeros(directions, gates * hidden))
        if peepholes:
            self.weight_peephole = nn.Parameter(torch.zeros(directions, 2 * dimensions + 1, hidden))
        with torch.no_grad():
            for direction in range(directions):
                for gate in self.weight_ih[direction].chunk(gates):
                    nn.init.xavier_uniform_(gate)
                for gate in self.weight_hh[direction].chunk(gates):
                    for part in gate.chunk(dimensions, dim=1):
                        nn.init.orthogonal_(part, gain=dimensions**-0.5)
            forgetting = 1 if stable else dimensions
            self.bias[:, hidden : (1 + forgetting) * hidden] = 1.0


def check_state(state: tuple[Tensor, Tensor] | None, shape: tuple[int, ...]) -> None:
    """Raise ValueError unless a state that is given has two parts of that shape."""
    if state is None:
        return
    given = [tuple(part.shape) for part in ((state,) if isinstance(state, Tensor) else state)]
    if given != [shape, shape]:
        raise ValueError(f"the state must be two of {shape}, not {' and '.join(map(str, given))}")


def own_sizes(
    lengths: Tensor | Sequence[int] | Sequence[Sequence[int]] | None,
    batch: int,
    sizes: Sequence[int],
    device: torch.device,
) -> Tensor:
    """Return (batch, dimensions); raises ValueError unless they are whole and lie within the sizes of x."""
    largest = torch.tensor(sizes, device=device)
    if lengths is None:
        return largest.expand(batch, -1)
    own = whole_numbers(lengths, (batch, len(sizes)), device)
    if bool(((own < 0) | (own > largest)).any()):
        raise ValueError(f"lengths must lie between 0 and {tuple(sizes)}, the sizes of x")
    return own


def within(own: Tensor, sizes: Sequence[int]) -> Tensor:
    """Return (batch, cells), true within each grid."""
    return torch.stack([(place < own[:, axis : axis + 1]) for axis, place in enumerate(_places(sizes, own))]).all(dim=0)


def _places(sizes: Sequence[int], like: Tensor) -> list[Tensor]:
    """Return the coordinates (1, cells) along each dimension."""
    grids = torch.meshgrid(*(torch.arange(size, device=like.device) for size in sizes), indexing="ij")
    return [grid.reshape(1, -1) for grid in grids]


def _flip_index(own: Tensor, sizes: Sequence[int], backwards: Sequence[bool]) -> Tensor | None:
    """Return (batch * cells,): the cell that takes each cell's place, backwards within each grid's own sizes."""
    if not any(backwards):
        return None
    inside, flat = within(own, sizes), torch.zeros_like(own[:, :1])
    for axis, (place, size) in enumerate(zip(_places(sizes, own), sizes, strict=True)):
        taken = torch.where(inside, own[:, axis : axis + 1] - 1 - place, place) if backwards[axis] else place
        flat = flat * size + taken
    return (flat + torch.arange(len(own), device=own.device).unsqueeze(1) * flat.shape[1]).flatten()


def _turned(x: Tensor, index: Tensor | None) -> Tensor:
    """Put the cells of x (batch, *sizes, features) in another order, which is its own inverse."""
    return x if index is None else x.reshape(-1, x.shape[-1]).index_select(0, index).view(x.shape)
