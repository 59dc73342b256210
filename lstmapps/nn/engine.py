"""Where the way of computing a recurrent layer is chosen: one direction over a whole sequence.

Every cell runs in torch's fused layers (oneDNN on a CPU, cuDNN on a GPU), but for the few steps at a time of
a stream, which run in the cells themselves. A faster engine takes its place inside `_run`; whatever runs, the
numbers are those of `lstmapps.nn.cells`.

Under autocast everything that comes out has autocast's dtype. A CPU that has no instructions for a half
precision computes in float32 and rounds what comes out.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional

from lstmapps.nn.cells import Weights, gru_recur, lstm_recur

Cell = Literal["lstm", "gru", "rnn"]
State = tuple[Tensor, ...]
"""`(h, c)` of an LSTM, `(h,)` of the others, each (batch, hidden)."""

GATES: dict[Cell, int] = {"lstm": 4, "gru": 3, "rnn": 1}
_FEW = 8  # steps; oneDNN packs an LSTM's weights anew at every call, which costs more than so few steps of it
_SATURATE = 1e4  # sigmoid(1e4) is 1 and sigmoid(-1e4) is 0, to the last bit, in every precision


def run(cell: Cell, x: Tensor, state: State, weights: Weights) -> tuple[Tensor, State]:
    """Run one direction of one layer over x (time, batch, input), every row to the last step.

    Returns y (time, batch, hidden) and the state after the last step.
    """
    return _in_one_precision(lambda x, state, weights: _run(cell, x, state, weights), x, state, weights)


def run_within(
    cell: Cell, x: Tensor, lengths: Tensor, padding: Tensor, state: State, weights: Weights
) -> tuple[Tensor, State]:
    """Run as `run`, but each row to its own length: return its state there; what y holds beyond is noise.

    `lengths` (batch,), decreasing, and `padding` (time, batch), true beyond a length. On a CPU, rows that
    have ended are dropped at a few cuts in time, so that a batch of uneven lengths costs little more
    than its real steps.
    """
    if torch.compiler.is_exporting():
        h, c = state[0], state[-1]
        y, h, c = torch.ops.lstmapps.run_within(cell, x, lengths, h, c, *weights)
        return y, (h, c)[: len(state)]
    return _in_one_precision(
        lambda x, state, weights: _run_within(cell, x, lengths, padding, state, weights), x, state, weights
    )


def _in_one_precision(
    compute: Callable[[Tensor, State, Weights], tuple[Tensor, State]], x: Tensor, state: State, weights: Weights
) -> tuple[Tensor, State]:
    """Compute in autocast's precision, or that of the weights, as far as the device has it; return all in it."""
    kind = x.device.type
    automatic = torch.is_autocast_enabled(kind)
    wanted = torch.get_autocast_dtype(kind) if automatic else weights[0].dtype
    within = wanted if kind != "cpu" or _cpu_computes(wanted) else torch.float32
    if within == weights[0].dtype == x.dtype and not automatic:
        return compute(x, state, weights)
    weight_ih, weight_hh, bias_ih, bias_hh = (weight.to(within) for weight in weights)
    with torch.autocast(kind, enabled=False):
        cast = tuple(part.to(within) for part in state)
        y, end = compute(x.to(within), cast, (weight_ih, weight_hh, bias_ih, bias_hh))
    return y.to(wanted), tuple(part.to(wanted) for part in end)


def _cpu_computes(dtype: torch.dtype) -> bool:
    """Tell whether oneDNN's recurrent layers take this dtype on this CPU."""
    return dtype.itemsize >= 4 or (dtype == torch.bfloat16 and torch.ops.mkldnn._is_mkldnn_bf16_supported())


def _run(cell: Cell, x: Tensor, state: State, weights: Weights) -> tuple[Tensor, State]:
    if len(x) <= _FEW and x.device.type == "cpu" and not torch.is_grad_enabled():
        return _step_by_step(cell, x, state, weights)
    h = state[0].unsqueeze(0)
    if cell == "lstm":
        c = state[1].unsqueeze(0)
        y, h, c = torch.lstm(x, (h, c), list(weights), True, 1, 0.0, torch.is_grad_enabled(), False, False)
        return y, (h[0], c[0])
    layer = torch.gru if cell == "gru" else torch.rnn_tanh
    y, h = layer(x, h, list(weights), True, 1, 0.0, torch.is_grad_enabled(), False, False)
    return y, (h[0],)


def _step_by_step(cell: Cell, x: Tensor, state: State, weights: Weights) -> tuple[Tensor, State]:
    """Run as `run`, by the cells themselves."""
    weight_ih, weight_hh, bias_ih, bias_hh = weights
    outputs = []
    for now in functional.linear(x, weight_ih, bias_ih):
        share = functional.linear(state[0], weight_hh, bias_hh)
        if cell == "lstm":
            state = lstm_recur(now, share, state[1])
        else:
            state = (gru_recur(now, share, state[0]) if cell == "gru" else (now + share).tanh(),)
        outputs.append(state[0])
    return torch.stack(outputs), state


def _run_within(
    cell: Cell, x: Tensor, lengths: Tensor, padding: Tensor, state: State, weights: Weights
) -> tuple[Tensor, State]:
    """Run as `run_within`, in one precision.

    The hidden state is read off the output. The cell state of an LSTM is kept by one more input that
    is 1 in the padding and closes the input gate and opens the forget gate, so that c' = 1 * c + 0 * g:
    exact, and the layer still runs fused.
    """
    if cell == "lstm":
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
    h: Tensor,
    c: Tensor,
    weight_ih: Tensor,
    weight_hh: Tensor,
    bias_ih: Tensor,
    bias_hh: Tensor,
) -> tuple[Tensor, Tensor, Tensor]:
    """Run as `run_within`, as one node of an exported graph, which knows no lengths: return y, h and c.

    A cell without c takes any and returns zeros.
    """
    state = (h, c) if cell == "lstm" else (h,)
    padding = torch.arange(len(x), device=x.device).unsqueeze(1) >= lengths.unsqueeze(0)
    kind: Cell = cell  # type: ignore[assignment]
    y, end = run_within(kind, x, lengths, padding, state, (weight_ih, weight_hh, bias_ih, bias_hh))
    h = end[0].clone()
    return y.contiguous(), h, end[1].clone() if cell == "lstm" else torch.zeros_like(h)


@_exported.register_fake
def _(cell: str, x: Tensor, lengths: Tensor, h: Tensor, *others: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    return x.new_empty(x.shape[0], x.shape[1], h.shape[1]), torch.empty_like(h), torch.empty_like(h)
