"""Where the way of computing a recurrent layer is chosen: one direction over a whole sequence.

The plain LSTM, GRU and Elman cells run in torch's fused layers (oneDNN on a CPU, cuDNN on a GPU), but for the few steps
at a time of a stream. Every other cell, and whatever is drawn by chance within a recurrence, runs step by step in
the cells themselves. A faster engine takes its place in `_run` and `_run_within`; whatever runs, the numbers are those
of `lstmapps.nn.cells`.

Under autocast everything that comes out has autocast's dtype. A CPU that has no instructions for a half
precision computes in float32 and rounds what comes out.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict
from itertools import pairwise

import torch
from torch import Tensor
from torch.nn import functional

from lstmapps.nn import cells
from lstmapps.nn.cells import Cell, State, Weights
from lstmapps.nn.noise import Drawn, RecurrentNoise

_FEW = 8  # steps; oneDNN packs an LSTM's weights anew at every call, which costs more than so few steps of it
_SATURATE = 1e4  # sigmoid(1e4) is 1 and sigmoid(-1e4) is 0, to the last bit, in every precision


def run(cell: Cell, x: Tensor, state: State, weights: Weights, drawn: Drawn | None = None) -> tuple[Tensor, State]:
    """Run one direction of one layer over x (time, batch, input), every row to the last step.

    drawn: what is drawn by chance within the recurrence. Returns y (time, batch, hidden) and the state after the last
    step.
    """
    return _in_one_precision(lambda x, state, weights: _run(cell, x, state, weights, drawn), x, state, weights)


def run_within(
    cell: Cell,
    x: Tensor,
    lengths: Tensor,
    padding: Tensor,
    state: State,
    weights: Weights,
    drawn: Drawn | None = None,
) -> tuple[Tensor, State]:
    """Run as `run`, but each row to its own length: return its state there; what y holds beyond is noise.

    `lengths` (batch,), decreasing, and `padding` (time, batch), true beyond a length. On a CPU, rows that
    have ended are dropped at a few cuts in time, so that a batch of uneven lengths costs little more
    than its real steps.
    """
    if torch.compiler.is_exporting():
        zoned = [] if drawn is None else list(drawn.noise.zoned)
        y, *end = torch.ops.lstmapps.run_within(_written(cell), x, lengths, list(state), list(weights), zoned)
        return y, tuple(end)

    def compute(x: Tensor, state: State, weights: Weights) -> tuple[Tensor, State]:
        if cell.fused is None or drawn is not None:
            return _step_by_step(cell, x, state, weights, drawn, lengths.tolist())
        return _run_within(cell, x, lengths, padding, state, weights)

    return _in_one_precision(compute, x, state, weights)


def _in_one_precision(
    compute: Callable[[Tensor, State, Weights], tuple[Tensor, State]], x: Tensor, state: State, weights: Weights
) -> tuple[Tensor, State]:
    """Compute in autocast's precision, or that of the weights, as far as the device has it; return all in it."""
    kind = x.device.type
    automatic = torch.is_autocast_enabled(kind)
    wanted = torch.get_autocast_dtype(kind) if automatic else weights[0].dtype
    within = wanted if kind != "cpu" or _cpu_computes(wanted) else torch.float32
    if {within} == {part.dtype for part in (weights[0], x, *state)} and not automatic:
        return compute(x, state, weights)
    with torch.autocast(kind, enabled=False):
        cast = tuple(part.to(within) for part in state)
        y, end = compute(x.to(within), cast, tuple(weight.to(within) for weight in weights))
    return y.to(wanted), tuple(part.to(wanted) for part in end)


def _cpu_computes(dtype: torch.dtype) -> bool:
    """Tell whether oneDNN's recurrent layers take this dtype on this CPU."""
    return dtype.itemsize >= 4 or (dtype == torch.bfloat16 and torch.ops.mkldnn._is_mkldnn_bf16_supported())


def _run(cell: Cell, x: Tensor, state: State, weights: Weights, drawn: Drawn | None = None) -> tuple[Tensor, State]:
    few = len(x) <= _FEW and x.device.type == "cpu" and not torch.is_grad_enabled()
    if cell.fused is None or drawn is not None or few:
        return _step_by_step(cell, x, state, weights, drawn)
    h = state[0].unsqueeze(0)
    if cell.fused == "lstm":
        c = state[1].unsqueeze(0)
        y, h, c = torch.lstm(x, (h, c), list(weights), True, 1, 0.0, torch.is_grad_enabled(), False, False)
        return y, (h[0], c[0])
    layer = torch.gru if cell.fused == "gru" else torch.rnn_tanh
    y, h = layer(x, h, list(weights), True, 1, 0.0, torch.is_grad_enabled(), False, False)
    return y, (h[0],)


def _step_by_step(
    cell: Cell,
    x: Tensor,
    state: State,
    weights: Weights,
    drawn: Drawn | None = None,
    lengths: Sequence[int] | None = None,
) -> tuple[Tensor, State]:
    """Run as `run`, or with decreasing lengths as `run_within`, by the cell itself: rows that have ended are left."""
    weights = weights if drawn is None else drawn.weights(weights)
    inputs = cell.inputs(x, weights)
    if lengths is None:
        return _all_steps(cell, inputs, state, weights, drawn)
    time, batch = x.shape[:2]
    blocks: list[Tensor] = []
    ended: list[State] = []
    for begin, end, rows in _uneven(lengths):
        if rows < len(state[0]):
            ended.append(tuple(part[rows:] for part in state))
            state = tuple(part[:rows] for part in state)
        if end > begin:
            y, state = _all_steps(cell, inputs[begin:end, :rows], state, weights, drawn)
            blocks.append(functional.pad(y, (0, 0, 0, batch - rows)))
    done = sum(len(block) for block in blocks)
    if done < time:
        nothing = inputs[:0].sum()  # of which gradients are zeros, where no step is run at all
        blocks.append(x.new_zeros(time - done, batch, state[0].shape[1]) + nothing)
    return torch.cat(blocks), tuple(torch.cat(parts) for parts in zip(state, *reversed(ended), strict=True))


