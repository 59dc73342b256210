"""Recurrent layers against torch.nn on packed sequences, and the properties they promise."""

from functools import partial

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from lstmapps.nn import GRU, LSTM, RNN, gru_step, lstm_step, rnn_step
from lstmapps.nn.engine import _blocks

KINDS = pytest.mark.parametrize("kind", [LSTM, GRU, RNN])
PAIRS = [(LSTM, nn.LSTM), (GRU, nn.GRU), (RNN, nn.RNN)]


def parts(state):
    return state if isinstance(state, tuple) else (state,)


def packed(layer, x, lengths, state=None):
    """What torch computes with sequences packed."""
    y, end = layer(pack_padded_sequence(x, lengths, batch_first=True, enforce_sorted=False), state)
    return pad_packed_sequence(y, batch_first=True, total_length=x.shape[1])[0], end


@pytest.mark.parametrize(("ours", "theirs"), PAIRS)
@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("given_state", [False, True])
def test_equals_torch_on_packed_sequences(ours, theirs, bidirectional, given_state):
    torch.manual_seed(0)
    reference = theirs(5, 7, 2, batch_first=True, bidirectional=bidirectional)
    layer = ours.from_torch(reference)
    x = torch.randn(4, 9, 5, requires_grad=True)
    lengths = torch.tensor([9, 3, 1, 6])
    state = None
    if given_state:
        shape = (2 * (1 + bidirectional), 4, 7)
        state = tuple(torch.randn(shape) for _ in range(2 if ours is LSTM else 1))
        state = state if ours is LSTM else state[0]
    y, end = layer(x, lengths, state)
    expected, expected_end = packed(reference, x, lengths, state)
    torch.testing.assert_close(y, expected, atol=1e-5, rtol=1e-5)
    for a, b in zip(parts(end), parts(expected_end), strict=True):
        torch.testing.assert_close(a, b, atol=1e-5, rtol=1e-5)
    weights = torch.randn_like(y)
    ends = sum(part.sin().sum() for part in parts(end))
    ends_expected = sum(part.sin().sum() for part in parts(expected_end))
    (gradient,) = torch.autograd.grad((y * weights).sum() + ends, x)
    (expected_gradient,) = torch.autograd.grad((expected * weights).sum() + ends_expected, x)
    torch.testing.assert_close(gradient, expected_gradient, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize(("ours", "theirs"), PAIRS)
def test_weights_go_to_torch_and_back(ours, theirs):
    layer = ours(3, 4, 2, bidirectional=True)
    x = torch.randn(2, 5, 3)
    exported = layer.to_torch()
    assert type(exported) is theirs
    torch.testing.assert_close(exported(x)[0], layer(x)[0])
    torch.testing.assert_close(ours.from_torch(exported)(x)[0], layer(x)[0])


def test_a_torch_layer_without_biases_is_taken_over():
    reference = nn.LSTM(3, 4, bias=False, batch_first=True)
    x = torch.randn(2, 5, 3)
    torch.testing.assert_close(LSTM.from_torch(reference)(x)[0], reference(x)[0])


@pytest.mark.parametrize(
    ("layer", "message"),
    [
        (lambda: LSTM.from_torch(nn.GRU(3, 4)), "torch.nn.LSTM"),
        (lambda: LSTM(3, 4, variant="CIFG").to_torch(), "CIFG"),
        (lambda: LSTM(3, 4, zoneout=0.1).to_torch(), "drawn"),
        (lambda: RNN.from_torch(nn.RNN(3, 4, nonlinearity="relu")), "tanh"),
        (lambda: LSTM(3, 4, input_layer_norm=True).to_torch(), "layer norm"),
        (lambda: LSTM(3, 4, residual=True).to_torch(), "residual"),
    ],
)
def test_what_torch_has_not_is_refused(layer, message):
    with pytest.raises(ValueError, match=message):
        layer()


@pytest.mark.parametrize(("ours", "step"), [(LSTM, lstm_step), (GRU, gru_step), (RNN, rnn_step)])
def test_layers_compute_the_equations(ours, step):
    torch.manual_seed(1)
    layer = ours(3, 4)
    weights = layer.stack.at(0)[0].weights()
    x = torch.randn(2, 6, 3)
    state = (torch.zeros(2, 4), torch.zeros(2, 4)) if ours is LSTM else torch.zeros(2, 4)
    outputs = []
    for t in range(6):
        state = step(x[:, t], state, weights)
        outputs.append(state[0] if ours is LSTM else state)
    y, _ = layer(x)
    torch.testing.assert_close(y, torch.stack(outputs, dim=1), atol=1e-6, rtol=1e-5)


@settings(max_examples=25, deadline=None)
@given(
    lengths=st.lists(st.integers(0, 8), min_size=1, max_size=5),
    more=st.integers(0, 4),
    filling=st.sampled_from([0.0, 7.0, float("nan"), float("inf")]),
    kind=st.sampled_from([LSTM, GRU, RNN]),
    extras=st.booleans(),
)
def test_padding_changes_nothing(lengths, more, filling, kind, extras):
    torch.manual_seed(0)
    layer = kind(3, 4, 2, bidirectional=True, input_layer_norm=extras, residual=extras)
    time = max(8, max(lengths))
    x = torch.randn(len(lengths), time, 3)
    padded = torch.full((len(lengths), time + more, 3), filling)
    for row, length in enumerate(lengths):
        padded[row, :length] = x[row, :length]
    padded.requires_grad_()
    y, state = layer(padded, torch.tensor(lengths))
    y.sum().backward()
    assert all(bool(p.grad.isfinite().all()) for p in layer.parameters())
    for row, length in enumerate(lengths):
        assert bool((y[row, length:] == 0).all())
        assert bool((padded.grad[row, length:] == 0).all())
        if length:
            alone, end = layer(x[row : row + 1, :length])
            torch.testing.assert_close(y[row, :length], alone[0], atol=1e-5, rtol=1e-4)
            for a, b in zip(parts(state), parts(end), strict=True):
                torch.testing.assert_close(a[:, row], b[:, 0], atol=1e-5, rtol=1e-4)
        else:
            assert all(bool((part[:, row] == 0).all()) for part in parts(state))


@given(st.lists(st.integers(0, 60), min_size=1, max_size=12))
def test_blocks_hold_every_step_of_every_row(lengths):
    lengths = sorted(lengths, reverse=True)
    blocks = _blocks(lengths)
    assert [begin for begin, _, _ in blocks] == [0, *(end for _, end, _ in blocks[:-1])]
    for row, length in enumerate(lengths):
        assert sum(min(end, length) - begin for begin, end, rows in blocks if row < rows and begin < length) == length


def test_rows_that_have_ended_cost_little():
    lengths = torch.linspace(100, 33, 32).round().long().tolist()
    computed = sum((end - begin) * rows for begin, end, rows in _blocks(lengths))
    assert computed < 1.15 * sum(lengths) < 1.15 * 0.68 * 100 * 32
    assert len(_blocks([100, 98, 97, 95])) == 1, "like lengths are not worth a cut"


@KINDS
def test_states_are_exact_where_rows_end_inside_a_block(kind):
    torch.manual_seed(0)
    layer = kind(3, 4, 2, bidirectional=True, dtype=torch.float64)
    lengths = [40, 39, 38, 37, 36, 20, 19, 18, 17, 16, 3, 2, 1, 0, 0, 0]
    assert any(end not in lengths[:rows] or len(set(lengths[:rows])) > 1 for _, end, rows in _blocks(lengths))
    x = torch.randn(len(lengths), 40, 3, dtype=torch.float64) * 3
    shape = (4, len(lengths), 4)
    start = tuple(torch.randn(shape, dtype=torch.float64) * 3 for _ in range(2 if kind is LSTM else 1))
    _, end = layer(x, lengths, start if kind is LSTM else start[0])
    for row, length in enumerate(lengths):
        own = tuple(part[:, row : row + 1].contiguous() for part in start)
        if length:
            _, own = layer(x[row : row + 1, :length], None, own if kind is LSTM else own[0])
        for a, b in zip(parts(end), parts(own), strict=True):
            torch.testing.assert_close(a[:, row], b[:, 0], atol=1e-12, rtol=1e-12)


def test_the_order_of_a_batch_changes_nothing():
    torch.manual_seed(0)
    layer = LSTM(3, 4, bidirectional=True)
    x, lengths, order = torch.randn(4, 6, 3), torch.tensor([6, 2, 4, 1]), torch.tensor([2, 0, 3, 1])
    torch.testing.assert_close(layer(x[order], lengths[order])[0], layer(x, lengths)[0][order])


def test_a_sequence_may_be_cut_and_its_state_handed_on():
    torch.manual_seed(0)
    layer = LSTM(3, 4, 2)
    x = torch.randn(2, 9, 3)
    whole, _ = layer(x)
    first, state = layer(x[:, :4])
    second, _ = layer(x[:, 4:], state=state)
    torch.testing.assert_close(torch.cat([first, second], dim=1), whole, atol=1e-6, rtol=1e-5)


def test_variational_dropout_drops_a_feature_at_all_steps():
    torch.manual_seed(0)
    stack = LSTM(3, 8, 2, dropout=0.5, variational=True).stack
    dropped = stack._drop(torch.ones(5, 4, 8))
    assert bool((dropped == dropped[:1]).all())
    assert set(dropped.unique().tolist()) == {0.0, 2.0}


def test_dropout_is_off_in_evaluation():
    torch.manual_seed(0)
    layer = LSTM(3, 8, 2, dropout=0.5)
    x = torch.randn(2, 5, 3)
    assert not torch.equal(layer(x)[0], layer(x)[0])
    layer.eval()
    assert torch.equal(layer(x)[0], layer(x)[0])


def test_residual_adds_the_input_where_sizes_agree():
    torch.manual_seed(0)
    plain, residual = LSTM(4, 4), LSTM(4, 4, residual=True)
    residual.load_state_dict(plain.state_dict())
    x = torch.randn(2, 5, 4)
    torch.testing.assert_close(residual(x)[0], plain(x)[0] + x)


def test_forget_gates_start_open():
    bias = LSTM(3, 4).stack.at(0)[0].bias_ih
    assert bias.tolist() == [0.0] * 4 + [1.0] * 4 + [0.0] * 8


@pytest.mark.parametrize(
    ("x", "lengths", "state", "message"),
    [
        (torch.zeros(2, 5), None, None, "x must be"),
        (torch.zeros(2, 5, 9), None, None, "x must be"),
        (torch.zeros(2, 0, 3), None, None, "no time steps"),
        (torch.zeros(2, 5, 3), torch.tensor([5]), None, "lengths must be"),
        (torch.zeros(2, 5, 3), torch.tensor([5, 6]), None, "lengths must lie"),
        (torch.zeros(2, 5, 3), torch.tensor([5, -1]), None, "lengths must lie"),
        (torch.zeros(2, 5, 3), None, (torch.zeros(1, 2, 9), torch.zeros(1, 2, 9)), "the state must be"),
    ],
)
def test_wrong_shapes_are_named(x, lengths, state, message):
    with pytest.raises(ValueError, match=message):
        LSTM(3, 4)(x, lengths, state)


INTEGERS = [torch.uint8, torch.int16, torch.int32, torch.uint16]


@KINDS
@pytest.mark.parametrize("make", [list, tuple, np.array, *(partial(torch.tensor, dtype=d) for d in INTEGERS)])
def test_lengths_are_whole_numbers_of_any_type(kind, make):
    torch.manual_seed(0)
    layer = kind(3, 4, 2, bidirectional=True)
    x, lengths = torch.randn(4, 6, 3), [6, 2, 0, 1]
    expected, end = layer(x, torch.tensor(lengths))
    y, state = layer(x, make(lengths))
    assert torch.equal(y, expected)
    assert all(torch.equal(a, b) for a, b in zip(parts(state), parts(end), strict=True))


@pytest.mark.parametrize(
    "lengths",
    [torch.ones(2), torch.tensor([True, True]), [1.0, 2.0], ["a", "b"], "ab", 5, torch.ones(2, 5) > 0, [[1], [2, 3]]],
)
def test_what_is_no_length_is_refused(lengths):
    with pytest.raises(ValueError, match="lengths must be"):
        LSTM(3, 4)(torch.zeros(2, 5, 3), lengths)


class Net(nn.Module):
    def __init__(self, kind):
        super().__init__()
        self.layer = kind(3, 4, 2, bidirectional=True, input_layer_norm=True)

    def forward(self, x, lengths=None):
        y, state = self.layer(x * 1.5, lengths)
        return y, parts(state)


OTHERS = [(4, 9, [9, 3, 0, 6]), (7, 21, [21, 20, 3, 2, 1, 0, 9]), (2, 5, [5, 5]), (1, 30, [17])]


@KINDS
@pytest.mark.parametrize("training", [True, False])
def test_compiled_layers_and_their_gradients_are_the_eager_ones(kind, training):
    torch.manual_seed(0)
    net = Net(kind).train(training)
    compiled = torch.compile(net, backend="aot_eager")
    for batch, time, lengths in OTHERS:
        x = torch.randn(batch, time, 3, requires_grad=True)
        (y, state), (expected, end) = compiled(x, torch.tensor(lengths)), net(x, torch.tensor(lengths))
        torch.testing.assert_close((y, state), (expected, end))
        if training:
            gradients = [torch.autograd.grad(out.sin().sum(), [x, *net.parameters()]) for out in (y, expected)]
            torch.testing.assert_close(*gradients)


@KINDS
@pytest.mark.parametrize("with_lengths", [True, False])
def test_exported_layers_take_other_batches_times_and_lengths(kind, with_lengths):
    torch.manual_seed(0)
    net, free = Net(kind), torch.export.Dim.AUTO
    inputs = (torch.randn(4, 9, 3), torch.tensor([9, 3, 0, 6]))[: 1 + with_lengths]
    shapes = ({0: free, 1: free}, {0: free})[: 1 + with_lengths]
    exported = torch.export.export(net, inputs, dynamic_shapes=shapes).module()
    for batch, time, lengths in OTHERS:
        inputs = (torch.randn(batch, time, 3), torch.tensor(lengths))[: 1 + with_lengths]
        with torch.no_grad():
            torch.testing.assert_close(exported(*inputs), net(*inputs), atol=1e-6, rtol=1e-5)


@KINDS
@pytest.mark.parametrize("time", [6, 20])  # few steps run in the cells when no gradient is wanted
@pytest.mark.parametrize("gradients", [True, False])
@pytest.mark.parametrize("lengths", [None, [3, 1]])
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_under_autocast_all_that_comes_out_has_its_dtype(kind, time, gradients, lengths, dtype):
    torch.manual_seed(0)
    layer, x = kind(3, 4, 2, bidirectional=True), torch.randn(2, time, 3)
    expected, _ = layer(x, lengths)
    for inputs in (x, x.to(dtype)):
        with torch.set_grad_enabled(gradients), torch.autocast("cpu", dtype=dtype):
            y, state = layer(inputs, lengths)
        assert {y.dtype, *(part.dtype for part in parts(state))} == {dtype}
        torch.testing.assert_close(y.float(), expected, atol=0.05, rtol=0.05)
    if gradients:
        y.float().sum().backward()
        assert all(p.grad is not None and p.grad.dtype == torch.float32 for p in layer.parameters())


@KINDS
@pytest.mark.parametrize("dtype", [torch.float64, torch.float16, torch.bfloat16])
def test_a_layer_is_made_in_a_dtype_and_computes_in_it(kind, dtype):
    torch.manual_seed(0)
    layer = kind(3, 4, 2, bidirectional=True, device="cpu", dtype=dtype)
    assert {p.dtype for p in layer.parameters()} == {dtype}
    y, state = layer(torch.randn(3, 12, 3, dtype=dtype), [12, 5, 0])
    assert {y.dtype, *(part.dtype for part in parts(state))} == {dtype}
    assert next(kind(3, 4, device="meta").parameters()).is_meta


@KINDS
def test_gradients_are_those_of_finite_differences_through_state_and_lengths(kind):
    torch.manual_seed(0)
    layer = kind(2, 3, 2, bidirectional=True, input_layer_norm=True, residual=True, dtype=torch.float64)
    x = torch.randn(3, 5, 2, dtype=torch.float64, requires_grad=True)
    state = [torch.randn(4, 3, 3, dtype=torch.float64, requires_grad=True) for _ in range(2 if kind is LSTM else 1)]

    def run(x, *state):
        y, end = layer(x, [5, 2, 0], state if kind is LSTM else state[0])
        return y, *parts(end)

    assert torch.autograd.gradcheck(run, (x, *state))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_a_gpu_computes_the_same():
    layer = LSTM(3, 4, 2, bidirectional=True)
    x, lengths = torch.randn(4, 6, 3), torch.tensor([6, 2, 4, 1])
    expected, _ = layer(x, lengths)
    y, _ = layer.cuda()(x.cuda(), lengths.cuda())
    torch.testing.assert_close(y.cpu(), expected, atol=1e-4, rtol=1e-3)
