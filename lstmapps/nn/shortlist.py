"""A decoder that writes some of its symbols only: those that may stand for what is read."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from lstmapps.nn.decoders import AttentionDecoder, DecoderState
from lstmapps.nn.quantised import QuantisedLinear


class Shortlisted:
    """A decoder seen through a list of its symbols, see `lstmapps.nn.StepDecoder`: symbol i is `symbols[i]`.

    symbols (count,) begins with 0. Logits are those of the decoder, of these symbols alone.
    """

    def __init__(self, decoder: AttentionDecoder, symbols: Tensor) -> None:
        self.decoder, self.symbols = decoder, symbols
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
        return self._output(vectors), state, attention

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

    def symbols(self, tokens: Tensor, also: Tensor) -> Tensor:
        """Return the symbols (count,) that may be written of any tokens, from 0 up, and those asked for beside them."""
        there = torch.zeros(self.written, dtype=torch.bool, device=tokens.device)
        there[self.table[tokens.flatten()].flatten()] = True
        there[self.table[0]] = True
        there[also] = True
        there[0] = True
        return there.nonzero().flatten()