def _all_steps(cell: Cell, inputs: Tensor, state: State, weights: Weights, drawn: Drawn | None) -> tuple[Tensor, State]:
    """Run over what the inputs add to the gates (time, batch, rows), every row to the last step."""
    outputs = []
    for now in inputs:
        if drawn is None:
            state = cell.recur(now, state, weights)
        else:
            share = cell.share(drawn.heard(state, cell.hears or 0), weights)
            new = cell.advance(now, share, state, weights, drawn.entering(now))
            state = drawn.after(new, state)
        outputs.append(state[0])
    return torch.stack(outputs), state


def _uneven(lengths: Sequence[int]) -> list[tuple[int, int, int]]:
    """Cut the time of rows with decreasing lengths into `(begin, end, rows still active)` wherever one ends."""
    ends = [0, *sorted(set(lengths) - {0})]
    pieces = [(a, b, sum(length > a for length in lengths)) for a, b in pairwise(ends)]
    return [*pieces, (ends[-1], ends[-1], 0)]


def _run_within(
    cell: Cell, x: Tensor, lengths: Tensor, padding: Tensor, state: State, weights: Weights
) -> tuple[Tensor, State]:
    """Run as `run_within`, in one precision.

    The hidden state is read off the output. The cell state of an LSTM is kept by one more input that
    is 1 in the padding and closes the input gate and opens the forget gate, so that c' = 1 * c + 0 * g:
    exact, and the layer still runs fused.
    """
    if cell.fused == "lstm":
        weight_ih, weight_hh, bias_ih, bias_hh = weights
        gates = weight_ih.new_tensor([-_SATURATE, _SATURATE, 0.0, 0.0])
        hold = gates.repeat_interleave(weight_ih.shape[0] // 4).unsqueeze(1)
        weights = (torch.cat([weight_ih, hold], dim=1), weight_hh, bias_ih, bias_hh)
        x = torch.cat([x, padding.unsqueeze(2).to(x.dtype)], dim=2)
    time, batch = padding.shape
    parts: list[Tensor] = []
    now = state
    for begin, end, rows in _blocks(lengths.tolist()) if x.device.type == "cpu" else [(0, time, batch)]:
        active = tuple(part[:rows].contiguous() for part in now)
        part, after = _run(cell, x[begin:end, :rows].contiguous(), active, weights)
        parts.append(functional.pad(part, (0, 0, 0, batch - rows)))
        now = tuple(torch.cat([new, old[rows:]]) for new, old in zip(after, now, strict=True))
    done = sum(len(part) for part in parts)
    if done < time:
        parts.append(x.new_zeros(time - done, batch, weights[1].shape[1]))
    y = parts[0] if len(parts) == 1 else torch.cat(parts)
    last = (lengths - 1).clamp(min=0)
    at_end = y[last, torch.arange(batch, device=y.device)]
    h = torch.where((lengths > 0).unsqueeze(1), at_end, state[0])
    return y, (h, *now[1:])


def _blocks(lengths: list[int]) -> list[tuple[int, int, int]]:
    """Cut the time of rows with decreasing lengths into `(begin, end, rows still active)`.

    The cuts lie where a quarter, a half and three quarters of the rows have ended, and where the
    first ends; a cut that would save less than a tenth of the steps left is not made.
    """
    batch = len(lengths)
    longest = lengths[0]
    blocks: list[tuple[int, int, int]] = []
    begin, rows = 0, batch
    for quarter in range(4, 0, -1):
        end = lengths[max(0, batch * quarter // 4 - 1)]
        still = sum(length > end for length in lengths[:rows])
        if (longest - end) * (rows - still) * 10 < (longest - begin) * rows or end == begin:
            continue
        blocks.append((begin, end, rows))
        begin, rows = end, still
    if longest > begin:
        blocks.append((begin, longest, rows))
    return blocks or [(0, 1, batch)]


@torch.library.custom_op("lstmapps::run_within", mutates_args=())
def _exported(
    cell: str,
    x: Tensor,
    lengths: Tensor,
    state: Sequence[Tensor],
    weights: Sequence[Tensor],
    zoned: Sequence[float],
) -> list[Tensor]:
    """Run as `run_within`, as one node of an exported graph, which knows no lengths: return y and the state.

    zoned: shares of zoneout, if there is any.
    """
    padding = torch.arange(len(x), device=x.device).unsqueeze(1) >= lengths.unsqueeze(0)
    drawn = Drawn(RecurrentNoise(zoneout=(zoned[0], zoned[1])), False, 0, x) if zoned else None
    y, end = run_within(_read(cell), x, lengths, padding, tuple(state), tuple(weights), drawn)
    return [y.contiguous(), *(part.clone() for part in end)]


@_exported.register_fake
def _(
    cell: str,
    x: Tensor,
    lengths: Tensor,
    state: Sequence[Tensor],
    weights: Sequence[Tensor],
    zoned: Sequence[float],
) -> list[Tensor]:
    return [x.new_empty(x.shape[0], x.shape[1], state[0].shape[1]), *(torch.empty_like(part) for part in state)]


def _written(cell: Cell) -> str:
    """Return a cell as an exported graph names it."""
    return json.dumps([type(cell).__name__, asdict(cell)])  # type: ignore[call-overload]


def _read(written: str) -> Cell:
    name, settings = json.loads(written)
    kind: type[Cell] = {known.__name__: known for known in cells.CELLS}[name]
    return kind(**settings)
