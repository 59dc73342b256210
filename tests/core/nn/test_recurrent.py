"""Recurrent layers against torch.nn on packed sequences, and the properties they promise."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from lstmapps.nn import GRU, LSTM, RNN, gru_step, lstm_step, rnn_step
from lstmapps.nn.engine import _blocks

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
        (lambda: LSTM.from_torch(nn.LSTM(3, 4, proj_size=2)), "projection"),
        (lambda: RNN.from_torch(nn.RNN(3, 4, nonlinearity="relu")), "tanh"),
        (lambda: LSTM(3, 4, layer_norm=True).to_torch(), "layer norm"),
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
    layer = kind(3, 4, 2, bidirectional=True, layer_norm=extras, residual=extras)
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


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_a_gpu_computes_the_same():
    layer = LSTM(3, 4, 2, bidirectional=True)
    x, lengths = torch.randn(4, 6, 3), torch.tensor([6, 2, 4, 1])
    expected, _ = layer(x, lengths)
    y, _ = layer.cuda()(x.cuda(), lengths.cuda())
    torch.testing.assert_close(y.cpu(), expected, atol=1e-4, rtol=1e-3)
