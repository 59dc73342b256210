"""Grid LSTMs against a loop over their blocks."""

from itertools import product

import pytest
import torch
from cut import assert_cut_changes_nothing, exactly

from lstmapps.nn import GridLSTM, grid_lstm_step

INPUT, HIDDEN = 2, 3
LAYERS = {
    "sequences": (1, {}),
    "tied": (1, {"tied": True}),
    "depth last": (1, {"priority": [0]}),
    "pictures": (2, {}),
    "pictures, tied, with priorities": (2, {"tied": True, "priority": (2, 0)}),
}
EVERY = pytest.mark.parametrize(("dimensions", "settings"), LAYERS.values(), ids=LAYERS)
SIZES = {1: (6,), 2: (3, 4)}


def made(dimensions, settings):
    torch.manual_seed(0)
    layer = GridLSTM(INPUT, HIDDEN, 3, dimensions, **settings, dtype=torch.float64)
    with torch.no_grad():
        layer.bias += 0.3 * torch.randn_like(layer.bias)
    return layer


def block_by_block(layer, x):
    """What a grid x (*sizes, input) gives, and what goes out at the end along the last dimension."""
    sizes, axes = x.shape[:-1], layer.dimensions + 1
    blocks, nothing = {}, (torch.zeros(1, HIDDEN, dtype=x.dtype),) * 2
    y = torch.zeros(*sizes, HIDDEN, dtype=x.dtype)
    for place in product(range(layer.num_layers), *map(range, sizes)):
        before = []
        for axis in range(axes):
            last = tuple(at - (axis == other) for other, at in enumerate(place))
            before.append(blocks[last][axis] if last in blocks else nothing)
        if place[0] == 0:
            before[0] = layer.project(x[place[1:]].unsqueeze(0)).chunk(2, dim=-1)
        own = min(place[0], len(layer.weight) - 1)
        blocks[place] = grid_lstm_step(before, layer.weight[own], layer.bias[own], layer.priority)
        y[place[1:]] = blocks[place][0][0]
    return y


@EVERY
def test_the_anti_diagonals_give_what_a_loop_over_blocks_gives(dimensions, settings):
    layer = made(dimensions, settings)
    x = torch.randn(2, *SIZES[dimensions], INPUT, dtype=torch.float64)
    y, _ = layer(x)
    for row in range(2):
        exactly(y[row], block_by_block(layer, x[row]))


@EVERY
def test_padding_and_the_order_of_a_batch_change_nothing(dimensions, settings):
    layer, sizes = made(dimensions, settings), SIZES[dimensions]
    lengths = torch.stack([torch.randint(0, size + 1, (5,)) for size in sizes], dim=1)
    lengths[0], lengths[1] = torch.tensor(sizes), 0
    x = torch.full((5, *sizes, INPUT), float("nan"), dtype=torch.float64)
    for row, own in enumerate(lengths.tolist()):
        x[(row, *map(slice, own))] = torch.randn(*own, INPUT, dtype=torch.float64)
    y, state = layer(x, lengths[:, 0] if dimensions == 1 else lengths)
    for row, own in enumerate(lengths.tolist()):
        inside = tuple(map(slice, own))
        if 0 not in own:
            exactly(y[(row, *inside)], layer(x[(row, *inside)].unsqueeze(0))[0][0])
        rest = y[row].clone()
        rest[inside] = 0
        assert bool((rest == 0).all())
    order = torch.tensor([3, 1, 0, 2, 4])
    again, end = layer(x[order], lengths[order])
    exactly(again, y[order])
    exactly(end, tuple(part[:, order] for part in state))


@EVERY
def test_an_input_may_be_cut_along_its_last_dimension(dimensions, settings):
    layer = made(dimensions, settings)
    x = torch.randn(2, *SIZES[dimensions], INPUT, dtype=torch.float64)
    assert_cut_changes_nothing(layer, x)


@EVERY
def test_gradients_are_those_of_finite_differences(dimensions, settings):
    layer, sizes = made(dimensions, settings), SIZES[dimensions]
    names, weights = zip(*layer.named_parameters(), strict=True)
    x = torch.randn(2, *sizes, INPUT, dtype=torch.float64, requires_grad=True)
    shape = (3, 2, *sizes[:-1], HIDDEN)
    state = [torch.randn(shape, dtype=torch.float64, requires_grad=True) for _ in range(2)]
    lengths = [list(sizes), [1] * dimensions]

    def run(x, h, m, *weights):
        y, end = torch.func.functional_call(layer, dict(zip(names, weights, strict=True)), (x, lengths, (h, m)))
        return y, *end

    assert torch.autograd.gradcheck(run, (x, *state, *weights), atol=1e-6, rtol=1e-6, fast_mode=True)


def test_tied_layers_have_the_weights_of_one():
    tied, untied = GridLSTM(INPUT, HIDDEN, 5, tied=True), GridLSTM(INPUT, HIDDEN, 5)
    assert len(tied.weight) == 1
    assert len(untied.weight) == 5


@pytest.mark.parametrize(
    ("x", "lengths", "message"),
    [
        (torch.zeros(2, 3), None, "x must be"),
        (torch.zeros(2, 0, INPUT), None, "x must be"),
        (torch.zeros(2, 3, INPUT), [3, 4], "lengths must lie"),
        (torch.zeros(2, 3, INPUT), [3], "lengths must be"),
        (torch.zeros(2, 3, INPUT), [3, None], "whole numbers"),
    ],
)
def test_wrong_shapes_are_named(x, lengths, message):
    with pytest.raises(ValueError, match=message):
        GridLSTM(INPUT, HIDDEN, 2)(x, lengths)
    with pytest.raises(ValueError, match="state must be"):
        GridLSTM(INPUT, HIDDEN, 2)(torch.zeros(2, 3, INPUT), None, (torch.zeros(3, 2, HIDDEN),) * 2)
    for state in (torch.zeros(2, 2, HIDDEN), (torch.zeros(2, 2, HIDDEN),) * 3):
        with pytest.raises(ValueError, match="two of"):
            GridLSTM(INPUT, HIDDEN, 2)(torch.zeros(2, 3, INPUT), None, state)
    with pytest.raises(ValueError, match="priority"):
        GridLSTM(INPUT, HIDDEN, 2, priority=[2])
