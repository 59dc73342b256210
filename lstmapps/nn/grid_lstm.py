"""Grid LSTM: memory cells along every dimension of a network, its depth too, computed by anti-diagonals."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from lstmapps.nn.multidimensional import check_state, own_sizes, within
from lstmapps.nn.wavefront import Wavefront, handed_on

Block = list[tuple[Tensor, Tensor]]
"""`(h, m)`, what is heard and remembered, along each dimension, each (…, batch, hidden)."""


def grid_lstm_step(before: Block, weight: Tensor, bias: Tensor, priority: Sequence[int] = ()) -> Block:
    """Advance a block of a grid LSTM (Kalchbrenner et al. 2016, "Grid long short-term memory", eq. 1 to 7).

        H = (h_1, …, h_N)                                           what comes in along all dimensions
        u = sigma(W_u H + b_u)      f = sigma(W_f H + b_f)          for each dimension, with weights of its own
        g = tanh (W_g H + b_g)      o = sigma(W_o H + b_o)
        m' = f * m + u * g                                          h' = tanh(o * m')

    priority: dimensions that are computed last, of an H in which the others' h are already h' (section 3.3).

    before: what comes in along each dimension. weight (…, dimensions, 4 * hidden, dimensions * hidden) and bias (…,
    dimensions, 4 * hidden), rows in the order u, f, g, o. Returns what goes out along each dimension.
    """
    after = list(before)
    for axes in ([axis for axis in range(len(before)) if axis not in priority], list(priority)):
        if not axes:
            continue
        heard = torch.cat([h for h, _ in after], dim=-1)
        own, offset = weight[..., axes, :, :].flatten(-3, -2), bias[..., axes, :].flatten(-2)
        sums = heard @ own.mT + offset.unsqueeze(-2)
        for axis, part in zip(axes, sums.chunk(len(axes), dim=-1), strict=True):
            u, f, g, o = part.chunk(4, dim=-1)
            m = f.sigmoid() * before[axis][1] + u.sigmoid() * g.tanh()
            after[axis] = ((o.sigmoid() * m).tanh(), m)
    return after


class GridLSTM(nn.Module):
    """Layers of a grid LSTM over grids of any number of dimensions, a sequence being one of one dimension.

        layer = GridLSTM(80, 128, num_layers=4)      # a 2-LSTM: cells along time and along depth
        y, (h, m) = layer(x, lengths)

    x is (batch, *sizes, input_size), `lengths` (batch, dimensions), or (batch,) of sequences, the own sizes of each
    input; without them every one is as large as x. x is projected to what comes in along the depth; y (batch, *sizes,
    hidden_size) is the h that goes out there, and zero beyond each input. A state is that along the last dimension: h
    and m (num_layers, batch, *sizes but the last, hidden_size). Along the others all begins with zeros.

    tied: all layers have the same weights. priority: dimensions that are computed last, of what the others give: the
        depth is number 0, those of the input follow.
    Raises ValueError if shapes do not fit.
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int,
        dimensions: int = 1,
        *,
        tied: bool = False,
        priority: Sequence[int] = (),
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        if min(input_size, hidden_size, num_layers, dimensions) < 1:
            raise ValueError("input_size, hidden_size, num_layers and dimensions must be at least 1")
        axes = dimensions + 1
        if len(set(priority)) != len(priority) or not set(priority) <= set(range(axes)):
            raise ValueError(f"priority names dimensions from 0, the depth, to {dimensions}, not {tuple(priority)}")
        self.input_size, self.hidden_size, self.num_layers = input_size, hidden_size, num_layers
        self.dimensions, self.priority, self.output_size = dimensions, tuple(priority), hidden_size
        sets = 1 if tied else num_layers
        shape = (sets, axes, 4 * hidden_size, axes * hidden_size)
        self.project = nn.Linear(input_size, 2 * hidden_size, device=device, dtype=dtype)
        self.weight = nn.Parameter(torch.empty(shape, device=device, dtype=dtype))
        self.bias = nn.Parameter(torch.zeros(shape[:-1], device=device, dtype=dtype))
        with torch.no_grad():
            for gate in self.weight.view(sets * axes * 4, hidden_size, -1):
                nn.init.xavier_uniform_(gate)
            self.bias[..., hidden_size : 2 * hidden_size] = 1.0

    def forward(
        self,
        x: Tensor,
        lengths: Tensor | Sequence[int] | Sequence[Sequence[int]] | None = None,
        state: tuple[Tensor, Tensor] | None = None,
    ) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        batch, *sizes = self._check(x, state)
        x = x.to(self.weight.dtype)
        own = own_sizes(lengths, batch, sizes, x.device)
        beyond = ~within(own, sizes).view(batch, *sizes, 1)
        depth = torch.full((batch, 1), self.num_layers, device=x.device)
        wave = Wavefront([self.num_layers, *sizes], x.device)
        inside = wave.inside(torch.cat([depth, own], dim=1)).unsqueeze(-1)  # (steps, layers, *across, batch, 1)
        entering = Wavefront(sizes, x.device).skewed(self.project(x.masked_fill(beyond, 0.0)).movedim(0, -2), 0)
        nothing = x.new_zeros(self.num_layers, *sizes[:-1], batch, self.hidden_size)
        start = (nothing, nothing) if state is None else tuple(part.to(x.dtype).movedim(1, -2) for part in state)
        now: Block = [*[(nothing, nothing)] * self.dimensions, (start[0], start[1])]
        spread = (slice(None), *[None] * (self.dimensions - 1))
        weight, bias = (part.expand(self.num_layers, *part.shape[1:])[spread] for part in (self.weight, self.bias))
        outputs = []
        for step in range(wave.steps):
            below = entering[min(step, len(entering) - 1)].chunk(2, dim=-1)
            before: Block = [
                tuple(handed_on(part, 0, border) for part, border in zip(now[0], below, strict=True)),  # type: ignore[list-item]
                *((handed_on(h, axis), handed_on(m, axis)) for axis, (h, m) in enumerate(now[1:-1], start=1)),
                now[-1],
            ]
            after = grid_lstm_step(before, weight, bias, self.priority)
            now = [
                (torch.where(inside[step], h, old_h), torch.where(inside[step], m, old_m))
                for (h, m), (old_h, old_m) in zip(after, now, strict=True)
            ]
            outputs.append(now[0][0][-1])
        top = outputs[self.num_layers - 1 :]
        y = Wavefront(sizes, x.device).straight(top, 0).movedim(-2, 0)
        h, m = (part.movedim(-2, 1) for part in now[-1])
        return y.masked_fill(beyond, 0.0), (h, m)

    def _check(self, x: Tensor, state: tuple[Tensor, Tensor] | None) -> torch.Size:
        if x.dim() != self.dimensions + 2 or x.shape[-1] != self.input_size or 0 in x.shape[1:]:
            named = ", ".join(f"size {number + 1}" for number in range(self.dimensions))
            raise ValueError(f"x must be (batch, {named}, {self.input_size}), not {tuple(x.shape)}")
        check_state(state, (self.num_layers, *x.shape[:-2], self.hidden_size))
        return x.shape[:-1]
