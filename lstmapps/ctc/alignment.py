"""Forced alignment: when each symbol of a known text was seen."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from lstmapps.lengths import padding_mask, refuse_nan


@dataclass(frozen=True)
class Span:
    """A symbol, the steps [start, end) on which it was seen, and its score, a probability."""

    symbol: int
    start: int
    end: int
    score: float


def forced_align(
    logits: Tensor, lengths: Tensor, targets: Tensor, target_lengths: Tensor, blank: int = 0
) -> list[list[Span]]:
    """Return where each target lies on the most probable path that spells the targets (Viterbi).

    logits (batch, time, symbols), lengths (batch,), targets (batch, longest), target_lengths
    (batch,). A span's score is the mean probability of its symbol over its steps. Raises ValueError
    naming the rows that are too short for their targets, or whose logits are not numbers.
    """
    refuse_nan("logits", logits, lengths)
    log_probabilities = logits.float().log_softmax(dim=2)
    batch, time, _ = log_probabilities.shape
    states = 2 * int(target_lengths.max()) + 1
    labels = torch.full((batch, states), blank, dtype=torch.long, device=logits.device)
    labels[:, 1::2] = targets[:, : states // 2]
    outside = torch.arange(states, device=logits.device) >= (2 * target_lengths + 1).unsqueeze(1)
    labels = labels.masked_fill(outside, blank)
    emissions = log_probabilities.gather(2, labels.unsqueeze(1).expand(batch, time, states))
    path, best = _viterbi(emissions, _may_skip(labels, blank), lengths, target_lengths)
    best = best.masked_fill((lengths == 0) & (target_lengths > 0), float("-inf"))
    impossible = [row for row, score in enumerate(best.tolist()) if score == float("-inf")]
    if impossible:
        raise ValueError(f"too short for their targets: rows {impossible}")
    on_path = emissions.gather(2, path.unsqueeze(2)).squeeze(2).exp()
    on_path = on_path.masked_fill(padding_mask(lengths, time), 0.0)
    return [
        _spans(path[row, :length].tolist(), on_path[row].tolist(), labels[row].tolist())
        for row, length in enumerate(lengths.tolist())
    ]


def _may_skip(labels: Tensor, blank: int) -> Tensor:
    """True where a state may be entered from two before: over a blank between different symbols."""
    skip = torch.zeros_like(labels, dtype=torch.bool)
    skip[:, 2:] = (labels[:, 2:] != blank) & (labels[:, 2:] != labels[:, :-2])
    return skip


def _viterbi(emissions: Tensor, skip: Tensor, lengths: Tensor, target_lengths: Tensor) -> tuple[Tensor, Tensor]:
    """Return the best path's states (batch, time), and its log-probability (batch,)."""
    batch, time, states = emissions.shape
    nothing = float("-inf")
    score = emissions.new_full((batch, states), nothing)
    score[:, :2] = emissions[:, 0, :2]
    score[:, 1:].masked_fill_((target_lengths == 0).unsqueeze(1), nothing)
    moves = torch.zeros(time, batch, states, dtype=torch.int8, device=emissions.device)
    for step in range(1, time):
        one = torch.nn.functional.pad(score, (1, 0), value=nothing)[:, :states]
        two = torch.nn.functional.pad(score, (2, 0), value=nothing)[:, :states].masked_fill(~skip, nothing)
        best, move = torch.stack([score, one, two]).max(dim=0)
        active = (step < lengths).unsqueeze(1)
        score = torch.where(active, best + emissions[:, step], score)
        moves[step] = torch.where(active, move, 0).to(torch.int8)
    rows = torch.arange(batch, device=emissions.device)
    end = 2 * target_lengths
    before = (end - 1).clamp(min=0)
    state = torch.where(score[rows, before] > score[rows, end], before, end)
    total = score[rows, state]
    path = torch.empty(batch, time, dtype=torch.long, device=emissions.device)
    for step in range(time - 1, -1, -1):
        path[:, step] = state
        state = state - moves[step][rows, state].long()
    return path, total


def _spans(path: list[int], probabilities: list[float], labels: list[int]) -> list[Span]:
    spans: list[Span] = []
    start = 0
    for step in range(1, len(path) + 1):
        if step == len(path) or path[step] != path[start]:
            if path[start] % 2 == 1:
                score = sum(probabilities[start:step]) / (step - start)
                spans.append(Span(labels[path[start]], start, step, score))
            start = step
    return spans
