"""Attention: what a decoder looks at in the steps that an encoder has left.

Every kind has `memory(encoded, lengths)`, which computes once what does not depend on the query, and
`forward(query, memory, before)`: query (batch, queries, query_size); `before` (batch, steps), what was attended to
until now, for the kind that asks for it. It returns the context (batch, queries, memory_size) and the
weights (batch, queries, steps): not negative, of sum 1, zero beyond a length; all zero for a row of no steps.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from lstmapps.lengths import padding_mask

AttentionKind = Literal["dot", "general", "additive", "location", "multihead"]


@dataclass(frozen=True)
class Memory:
    """What is attended to: keys and values (batch, steps, size), padding (batch, steps), true beyond a length."""

    keys: Tensor
    values: Tensor
    padding: Tensor

    def extended(self, other: Memory) -> Memory:
        """Return this memory with the steps of another behind its own."""
        pairs = ((self.keys, other.keys), (self.values, other.values), (self.padding, other.padding))
        return Memory(*(torch.cat(pair, dim=1) for pair in pairs))

    def rows(self, index: Tensor) -> Memory:
        """Return the memory of the rows `index` (rows,)."""
        return Memory(self.keys[index], self.values[index], self.padding[index])


class DotAttention(nn.Module):
    """score = q . k (Luong et al. 2015, eq. 8, dot); query and memory are of one size."""

    needs_before = False

    def __init__(self, query_size: int, memory_size: int) -> None:
        super().__init__()
        if query_size != memory_size:
            raise ValueError(f"dot attention needs query and memory of one size, not {query_size} and {memory_size}")

    def memory(self, encoded: Tensor, lengths: Tensor) -> Memory:
        return Memory(encoded, encoded, padding_mask(lengths, encoded.shape[1]))

    def forward(self, query: Tensor, memory: Memory, before: Tensor | None = None) -> tuple[Tensor, Tensor]:
        return _attend(query @ memory.keys.transpose(1, 2), memory)


class GeneralAttention(nn.Module):
    """score = q . W k (Luong et al. 2015, eq. 8, general)."""

    needs_before = False

    def __init__(self, query_size: int, memory_size: int) -> None:
        super().__init__()
        self.key = nn.Linear(memory_size, query_size, bias=False)

    def memory(self, encoded: Tensor, lengths: Tensor) -> Memory:
        return Memory(self.key(encoded), encoded, padding_mask(lengths, encoded.shape[1]))

    def forward(self, query: Tensor, memory: Memory, before: Tensor | None = None) -> tuple[Tensor, Tensor]:
        return _attend(query @ memory.keys.transpose(1, 2), memory)


class AdditiveAttention(nn.Module):
    """score = v . tanh(W q + U k + b) (Bahdanau et al. 2015, section A.1.2); v and the sum are of the query's size."""

    needs_before = False

    def __init__(self, query_size: int, memory_size: int) -> None:
        super().__init__()
        self.query = nn.Linear(query_size, query_size, bias=False)
        self.key = nn.Linear(memory_size, query_size)
        self.score = nn.Linear(query_size, 1, bias=False)

    def memory(self, encoded: Tensor, lengths: Tensor) -> Memory:
        return Memory(self.key(encoded), encoded, padding_mask(lengths, encoded.shape[1]))

    def forward(self, query: Tensor, memory: Memory, before: Tensor | None = None) -> tuple[Tensor, Tensor]:
        sums = self.query(query).unsqueeze(2) + memory.keys.unsqueeze(1)
        return _attend(self.score(sums.tanh()).squeeze(3), memory)


class LocationAttention(AdditiveAttention):
    """score = v . tanh(W q + U k + V f + b), f a convolution over what was attended to before (Chorowski et al. 2015,
    eq. 8 and 9, over the sum of all steps before).

    channels, width: of the convolution. One query at a time.
    """

    needs_before = True

    def __init__(self, query_size: int, memory_size: int, channels: int = 8, width: int = 15) -> None:
        super().__init__(query_size, memory_size)
        self.convolution = nn.Conv1d(1, channels, width, padding=width // 2, bias=False)
        self.location = nn.Linear(channels, query_size, bias=False)

    def forward(self, query: Tensor, memory: Memory, before: Tensor | None = None) -> tuple[Tensor, Tensor]:
        if before is None or query.shape[1] != 1:
            raise ValueError("location-aware attention takes one query at a time, and what was attended to before")
        places = self.location(self.convolution(before.unsqueeze(1)).transpose(1, 2))
        sums = self.query(query) + memory.keys + places
        return _attend(self.score(sums.tanh()).transpose(1, 2), memory)


class MultiHeadAttention(nn.Module):
    """Several scaled dot products side by side, each of its own share of the features (Vaswani et al. 2017, 3.2.2).

    The weights returned are the mean over the heads. heads: they divide the query's size.
    """

    needs_before = False

    def __init__(self, query_size: int, memory_size: int, heads: int = 4) -> None:
        super().__init__()
        if heads < 1 or query_size % heads:
            raise ValueError(f"{heads} heads do not divide a query of {query_size}")
        self.heads = heads
        self.query = nn.Linear(query_size, query_size)
        self.key = nn.Linear(memory_size, query_size)
        self.value = nn.Linear(memory_size, query_size)
        self.out = nn.Linear(query_size, memory_size)

    def memory(self, encoded: Tensor, lengths: Tensor) -> Memory:
        return Memory(self.key(encoded), self.value(encoded), padding_mask(lengths, encoded.shape[1]))

    def forward(self, query: Tensor, memory: Memory, before: Tensor | None = None) -> tuple[Tensor, Tensor]:
        q, k, v = (self._apart(x) for x in (self.query(query), memory.keys, memory.values))
        scores = q @ k.transpose(2, 3) * q.shape[3] ** -0.5
        weights = _weights(scores, memory.padding[:, None, None])
        context = (weights @ v).transpose(1, 2).flatten(2)
        return self.out(context), weights.mean(dim=1)

    def _apart(self, x: Tensor) -> Tensor:
        """Turn (batch, steps, size) into (batch, heads, steps, size / heads)."""
        return x.view(*x.shape[:2], self.heads, -1).transpose(1, 2)


Attention = DotAttention | GeneralAttention | AdditiveAttention | MultiHeadAttention


def attention(kind: AttentionKind, query_size: int, memory_size: int, heads: int = 4) -> Attention:
    """Return the attention of a kind; `heads` is for the one that has several."""
    if kind == "multihead":
        return MultiHeadAttention(query_size, memory_size, heads)
    kinds: dict[str, type[DotAttention | GeneralAttention | AdditiveAttention]] = {
        "dot": DotAttention,
        "general": GeneralAttention,
        "additive": AdditiveAttention,
        "location": LocationAttention,
    }
    if kind not in kinds:
        raise ValueError(f"there is no attention {kind!r}; choose multihead, {', '.join(kinds)}")
    return kinds[kind](query_size, memory_size)


def _attend(scores: Tensor, memory: Memory) -> tuple[Tensor, Tensor]:
    """Return context and weights of scores (batch, queries, steps)."""
    weights = _weights(scores, memory.padding.unsqueeze(1))
    return weights @ memory.values, weights


def _weights(scores: Tensor, padding: Tensor) -> Tensor:
    """Return the softmax of scores over the steps that are not padding."""
    lowest = torch.finfo(scores.dtype).min  # not -inf: a row of no steps has a gradient too
    return scores.masked_fill(padding, lowest).softmax(dim=-1).masked_fill(padding, 0.0)
