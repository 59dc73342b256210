"""Learning rules against backpropagation through time, in whole and where they cut it off."""

import gc
from functools import partial

import pytest
import torch

from lstmapps.learning import RTRL, RULES, UORO, ElementwiseRTRL, ErrorCarousel, LearntBy, SnAp1, able_rules
from lstmapps.nn import (
    GRU,
    LSTM,
    SLSTM,
    ElementwiseLSTM,
    ElementwiseLSTMCell,
    ElmanCell,
    GridLSTM,
    GRUCell,
    JordanCell,
    LSTMCell,
    MGUCell,
    SLSTMCell,
)

CELLS = [
    *(LSTMCell(variant) for variant in ("NP", "V", "NIG", "NFG", "NOG", "NIAF", "NOAF", "CIFG", "FGR", "1997", "2000")),
    LSTMCell("V", block_size=4, projection_size=3),
    LSTMCell(layer_norm=True),
    GRUCell(),
    GRUCell(reset_after=False),
    MGUCell(),
    ElmanCell(),
    JordanCell(output_size=2),
    SLSTMCell(heads=2),
    ElementwiseLSTMCell(),
]
EVERY = pytest.mark.parametrize("cell", CELLS, ids=str)
MEMORIES = pytest.mark.parametrize("cell", [c for c in CELLS if "1997 online" in able_rules(c)], ids=str)
HIDDEN, INPUT, BATCH, TIME = 4, 3, 2, 7


def made(cell):
    """Weights, inputs and errors at each step, and a first state."""
    torch.manual_seed(0)
    weights = [torch.randn(shape, dtype=torch.float64) * 0.5 for shape in cell.shapes(INPUT, HIDDEN).values()]
    sizes = cell.state_sizes(HIDDEN)
    start = tuple(torch.rand(BATCH, size, dtype=torch.float64) for size in sizes)
    x = torch.randn(TIME, BATCH, INPUT, dtype=torch.float64)
    errors = torch.randn(TIME, BATCH, sizes[0], dtype=torch.float64)
    return tuple(weight.requires_grad_() for weight in weights), x, errors, start


def backwards(cell, weights, x, errors, state, cut=False):
    """The gradients that backpropagation finds, with or without errors through what the gates hear."""
    loss = 0.0
    for now, error in zip(x, errors, strict=True):
        heard = tuple(part.detach() for part in state) if cut else state
        state = cell.advance(cell.inputs(now, weights), cell.share(heard, weights), state, weights)
        loss = loss + (state[0] * error).sum()
    return torch.autograd.grad(loss, weights, materialize_grads=True)


def forwards(learner, x, errors):
    """The sum of the gradients that a learner finds step by step."""
    total = None
    for now, error in zip(x, errors, strict=True):
        learner.step(now)
        parts = learner.gradient(error)
        total = parts if total is None else tuple(a + b for a, b in zip(total, parts, strict=True))
    return total


exactly = partial(torch.testing.assert_close, atol=1e-12, rtol=1e-12)


@EVERY
def test_rtrl_finds_what_backpropagation_finds(cell):
    weights, x, errors, start = made(cell)
    exactly(forwards(RTRL(cell, weights, BATCH, start), x, errors), backwards(cell, weights, x, errors, start))


@MEMORIES
def test_the_rule_of_1997_cuts_errors_off_where_they_leave_the_cells(cell):
    weights, x, errors, start = made(cell)
    expected = backwards(cell, weights, x, errors, start, cut=True)
    exactly(forwards(ErrorCarousel(cell, weights, BATCH, start), x, errors), expected)
    assert not torch.allclose(expected[0], backwards(cell, weights, x, errors, start)[0], atol=1e-3)


def test_elementwise_rtrl_and_snap_are_exact_where_units_see_themselves_alone():
    cell = ElementwiseLSTMCell()
    weights, x, errors, start = made(cell)
    for rule in (ElementwiseRTRL, SnAp1):
        exactly(forwards(rule(cell, weights, BATCH, start), x, errors), backwards(cell, weights, x, errors, start))


@pytest.mark.parametrize("cell", [LSTMCell(), LSTMCell("V"), GRUCell(), ElmanCell(), SLSTMCell(heads=2)], ids=str)
def test_snap_is_exact_where_recurrent_weights_are_diagonal(cell):
    weights, x, errors, start = made(cell)
    columns = weights[1].shape[1]
    with torch.no_grad():
        weights[1].view(-1, columns, columns).mul_(torch.eye(columns))
    got, expected = forwards(SnAp1(cell, weights, BATCH, start), x, errors), backwards(cell, weights, x, errors, start)
    for number, (a, b) in enumerate(zip(got, expected, strict=True)):
        if number == 1:  # weights between units are zero, but their gradients are not what the rule follows
            a, b = (part.view(-1, columns, columns).diagonal(dim1=1, dim2=2) for part in (a, b))
        exactly(a, b)


