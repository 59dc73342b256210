"""Cells of a grid: their places, their padding, their mean."""

import pytest
import torch

from lstmapps.nn import GridEncoder


def encoder(**settings):
    torch.manual_seed(0)
    made = GridEncoder(5, 6, 2, 3, **settings).double().eval()
    torch.nn.init.normal_(made.row)
    torch.nn.init.normal_(made.column)
    return made


X = torch.randn(2, 6, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
LENGTHS = torch.tensor([6, 0])


def test_each_cell_is_projected_by_itself_and_knows_its_place():
    made = encoder()
    y, _, lengths = made(X, LENGTHS)
    assert lengths.tolist() == [6, 0]
    for cell in range(6):
        place = made.row[cell // 3, 0] + made.column[0, cell % 3]
        expected = (made.projection(made.norm(X[0, cell])) + place).relu()
        torch.testing.assert_close(y[0, cell], expected)
    assert not y[1].any()


def test_padding_changes_nothing():
    padded = torch.cat([X, torch.ones(2, 1, 5, dtype=torch.float64)], dim=1)
    for settings in ({}, {"pooled": True}):
        made = encoder(**settings)
        for ours, others in zip(made(X, LENGTHS)[::2], made(padded, LENGTHS)[::2], strict=True):
            torch.testing.assert_close(ours, others)


def test_pooled_cells_are_their_mean_and_have_no_grid():
    cells, _, _ = encoder()(X, LENGTHS)
    made = encoder(pooled=True)
    mean, _, lengths = made(X, LENGTHS)
    torch.testing.assert_close(mean[:, 0], torch.stack([cells[0].mean(0), torch.zeros(6).double()]))
    assert lengths.tolist() == [1, 0]
    assert (encoder().grid, made.grid) == ((2, 3), None)


def test_another_number_of_cells_is_refused():
    for wrong in (X[:, :4], torch.cat([X, X], dim=1)):
        with pytest.raises(ValueError, match="cells are no grid of 2 x 3"):
            encoder()(wrong, torch.full((2,), wrong.shape[1]))
