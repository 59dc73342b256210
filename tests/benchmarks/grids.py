"""A multidimensional LSTM by anti-diagonals against the same equations cell by cell: forward and backward."""

import torch

from lstmapps.nn import MDLSTM, md_lstm_step
from tests.benchmarks.timing import ratio, report

ROWS, COLUMNS, BATCH, INPUTS, HIDDEN = 24, 96, 4, 16, 48


def cell_by_cell(layer: MDLSTM, x: torch.Tensor) -> torch.Tensor:
    """Return what a layer of one direction gives, one cell after the other."""
    weights = tuple(weight[0] for weight in layer.layers[0].parameters())
    nothing = (x.new_zeros(len(x), HIDDEN),) * 2
    above = [nothing] * COLUMNS
    rows = []
    for row in range(ROWS):
        left, cells = nothing, []
        for column in range(COLUMNS):
            left = above[column] = md_lstm_step(x[:, row, column], (above[column], left), weights)
            cells.append(left[0])
        rows.append(torch.stack(cells, dim=1))
    return torch.stack(rows, dim=1)


def run() -> None:
    shape = f"{ROWS} x {COLUMNS}, {BATCH} grids, {INPUTS} -> {HIDDEN}"
    print(f"MDLSTM, {shape}, {torch.get_num_threads()} threads: by anti-diagonals, cell by cell, ratio")
    torch.manual_seed(0)
    layer = MDLSTM(INPUTS, HIDDEN, all_directions=False)
    x = torch.randn(BATCH, ROWS, COLUMNS, INPUTS, requires_grad=True)
    torch.testing.assert_close(layer(x)[0], cell_by_cell(layer, x), atol=1e-2, rtol=0)  # cells of so many ways grow

    def ours() -> None:
        layer(x)[0].sum().backward()

    def theirs() -> None:
        cell_by_cell(layer, x).sum().backward()

    report("one direction, forward + backward", *ratio(ours, theirs, runs=5))
