"""MDLSTMs against a loop over their cells, and what they promise of grids of any sizes."""

from itertools import product

import pytest
import torch
from cut import assert_cut_changes_nothing, exactly

from lstmapps.nn import MDLSTM, GridLSTM, md_lstm_step

INPUT, HIDDEN = 2, 3
LAYERS = {
    "1 dimension": (1, {}),
    "2 dimensions": (2, {}),
    "2, stable": (2, {"stable": True}),
    "2, peepholes": (2, {"peepholes": True}),
    "2, one direction": (2, {"all_directions": False, "peepholes": True, "stable": True}),
    "3 dimensions": (3, {"peepholes": True}),
    "3, stable": (3, {"stable": True}),
}
EVERY = pytest.mark.parametrize(("dimensions", "settings"), LAYERS.values(), ids=LAYERS)
SIZES = {1: (5,), 2: (3, 5), 3: (2, 3, 4)}


def made(dimensions, settings, num_layers=1):
    torch.manual_seed(0)
    layer = MDLSTM(INPUT, HIDDEN, dimensions, num_layers, **settings, dtype=torch.float64)
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter += 0.3 * torch.randn_like(parameter)
    return layer


def cell_by_cell(layer, x):
    """What one layer gives of one grid x (*sizes, input), computed cell by cell in every direction."""
    sizes, outputs = x.shape[:-1], []
    (weights,) = [list(one.parameters()) for one in layer.layers]
    for direction in range(layer.directions):
        own = tuple(weight[direction] for weight in weights)
        backwards = [axis for axis in range(len(sizes)) if direction >> axis & 1]
        turned = x.flip(backwards) if backwards else x
        states, y = {}, torch.zeros(*sizes, HIDDEN, dtype=x.dtype)
        nothing = (torch.zeros(HIDDEN, dtype=x.dtype),) * 2
        for place in product(*map(range, sizes)):
            before = [tuple(at - (axis == other) for other, at in enumerate(place)) for axis in range(len(sizes))]
            states[place] = md_lstm_step(turned[place], [states.get(b, nothing) for b in before], own, layer.stable)
            y[place] = states[place][0]
        outputs.append(y.flip(backwards) if backwards else y)
    return torch.cat(outputs, dim=-1)


@EVERY
def test_the_anti_diagonals_give_what_a_loop_over_cells_gives(dimensions, settings):
    layer, sizes = made(dimensions, settings), SIZES[dimensions]
    x = torch.randn(2, *sizes, INPUT, dtype=torch.float64)
    y, _ = layer(x)
    for row in range(2):
        exactly(y[row], cell_by_cell(layer, x[row]))


@EVERY
def test_padding_and_the_order_of_a_batch_change_nothing(dimensions, settings):
    layer, sizes = made(dimensions, settings, num_layers=2), SIZES[dimensions]
    lengths = torch.stack([torch.randint(0, size + 1, (6,)) for size in sizes], dim=1)
    lengths[0], lengths[1] = torch.tensor(sizes), 0
    x = torch.full((6, *sizes, INPUT), float("nan"), dtype=torch.float64)
    for row, own in enumerate(lengths.tolist()):
        x[(row, *map(slice, own))] = torch.randn(*own, INPUT, dtype=torch.float64)
    y, state = layer(x, lengths)
    for row, own in enumerate(lengths.tolist()):
        inside = tuple(map(slice, own))
        if 0 in own:
            assert bool((y[row] == 0).all())
            continue
        alone, _ = layer(x[(row, *inside)].unsqueeze(0))
        exactly(y[(row, *inside)], alone[0])
        rest = y[row].clone()
        rest[inside] = 0
        assert bool((rest == 0).all())
    order = torch.tensor([3, 1, 5, 0, 2, 4])
    again, end = layer(x[order], lengths[order])
    exactly(again, y[order])
    exactly(end, tuple(part[:, order] for part in state))


@EVERY
def test_a_grid_may_be_cut_along_its_last_dimension(dimensions, settings):
    layer = made(dimensions, {**settings, "all_directions": False}, num_layers=2)
    x = torch.randn(2, *SIZES[dimensions], INPUT, dtype=torch.float64)
    assert_cut_changes_nothing(layer, x)


@EVERY
def test_gradients_are_those_of_finite_differences(dimensions, settings):
    layer, sizes = made(dimensions, settings), SIZES[dimensions]
    names, weights = zip(*layer.named_parameters(), strict=True)
    x = torch.randn(2, *sizes, INPUT, dtype=torch.float64, requires_grad=True)
    shape = (layer.directions, 2, *sizes[:-1], HIDDEN)
    state = [torch.randn(shape, dtype=torch.float64, requires_grad=True) for _ in range(2)]
    lengths = [list(sizes), [1] * dimensions]

    def run(x, h, c, *weights):
        y, end = torch.func.functional_call(layer, dict(zip(names, weights, strict=True)), (x, lengths, (h, c)))
        return y, *end

    assert torch.autograd.gradcheck(run, (x, *state, *weights), atol=1e-6, rtol=1e-6, fast_mode=True)


def test_a_stable_cell_does_not_grow_with_the_paths_to_it():
    x = torch.ones(1, 30, 30, INPUT)
    plain, stable = MDLSTM(INPUT, 4, all_directions=False), MDLSTM(INPUT, 4, all_directions=False, stable=True)
    for layer in (plain, stable):
        with torch.no_grad():
            for gate, bias in enumerate(layer.layers[0].bias[0].chunk(layer.gates)):
                bias.fill_(5.0 if gate < layer.gates - 2 else 1.0)
    (_, much), (_, little) = plain(x)[1], stable(x)[1]
    assert much.abs().max().item() > 1e6
    assert little.abs().max().item() < 60.0


@pytest.mark.parametrize(
    ("x", "lengths", "message"),
    [
        (torch.zeros(2, 3, INPUT), None, "x must be"),
        (torch.zeros(2, 3, 0, INPUT), None, "x must be"),
        (torch.zeros(2, 3, 4, INPUT), [3, 4], "lengths must be"),
        (torch.zeros(2, 3, 4, INPUT), [[3, 4], [4, 4]], "lengths must lie"),
        (torch.zeros(2, 3, 4, INPUT), [[3, -1], [3, 4]], "lengths must lie"),
        (torch.zeros(2, 3, 4, INPUT), torch.ones(2, 2), "whole numbers"),
    ],
)
def test_wrong_shapes_are_named(x, lengths, message):
    with pytest.raises(ValueError, match=message):
        MDLSTM(INPUT, HIDDEN)(x, lengths)
    with pytest.raises(ValueError, match="state must be"):
        MDLSTM(INPUT, HIDDEN)(torch.zeros(2, 3, 4, INPUT), None, (torch.zeros(4, 2, 4, HIDDEN),) * 2)


@pytest.mark.parametrize("layer", [MDLSTM(1, 4, num_layers=2), GridLSTM(1, 4, 2, dimensions=2)], ids=["md", "grid"])
def test_a_batch_of_none_is_a_batch(layer):
    for lengths in (None, []):
        y, state = layer(torch.randn(0, 3, 5, 1, dtype=torch.float64), lengths)
        assert (y.shape[:3], all(part.shape[1] == 0 for part in state)) == ((0, 3, 5), True)
        y.sum().backward()
