"""What turns an encoder's steps into symbols, all at once or one after the other.

Every head has `losses`, `greedy` and `change_symbols`, as `CTCHead` has them; a further kind of head is a file
like `transducer.py` and its place in a network's `heads`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from lstmapps.ctc import Span, ctc_loss, greedy_spans


class Head(Protocol):
    """What a network asks of a head; y (batch, steps, encoder_size) are encoded steps, lengths (batch,)."""

    def losses(self, y: Tensor, lengths: Tensor, targets: Tensor, target_lengths: Tensor) -> Tensor:
        """Return (batch,): minus the log-probability of each row's targets (batch, longest), in nats."""

    def greedy(self, y: Tensor, lengths: Tensor, state: Any = None) -> tuple[list[list[Span]], Any]:
        """Return for each row the symbols read, and the state from which steps that follow are read."""

    def change_symbols(self, sources: Sequence[int | None]) -> None:
        """Take new symbols, in place: number i starts from the old number `sources[i]`, or from the mean of all."""


class CTCHead(nn.Linear):
    """Scores every symbol at every step: logits (batch, steps, symbols) of y, read by their most probable path.

    Its state is the symbol (batch,) on which the last step ended: one that goes on is not read twice.
    """

    def losses(self, y: Tensor, lengths: Tensor, targets: Tensor, target_lengths: Tensor) -> Tensor:
        """See `Head`; 0 for an input that has become too short for its targets by being varied."""
        return ctc_loss(self(y), lengths, targets, target_lengths, zero_infinity=True)

    def greedy(self, y: Tensor, lengths: Tensor, state: Tensor | None = None) -> tuple[list[list[Span]], Tensor]:
        """See `Head`."""
        logits = self(y)
        spans = greedy_spans(logits, lengths)
        before = torch.zeros_like(lengths) if state is None else state
        for row, last in enumerate(before.tolist()):
            if spans[row] and spans[row][0].start == 0 and spans[row][0].symbol == last:
                spans[row] = spans[row][1:]
        rows, ends = torch.arange(len(y), device=y.device), (lengths - 1).clamp(min=0)
        return spans, torch.where(lengths > 0, logits[rows, ends].argmax(dim=1), before)

    def change_symbols(self, sources: Sequence[int | None]) -> None:
        """See `Head`."""
        change_rows(self, sources)


class AuxiliaryHead(nn.Conv1d):
    """A CTC head on what an encoder's convolutions give, for training alone (see `CTCNetwork`)."""

    def __init__(self, features: int, symbols: int) -> None:
        super().__init__(features, symbols, 3, padding=1)

    def losses(self, features: Tensor, lengths: Tensor, targets: Tensor, target_lengths: Tensor) -> Tensor:
        """See `Head`, of features (batch, steps, feature_size)."""
        logits = self(features.transpose(1, 2)).transpose(1, 2)
        return ctc_loss(logits, lengths, targets, target_lengths, zero_infinity=True)

    def change_symbols(self, sources: Sequence[int | None]) -> None:
        """See `Head`."""
        change_rows(self, sources)


def change_rows(layer: nn.Linear | nn.Conv1d | nn.Embedding, sources: Sequence[int | None]) -> None:
    """Give a layer new rows in place: row i starts as a copy of the old row `sources[i]`.

    A row without a source starts from the mean of all rows, so that it is neither loud nor silent.
    """
    layer.weight = nn.Parameter(_rows(layer.weight.detach(), sources))
    if isinstance(layer, nn.Embedding):
        layer.num_embeddings = len(sources)
        return
    if layer.bias is not None:
        layer.bias = nn.Parameter(_rows(layer.bias.detach(), sources))
    if isinstance(layer, nn.Linear):
        layer.out_features = len(sources)
    else:
        layer.out_channels = len(sources)


def _rows(old: Tensor, sources: Sequence[int | None]) -> Tensor:
    mean = old.mean(dim=0)
    return torch.stack([mean if source is None else old[source] for source in sources])
