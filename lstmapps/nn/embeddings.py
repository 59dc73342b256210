"""What a network reads of texts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from lstmapps.lengths import padding_mask
from lstmapps.nn.heads import change_rows


class TokenEmbedding(nn.Module):
    """A frontend for texts: vectors of symbols, zero beyond each length.

    forward(x, lengths) takes symbols (batch, time, 1) and returns (batch, time, size) and the lengths. Symbol 0, what
    is unknown, is a vector of zeros.

    reverse: the symbols of each text come last first (Sutskever et al. 2014, section 3.3).
    dropout: share of the symbols that are not seen in training (Gal & Ghahramani 2016, section 4.2).
    """

    def __init__(self, symbols: int, size: int, *, reverse: bool = False, dropout: float = 0.0) -> None:
        super().__init__()
        self.reverse, self.dropout = reverse, dropout
        self.embedding = nn.Embedding(symbols, size)
        nn.init.normal_(self.embedding.weight, std=size**-0.5)

    def forward(self, x: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        tokens = x[:, :, 0]
        hidden = padding_mask(lengths, tokens.shape[1])
        if self.reverse:
            steps = torch.arange(tokens.shape[1], device=x.device)
            last = torch.where(hidden, steps, lengths.unsqueeze(1) - 1 - steps)
            tokens = tokens.gather(1, last)
        if self.training and self.dropout:
            hidden = hidden | (torch.rand_like(tokens, dtype=torch.float32) < self.dropout)
        return self.embedding(tokens).masked_fill((hidden | (tokens == 0)).unsqueeze(2), 0.0), lengths

    def description(self) -> dict[str, Any]:
        """Return what a package holds of the frontend."""
        symbols, size = self.embedding.weight.shape
        arguments = {"symbols": symbols, "size": size, "reverse": self.reverse, "dropout": self.dropout}
        return {"class_path": "lstmapps.nn.TokenEmbedding", "init_args": arguments}

    def change_symbols(self, sources: Sequence[int | None]) -> None:
        """Take new symbols, in place; see `lstmapps.nn.heads.Head`."""
        change_rows(self.embedding, sources)
