"""Encoders: padding must not matter, in training as in evaluation, and lengths must be told right."""

import pytest
import torch

from lstmapps.nn import Convolution, ConvRecurrentEncoder, CTCNetwork
from lstmapps.nn.normalisation import SequenceBatchNorm

CONVOLUTIONS = [
    Convolution(4, kernel=5, stride=(2, 2)),
    Convolution(4, residual=True, pool=(2, 1)),
    Convolution(6, pool=(1, 2)),
]


def encoder(**settings):
    torch.manual_seed(0)
    return ConvRecurrentEncoder(10, CONVOLUTIONS, 5, 2, **settings)


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("features", ["join", "max"])
def test_padding_changes_nothing(training, features):
    made = encoder(features=features, projection=3).train(training)
    lengths = torch.tensor([21, 8, 1])
    x = torch.randn(3, 21, 10)
    for row, length in enumerate(lengths.tolist()):
        x[row, length:] = 0
    y, read, steps = made(x, lengths)
    made.load_state_dict(encoder(features=features, projection=3).state_dict())  # the running averages again
    padded = torch.cat([x, torch.zeros(3, 13, 10)], dim=1)
    y_padded, read_padded, steps_padded = made(padded, lengths)
    assert steps.tolist() == steps_padded.tolist() == made.output_lengths(lengths).tolist() == [6, 2, 1]
    for row, count in enumerate(steps.tolist()):
        torch.testing.assert_close(y_padded[row, :count], y[row, :count], atol=1e-5, rtol=1e-4)
        torch.testing.assert_close(read_padded[row, :count], read[row, :count], atol=1e-5, rtol=1e-4)
        assert bool((y_padded[row, count:] == 0).all())


def test_in_evaluation_a_sequence_is_encoded_as_if_alone():
    made = encoder().eval()
    x = torch.randn(2, 20, 10)
    x[1, 9:] = 0
    y, _, steps = made(x, torch.tensor([20, 9]))
    alone, _, _ = made(x[1:, :9], torch.tensor([9]))
    torch.testing.assert_close(y[1, : steps[1]], alone[0], atol=1e-5, rtol=1e-4)


def test_without_convolutions_it_is_the_recurrent_stack():
    made = ConvRecurrentEncoder(10, [], 5, 1, recurrent="gru", bidirectional=False)
    x, lengths = torch.randn(2, 7, 10), torch.tensor([7, 4])
    y, read, steps = made(x, lengths)
    assert torch.equal(read, x)
    assert torch.equal(steps, lengths)
    torch.testing.assert_close(y, made.recurrent(x, lengths)[0])


def test_convolutions_may_be_plain_mappings():
    made = ConvRecurrentEncoder(10, [{"channels": 4, "pool": [2, 2]}], 5, 1)
    assert made.output_lengths(torch.tensor([7])).tolist() == [4]
    assert made.feature_size == 4 * 5


def test_batch_norm_counts_only_steps_inside_lengths():
    torch.manual_seed(0)
    ours, theirs = SequenceBatchNorm(3), torch.nn.BatchNorm1d(3)
    x, lengths = torch.randn(2, 3, 6, 4), torch.tensor([6, 2])
    y = ours(x, lengths)
    rows = torch.cat([x[0].permute(1, 2, 0).reshape(-1, 3), x[1, :, :2].permute(1, 2, 0).reshape(-1, 3)])
    expected = theirs(rows)
    got = torch.cat([y[0].permute(1, 2, 0).reshape(-1, 3), y[1, :, :2].permute(1, 2, 0).reshape(-1, 3)])
    torch.testing.assert_close(got, expected, atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(ours.running_mean, theirs.running_mean)
    torch.testing.assert_close(ours.running_var, theirs.running_var)
    assert bool((y[1, :, 2:] == 0).all())


def test_a_network_tells_its_steps_with_those_of_its_frontend():
    class Halves(torch.nn.Module):
        def output_lengths(self, lengths):
            return lengths // 2

    lengths = torch.tensor([21, 8])
    assert CTCNetwork(torch.nn.Identity(), encoder(), 3).output_lengths(lengths).tolist() == [6, 2]
    assert CTCNetwork(Halves(), encoder(), 3).output_lengths(lengths).tolist() == [3, 1]


def test_changed_symbols_start_from_their_sources():
    network = CTCNetwork(torch.nn.Identity(), ConvRecurrentEncoder(3, [], 4, 1), 3, auxiliary=True)
    old = network.head.weight.detach().clone()
    old_auxiliary = network.auxiliary_head.weight.detach().clone()
    network.change_symbols([0, 2, None, 1])
    assert torch.equal(network.head.weight[[0, 1, 3]], old[[0, 2, 1]])
    torch.testing.assert_close(network.head.weight[2], old.mean(dim=0))
    assert torch.equal(network.auxiliary_head.weight[[0, 1, 3]], old_auxiliary[[0, 2, 1]])
    assert network.head.out_features == network.auxiliary_head.out_channels == 4
