"""A decoder that writes some of its symbols only: those that may stand for what is read."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from lstmapps.nn.decoders import AttentionDecoder, DecoderState
from lstmapps.nn.quantised import QuantisedLinear


class Shortlisted:
    """A decoder seen through a list of its symbols, see `lstmapps.nn.StepDecoder`: symbol i is `symbols[i]`.

    symbols (count,) begins with 0. Logits are those of the decoder, of these symbols alone. allowed (batch, count):
    which of them each text may have, the others being impossible; so no text depends on another one's list.
    """

    def __init__(self, decoder: AttentionDecoder, symbols: Tensor, allowed: Tensor) -> None:
        self.decoder, self.symbols, self.allowed = decoder, symbols, allowed
        output: Any = decoder.output
        if isinstance(output, QuantisedLinear):
            self._output: Any = output.rows(symbols)
        else:
            weight, bias = output.weight[symbols], output.bias[symbols]
            self._output = lambda x: functional.linear(x, weight, bias)

    def init_state(self, memory: Tensor, lengths: Tensor) -> DecoderState:
        return self.decoder.init_state(memory, lengths)

    def step(self, tokens: Tensor, state: DecoderState) -> tuple[Tensor, DecoderState, Tensor]:
        vectors, state, attention = self.decoder.vectors(self.symbols[tokens], state)
        logits: Tensor = self._output(vectors)
        return logits.masked_fill(~self.allowed[state.rows], float("-inf")), state, attention

    def reorder(self, state: DecoderState, index: Tensor) -> DecoderState:
        return self.decoder.reorder(state, index)


class Shortlist(nn.Module):
    """The symbols that may stand for each symbol that is read, and in row 0 the most frequent ones; 0 is none.

    read, written: how many symbols there are of each kind. table (read, size) is learnt from pairs of texts
    (`lstmapps.text.learn_lexicon`) and kept with the weights.
    """

    table: Tensor

    def __init__(self, read: int, written: int, size: int) -> None:
        super().__init__()
        self.written = written
        self.register_buffer("table", torch.zeros(read, size, dtype=torch.int32))

    def symbols(self, tokens: Tensor, also: Tensor) -> tuple[Tensor, Tensor]:
        """Return which symbols may be written of tokens (batch, time), and beside them those asked for.

        They are (count,), from 0 up; and (batch, count), true for those that a row's own tokens have.
        """
        there = torch.zeros(len(tokens), self.written, dtype=torch.bool, device=tokens.device)
        there.scatter_(1, self.table[tokens].flatten(1).long(), True)
        for common in (self.table[0].long(), also, also.new_zeros(1)):
            there[:, common] = True
        symbols = there.any(dim=0).nonzero().flatten()
        return symbols, there[:, symbols]

    def change_symbols(self, sources: Sequence[int | None], *, joint: bool) -> None:
        """Take new symbols to write, see `lstmapps.nn.heads.Head`; to read as well, if both are one vocabulary."""
        places = {source: place for place, source in reversed(list(enumerate(sources))) if source is not None}
        moved = torch.tensor([places.get(symbol, 0) for symbol in range(self.written)], dtype=torch.int32)
        self.table = moved.to(self.table.device)[self.table.long()]
        if joint:
            none = torch.zeros_like(self.table[0])
            self.table = torch.stack([none if source is None else self.table[source] for source in sources])
        self.written = len(sources)
