"""Encoders of grids: cells that have places, and no order."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from lstmapps.lengths import padding_mask


class GridEncoder(nn.Module):
    """From the cells of a grid, row by row, to what a decoder attends to.

    Each cell is normalised and projected, and knows its row and column by what is learnt for each of them.

    rows, columns: of the grid. output_size: of what comes out, a rectified projection. dropout: share of the features
    of all cells that is dropped in training. pooled: instead of the cells their mean alone comes out, one step, for a
    decoder that does not attend (Vinyals et al. 2015, "Show and tell").

    forward(x (batch, rows * columns, input_size), lengths) returns `(y, x, lengths)` as `ConvRecurrentEncoder` does.
    """

    def __init__(
        self,
        input_size: int,
        output_size: int,
        rows: int,
        columns: int,
        *,
        dropout: float = 0.0,
        pooled: bool = False,
    ) -> None:
        super().__init__()
        if min(input_size, output_size, rows, columns) < 1:
            raise ValueError("a grid has rows, columns and sizes of at least 1")
        self.rows, self.columns, self.pooled, self.output_size = rows, columns, pooled, output_size
        self.norm = nn.LayerNorm(input_size)
        self.dropout = nn.Dropout(dropout)
        self.projection = nn.Linear(input_size, output_size)
        self.row = nn.Parameter(torch.randn(rows, 1, output_size))
        self.column = nn.Parameter(torch.randn(1, columns, output_size))

    @property
    def grid(self) -> tuple[int, int] | None:
        """Rows and columns of what comes out, row by row, None where it has lost them."""
        return None if self.pooled else (self.rows, self.columns)

    def forward(self, x: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        count = self.rows * self.columns
        if not count <= x.shape[1] <= count + count // 16 + 1:  # what `lstmapps.data.pad` may add
            raise ValueError(f"{x.shape[1]} cells are no grid of {self.rows} x {self.columns}")
        cells = x[:, :count]
        y = (self.projection(self.dropout(self.norm(cells))) + (self.row + self.column).flatten(0, 1)).relu()
        y = y.masked_fill(padding_mask(lengths, y.shape[1]).unsqueeze(2), 0.0)
        if not self.pooled:
            return y, x, lengths.clamp(max=y.shape[1])
        mean = y.sum(dim=1, keepdim=True) / lengths.clamp(min=1)[:, None, None].to(y.dtype)
        return mean, x, lengths.clamp(max=1)

    def levels(self) -> list[nn.Module]:
        """Return the parts from the input up, see `ConvRecurrentEncoder`."""
        return [self]