@pytest.mark.parametrize("cell", [LSTMCell(), GRUCell(), ElmanCell()], ids=str)
def test_snap_keeps_what_rtrl_knows_of_a_weights_own_unit_after_two_steps(cell):
    weights, x, errors, _ = made(cell)
    exact, sparse = RTRL(cell, weights, BATCH), SnAp1(cell, weights, BATCH)
    for learner in (exact, sparse):
        learner.step(x[0])
    exactly(sparse.gradient(errors[0]), exact.gradient(errors[0]))  # a first step is of a weight's own unit alone
    for learner in (exact, sparse):
        learner.step(x[1])
    for unit in range(HIDDEN):  # an error at one unit, and the weights of that unit
        error = torch.zeros_like(errors[0])
        error[:, unit] = 1.0
        a, b = sparse.gradient(error)[0], exact.gradient(error)[0]
        exactly(a.view(-1, HIDDEN, INPUT)[:, unit], b.view(-1, HIDDEN, INPUT)[:, unit])


def test_the_mean_of_uoro_is_the_gradient():
    cell = LSTMCell()
    weights, x, errors, _ = made(cell)
    x, errors, many = x[:3, :1], errors[:3, :1], 40_000
    expected = backwards(cell, weights, x, errors, tuple(torch.zeros(1, HIDDEN, dtype=torch.float64) for _ in range(2)))
    found = forwards(UORO(cell, weights, many), x.expand(-1, many, -1), errors.expand(-1, many, -1))
    for a, b in zip(found, expected, strict=True):
        torch.testing.assert_close(a / many, b, atol=0.05, rtol=0.0)
    one = forwards(UORO(cell, weights, 1), x, errors)
    assert not torch.allclose(one[0], expected[0], atol=0.05)


@pytest.mark.parametrize("rule", RULES)
def test_a_layer_learns_by_a_rule_from_sequences_of_any_lengths(rule):
    torch.manual_seed(0)
    kind = ElementwiseLSTM if rule == "elementwise RTRL" else LSTM
    layer = LearntBy(kind(INPUT, HIDDEN, dtype=torch.float64), rule, horizon=3)
    x, lengths = torch.randn(3, 6, INPUT, dtype=torch.float64), [6, 2, 4]
    y, state = layer(x, lengths)
    expected, end = layer.layer(x, lengths)
    exactly((y, *state), (expected, *end))
    weighing = torch.randn_like(y)
    got = torch.autograd.grad((y * weighing).sum(), list(layer.parameters()))
    alone = [torch.zeros_like(part) for part in got]
    for row, length in enumerate(lengths):
        torch.manual_seed(1)
        part, _ = layer(x[row : row + 1, :length])
        loss = (part * weighing[row : row + 1, :length]).sum()
        alone = [a + b for a, b in zip(alone, torch.autograd.grad(loss, list(layer.parameters())), strict=True)]
    if rule != "UORO":  # which draws
        exactly(got, tuple(alone))
    exact = torch.autograd.grad((expected * weighing).sum(), list(layer.parameters()))
    assert torch.allclose(got[0], exact[0]) == (rule in ("BPTT", "RTRL", "elementwise RTRL"))


@pytest.mark.parametrize("rule", ["BPTT", "TBPTT", "1997 online"])
def test_what_is_no_number_is_named_where_it_counts(rule):
    layer, x = LearntBy(LSTM(INPUT, HIDDEN), rule), torch.randn(3, 6, INPUT)
    x[1, 4] = float("nan")
    y, _ = layer(x, [6, 4, 2])
    assert bool(y.isfinite().all())
    with pytest.raises(ValueError, match=r"inputs are not numbers \(NaN\) in rows \[1\]"):
        layer(x, [6, 5, 2])
    with pytest.raises(ValueError, match="rows \\[1\\]"):
        layer(x)
    for wrong, message in ((x[0], "x must be"), (x[:, :0], "no time steps")):
        with pytest.raises(ValueError, match=message):
            layer(wrong)
    y, _ = layer(x[:0])
    assert y.shape == (0, 6, HIDDEN)


@pytest.mark.parametrize(
    ("learner", "cell"),
    [
        (RTRL, LSTMCell("V")),
        (SnAp1, LSTMCell("V")),
        (ErrorCarousel, LSTMCell("V")),
        (UORO, LSTMCell("V")),
        (ElementwiseRTRL, ElementwiseLSTMCell()),
    ],
)
def test_what_a_learner_holds_does_not_grow_with_time(learner, cell):
    torch.manual_seed(0)
    weights = tuple(torch.randn(shape) * 0.3 for shape in cell.shapes(INPUT, HIDDEN).values())
    running = learner(cell, weights, BATCH)

    def held():
        gc.collect()
        return sum(1 for each in gc.get_objects() if isinstance(each, torch.Tensor))

    counts = []
    for _ in range(3):
        for _ in range(20):
            running.step(torch.randn(BATCH, INPUT))
            running.gradient(torch.randn(BATCH, running.state[0].shape[1]))
        assert not any(part.requires_grad for part in running.state)
        counts.append(held())
    assert counts[0] == counts[1] == counts[2]


