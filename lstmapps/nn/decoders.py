"""Recurrent decoders: they write a text symbol by symbol, looking at what an encoder has left.

Every decoder keeps one contract, which `lstmapps.search` relies on:

    state = decoder.init_state(memory, lengths)
    logits, state, attention = decoder.step(tokens, state)
    state = decoder.reorder(state, index)

Symbol 0 stands before the first symbol of a text and after its last.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, Protocol, TypeVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from lstmapps.lengths import padding_mask
from lstmapps.nn.attention import AttentionKind, Memory, attention
from lstmapps.nn.cells import NAMED, State
from lstmapps.nn.heads import change_rows
from lstmapps.nn.stack import Direction

BOUNDARY = 0
"""The symbol before the first and after the last of a text."""


S = TypeVar("S")


class StepDecoder(Protocol[S]):
    """What a search asks of a decoder; S is its state."""

    def init_state(self, memory: Tensor, lengths: Tensor) -> S:
        """Return the state before the first symbol, over memory (batch, steps, memory_size) of these lengths."""

    def step(self, tokens: Tensor, state: S) -> tuple[Tensor, S, Tensor]:
        """Take the last symbols (batch,), 0 at the beginning.

        Returns logits (batch, symbols) of the next ones, the state after them, and what was attended to
        (batch, steps), zero in decoders that do not attend.
        """

    def reorder(self, state: S, index: Tensor) -> S:
        """Return the state whose row i is the old row `index[i]`, (rows,): repeated, left out or moved."""


@dataclass(frozen=True)
class DecoderSettings:
    """What a recipe says of an `AttentionDecoder`.

    embedding_size, hidden_size, num_layers, recurrent: of the recurrent layers and what they read.
    attention: its kind, asked by the first layer; what it gives is read by the layers above and by the
        output. "none" leaves a plain sequence-to-sequence decoder (Sutskever et al. 2014), which knows the input by its
        first state alone. heads: of multi-head attention.
    feeding: what the first layer reads beside the last symbol: nothing, so that training runs over all steps at once;
        the attentional vector of the last step, "input" (Luong et al. 2015, section 3.3); or what the state before
        attends to, "context" (Bahdanau et al. 2015, eq. 4 to 6).
    gate: the context is scaled, at each step, by one number that the query gives (Xu et al. 2015, section 4.2.1).
    sentinel: what the first layer remembers, gated, is one more place that can be attended to, so that words that are
        not seen need not be looked for (Lu et al. 2017, "Knowing when to look", eq. 9 to 13); of an LSTM alone. What a
        step tells as attended to then sums to less than 1.
    bridge: the first state is made of the first and last step of the memory ("ends"), of its mean ("mean"), or is zero.
    tied: the output has the weights of the embedding (Press & Wolf 2017); the attentional vector is of its size.
    dropout: share of what is dropped in training of each layer's input and of the attentional vector; variational:
        the same features at all steps (Gal & Ghahramani 2016). layer_norm: each layer's input is normalised.
    residual: each layer but the first adds the output of the one below.
    """

    embedding_size: int = 256
    hidden_size: int = 256
    num_layers: int = 1
    recurrent: Literal["lstm", "gru"] = "lstm"
    attention: AttentionKind | Literal["none"] = "general"
    heads: int = 4
    feeding: Literal["none", "input", "context"] = "none"
    gate: bool = False
    sentinel: bool = False
    bridge: Literal["ends", "mean", "none"] = "ends"
    tied: bool = True
    dropout: float = 0.0
    variational: bool = False
    layer_norm: bool = False
    residual: bool = False

    def __post_init__(self) -> None:
        if min(self.embedding_size, self.hidden_size, self.num_layers, self.heads) < 1:
            raise ValueError(f"sizes, layers and heads of a decoder are at least 1, unlike {self}")
        if not 0.0 <= self.dropout < 1.0:
            raise ValueError(f"dropout must lie in [0, 1), not {self.dropout}")
        if self.attention == "none" and (self.feeding == "context" or self.gate):
            raise ValueError("without attention there is no context that could be fed, or scaled")
        if self.sentinel and (self.recurrent != "lstm" or self.feeding == "context"):
            raise ValueError("a sentinel is what an LSTM remembers after it has read, so no context can be fed to it")
        if self.sentinel and self.attention in ("none", "location"):
            raise ValueError(f"a sentinel is one more place to attend to, which the attention {self.attention} has not")


@dataclass(frozen=True)
class DecoderState:
    """Where a decoder has come to.

    memory: what is attended to, a row for each text. layers: the state of each recurrent layer, parts (batch, hidden).
    fed (batch, size): the attentional vector of the last step. attended (batch, steps): the sum of the
    attention so far. rows (batch,): which of the texts that the search began with each row belongs to.
    """

    memory: Memory
    layers: tuple[State, ...]
    fed: Tensor
    attended: Tensor
    rows: Tensor


class AttentionDecoder(nn.Module):
    """An LSTM or GRU decoder with attention, as `DecoderSettings` describe it.

    At step t the first layer reads the embedding of the last symbol, its output asks the attention, the layers
    above read the output of the one below and the context c, and of the top one's output h the
    attentional vector tanh(W [h; c]) is made (Luong et al. 2015, eq. 5), of which the output layer makes logits.
    """

    def __init__(self, symbols: int, memory_size: int, settings: DecoderSettings = DecoderSettings()) -> None:
        super().__init__()
        self.settings, self.memory_size = settings, memory_size
        hidden, self.attends = settings.hidden_size, settings.attention != "none"
        size = settings.embedding_size if settings.tied else hidden
        self.embedding = nn.Embedding(symbols, settings.embedding_size)
        self.attention = None
        if settings.attention != "none":
            self.attention = attention(settings.attention, hidden, memory_size, settings.heads)
        context = memory_size if self.attends else 0
        fed = {"none": 0, "input": size, "context": memory_size}[settings.feeding]
        self.layers, self.norms = nn.ModuleList(), nn.ModuleList() if settings.layer_norm else None
        for index in range(settings.num_layers):
            inputs = hidden + context if index else settings.embedding_size + fed
            self.layers.append(Direction(NAMED[settings.recurrent], inputs, hidden))
            if self.norms is not None:
                self.norms.append(nn.LayerNorm(inputs))
        parts = 2 if settings.recurrent == "lstm" else 1
        width = {"ends": 2 * memory_size, "mean": memory_size, "none": 0}[settings.bridge]
        self.bridge = nn.Linear(width, settings.num_layers * parts * hidden) if width else None
        self.gate = nn.Linear(hidden, 1) if settings.gate else None
        self.sentinel = Sentinel(settings.embedding_size + fed, hidden, memory_size) if settings.sentinel else None
        self.combine = nn.Linear(hidden + context, size)
        self.output = nn.Linear(size, symbols)
        nn.init.normal_(self.embedding.weight, std=settings.embedding_size**-0.5)
        nn.init.zeros_(self.output.bias)
        self._tie()

    @property
    def sequential(self) -> bool:
        """Whether a step needs what the step before it gave, besides the states of the layers."""
        needs = self.attention is not None and self.attention.needs_before
        return needs or self.settings.feeding != "none" or self.settings.sentinel

    def init_state(self, memory: Tensor, lengths: Tensor) -> DecoderState:
        """See `StepDecoder`."""
        batch, steps = memory.shape[:2]
        if self.attention is None:
            # nothing is attended to: an empty memory, so that nothing is copied when rows move
            held = Memory(memory[:, :0], memory[:, :0], padding_mask(lengths, steps)[:, :0])
        else:
            held = self.attention.memory(memory, lengths)
        fed = memory.new_zeros(batch, self.combine.out_features)
        rows = torch.arange(batch, device=memory.device)
        return DecoderState(held, self._first(memory, lengths), fed, memory.new_zeros(batch, steps), rows)

    def _first(self, memory: Tensor, lengths: Tensor) -> tuple[State, ...]:
        """Return the first state of each layer."""
        settings, batch = self.settings, len(memory)
        parts = 2 if settings.recurrent == "lstm" else 1
        if self.bridge is None:
            zeros = memory.new_zeros(batch, settings.hidden_size)
            return ((zeros,) * parts,) * settings.num_layers
        if settings.bridge == "mean":
            seen = memory.sum(dim=1) / lengths.clamp(min=1).unsqueeze(1).to(memory.dtype)  # beyond a length it is zero
        else:
            rows = torch.arange(batch, device=memory.device)
            seen = torch.cat([memory[:, 0], memory[rows, (lengths - 1).clamp(min=0)]], dim=1)
        split = self.bridge(seen).tanh().split(settings.hidden_size, dim=1)
        return tuple(split[i : i + parts] for i in range(0, len(split), parts))

    def step(self, tokens: Tensor, state: DecoderState) -> tuple[Tensor, DecoderState, Tensor]:
        """See `StepDecoder`."""
        vectors, state, weights = self.vectors(tokens, state)
        return self.output(vectors), state, weights

    def vectors(self, tokens: Tensor, state: DecoderState) -> tuple[Tensor, DecoderState, Tensor]:
        """Return what `step` does, but the attentional vectors (batch, size) in the place of logits."""
        return self._step(self.embedding(tokens), state, _Dropout(self.settings, self.training))

    def reorder(self, state: DecoderState, index: Tensor) -> DecoderState:
        """See `StepDecoder`; the memory is copied only where rows of other texts take their places."""
        rows = state.rows[index]
        memory = state.memory if torch.equal(rows, state.rows) else state.memory.rows(index)
        layers = tuple(tuple(part[index] for part in parts) for parts in state.layers)
        return DecoderState(memory, layers, state.fed[index], state.attended[index], rows)

    def forward(self, tokens: Tensor, memory: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Return what `step` gives for known texts at once.

        tokens (batch, time): the symbols before each step, the first 0. Returns the attentional vectors (batch, time,
        size), of which `output` makes logits, and what was attended to (batch, time, steps).
        """
        state, drop = self.init_state(memory, lengths), _Dropout(self.settings, self.training)
        embedded = self.embedding(tokens)
        if not self.sequential:
            return self._all_steps(embedded, state, drop)
        vectors, attended = [], []
        for x in embedded.unbind(1):
            vector, state, weights = self._step(x, state, drop)
            vectors.append(vector)
            attended.append(weights)
        return torch.stack(vectors, dim=1), torch.stack(attended, dim=1)

    def _step(self, x: Tensor, state: DecoderState, drop: _Dropout) -> tuple[Tensor, DecoderState, Tensor]:
        feeding, context = self.settings.feeding, None
        if feeding == "input":
            x = torch.cat([x, state.fed], dim=1)
        elif feeding == "context":
            context, weights = self._attend(state.layers[0][0].unsqueeze(1), state)
            x = torch.cat([x, context.squeeze(1)], dim=1)
        y, first = self._layer(0, x.unsqueeze(1), state.layers[0], drop)
        if context is None:
            remembered = None
            if self.sentinel is not None:
                remembered = self.sentinel(x, state.layers[0][0], first[1])
            context, weights = self._attend(y, state, remembered)
        vectors, above = self._above(y, context, state.layers[1:], drop)
        attended = state.attended + weights.squeeze(1)
        after = replace(state, layers=(first, *above), fed=vectors.squeeze(1), attended=attended)
        return vectors.squeeze(1), after, weights.squeeze(1)

    def _all_steps(self, x: Tensor, state: DecoderState, drop: _Dropout) -> tuple[Tensor, Tensor]:
        y, _ = self._layer(0, x, state.layers[0], drop)
        context, weights = self._attend(y, state)
        vectors, _ = self._above(y, context, state.layers[1:], drop)
        return vectors, weights

    def _attend(self, query: Tensor, state: DecoderState, remembered: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Return the context and what was attended to, in the memory and, not told, in `remembered` (batch, size)."""
        if self.attention is None:
            return query[:, :, :0], state.attended.new_zeros(len(query), query.shape[1], state.attended.shape[1])
        if remembered is None:
            context, weights = self.attention(query, state.memory, state.attended)
        else:
            one = torch.ones(len(query), dtype=torch.long, device=query.device)
            further = self.attention.memory(remembered.unsqueeze(1), one)
            context, weights = self.attention(query, state.memory.extended(further))
            weights = weights[:, :, :-1]
        return context if self.gate is None else context * self.gate(query).sigmoid(), weights

    def _above(
        self, y: Tensor, context: Tensor, states: Sequence[State], drop: _Dropout
    ) -> tuple[Tensor, tuple[State, ...]]:
        """Run the layers above the first over y (batch, time, hidden); return the attentional vectors."""
        after = []
        for index, state in enumerate(states, start=1):
            z, end = self._layer(index, torch.cat([y, context], dim=2), state, drop)
            y = y + z if self.settings.residual else z
            after.append(end)
        vector = self.combine(torch.cat([y, context], dim=2)).tanh()
        return drop("vector", vector), tuple(after)

    def _layer(self, index: int, x: Tensor, state: State, drop: _Dropout) -> tuple[Tensor, State]:
        """Run a layer over x (batch, time, input)."""
        if self.norms is not None:
            x = self.norms[index](x)
        direction: Any = self.layers[index]
        x = drop(f"layer {index}", x)
        y, end = direction.run(x.transpose(0, 1).contiguous(), state)
        return y.transpose(0, 1), end

    def levels(self) -> list[nn.Module]:
        """Return the parts from the first layer to the output, for rates by level."""
        layers = [
            nn.ModuleList([each, *([] if self.norms is None else [self.norms[i]])])
            for i, each in enumerate(self.layers)
        ]
        below = [
            part for part in (self.embedding, self.bridge, self.attention, self.gate, self.sentinel) if part is not None
        ]
        return [nn.ModuleList(below), *layers, nn.ModuleList([self.combine, self.output])]

    def change_symbols(self, sources: Sequence[int | None]) -> None:
        """Take new symbols, in place; see `lstmapps.nn.heads.Head`."""
        change_rows(self.embedding, sources)
        change_rows(self.output, sources)
        self._tie()

    def _tie(self) -> None:
        if self.settings.tied:
            self.output.weight = self.embedding.weight


class Sentinel(nn.Module):
    """s = sigma(W_x x + W_h h) * tanh(m), of what a layer reads, its output before, and its cell state after (Lu et al.
    2017, eq. 9 and 10), projected to the size of the memory."""

    def __init__(self, input_size: int, hidden_size: int, memory_size: int) -> None:
        super().__init__()
        self.gate = nn.Linear(input_size + hidden_size, hidden_size)
        self.projection = nn.Linear(hidden_size, memory_size)

    def forward(self, x: Tensor, before: Tensor, cell: Tensor) -> Tensor:
        remembered: Tensor = self.projection(self.gate(torch.cat([x, before], dim=1)).sigmoid() * cell.tanh())
        return remembered


class _Dropout:
    """Dropout of one pass: if it is variational, a place drops the same features at every step."""

    def __init__(self, settings: DecoderSettings, training: bool) -> None:
        self.share = settings.dropout if training else 0.0
        self.variational = settings.variational
        self._kept: dict[str, Tensor] = {}

    def __call__(self, place: str, x: Tensor) -> Tensor:
        """Return x (batch, time, features) without what is dropped."""
        if not self.share or not self.variational:
            return functional.dropout(x, self.share, bool(self.share))
        if place not in self._kept:
            self._kept[place] = x.new_empty(x.shape[0], 1, x.shape[2]).bernoulli_(1.0 - self.share)
        return x * (self._kept[place] / (1.0 - self.share))