def test_both_forms_of_the_rule_of_1997_are_one():
    torch.manual_seed(0)
    layer = LSTM(INPUT, HIDDEN, variant="1997", dtype=torch.float64)
    x = torch.randn(2, 9, INPUT, dtype=torch.float64)
    gradients = []
    for rule in ("1997", "1997 online"):
        y, _ = LearntBy(layer, rule)(x, [9, 5])
        gradients.append(torch.autograd.grad(y.sin().sum(), list(layer.parameters())))
    exactly(*gradients)


def test_errors_reach_inputs_at_their_own_step():
    torch.manual_seed(0)
    layer = LSTM(INPUT, HIDDEN, dtype=torch.float64)
    x = torch.randn(2, 5, INPUT, dtype=torch.float64, requires_grad=True)
    y, _ = LearntBy(layer, "RTRL")(x)
    (gradient,) = torch.autograd.grad(y[:, 3].sum(), x)
    (exact,) = torch.autograd.grad(layer(x)[0][:, 3].sum(), x)
    exactly(gradient[:, 3], exact[:, 3])
    assert bool((gradient[:, :3] == 0).all())


@pytest.mark.parametrize(
    ("layer", "rule", "message"),
    [
        (LSTM(3, 4), "magic", "no learning rule"),
        (LSTM(3, 4, 2), "RTRL", "one layer.*BPTT or TBPTT"),
        (LSTM(3, 4, bidirectional=True), "1997", "one layer.*take BPTT$"),
        (GridLSTM(3, 4, 2), "RTRL", "GridLSTM learns by BPTT alone"),
        (LSTM(3, 4, bidirectional=True), "TBPTT", "no such place"),
        (LSTM(3, 4, zoneout=0.1), "SnAp-1", "without extras"),
        (GRU(3, 4), "1997 online", r"cannot train GRUCell.*; BPTT, TBPTT, RTRL"),
        (LSTM(3, 4), "elementwise RTRL", "cannot train"),
        (LSTM(3, 4, variant="FGR"), "SnAp-1", "cannot train"),
    ],
)
def test_a_rule_that_cannot_train_a_layer_is_named_with_those_that_can(layer, rule, message):
    with pytest.raises(ValueError, match=message):
        LearntBy(layer, rule)


@pytest.mark.parametrize(
    "layer", [LSTM(3, 12, block_size=3), SLSTM(3, 9, cell=SLSTMCell(heads=3))], ids=["blocks", "heads"]
)
def test_blocks_and_heads_of_any_size_learn(layer):
    y, _ = LearntBy(layer, "RTRL")(torch.randn(2, 4, 3))
    exact, _ = layer(torch.randn(2, 4, 3))
    assert y.shape == exact.shape
    y.sum().backward()
    assert all(parameter.grad is not None for parameter in layer.parameters())


@pytest.mark.parametrize("rule", ["1997", "1997 online", "RTRL", "SnAp-1", "UORO"])
def test_rules_learn_under_autocast(rule):
    torch.manual_seed(0)
    layer = LearntBy(LSTM(3, 4), rule)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        y, state = layer(torch.randn(2, 5, 3))
        y, _ = layer(torch.randn(2, 5, 3), None, state)
    y.float().sum().backward()
    assert all(bool(parameter.grad.isfinite().all()) for parameter in layer.parameters())


def test_a_state_of_the_wrong_shape_is_named():
    cell = LSTMCell()
    weights, *_ = made(cell)
    with pytest.raises(ValueError, match="state must be"):
        SnAp1(cell, weights, 2, (torch.zeros(3, 4), torch.zeros(3, 4)))


@pytest.mark.parametrize("learner", [RTRL, SnAp1, ErrorCarousel, UORO])
def test_steps_and_errors_of_the_wrong_shape_are_named(learner):
    cell = LSTMCell()
    weights = tuple(torch.randn(shape) for shape in cell.shapes(3, 4).values())
    running = learner(cell, weights, batch=2)
    for x in (torch.zeros(1, 3), torch.zeros(2, 4)):
        with pytest.raises(ValueError, match=r"x must be \(2, 3\)"):
            running.step(x)
    running.step(torch.zeros(2, 3))
    for error in (torch.zeros(1, 4), torch.zeros(2, 3)):
        with pytest.raises(ValueError, match=r"error must be \(2, 4\)"):
            running.gradient(error)


@pytest.mark.parametrize("rule", RULES)
def test_every_rule_takes_a_batch_of_none(rule):
    layer = ElementwiseLSTM(3, 4) if rule == "elementwise RTRL" else LSTM(3, 4)
    LearntBy(layer, rule)(torch.zeros(0, 5, 3))[0].sum().backward()
    assert all(bool((parameter.grad == 0).all()) for parameter in layer.parameters())
