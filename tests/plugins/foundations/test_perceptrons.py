"""Perceptrons learn what a line can part, and nets what it cannot."""

import pytest
import torch
from lstmapps_foundations.perceptrons import CORNERS, GATES, LinearUnit, Multilayer, Perceptron, SigmoidUnit


@pytest.mark.parametrize("gate", ["AND", "OR"])
def test_a_perceptron_learns_what_a_line_parts_and_then_stays(gate):
    unit = Perceptron(2)
    mistakes = [unit.learn(CORNERS, GATES[gate]) for _ in range(20)]
    assert mistakes[-1] == 0
    assert torch.equal(unit(CORNERS), GATES[gate])


def test_a_perceptron_never_learns_xor():
    unit = Perceptron(2)
    assert min(unit.learn(CORNERS, GATES["XOR"]) for _ in range(500)) > 0


def test_the_delta_rule_ends_at_the_least_squares():
    unit = LinearUnit(2)
    errors = [unit.learn(CORNERS, GATES["XOR"]) for _ in range(500)]
    torch.testing.assert_close(unit.weights, torch.zeros(2), atol=1e-4, rtol=0)
    assert float(unit.bias) == pytest.approx(0.5, abs=1e-4)
    assert errors[-1] == pytest.approx(min(errors), abs=1e-6)
    assert errors[-1] == pytest.approx(0.5, abs=1e-6)


def test_a_sigmoid_unit_goes_down_its_gradient():
    unit = SigmoidUnit(2)
    weights = torch.zeros(2, requires_grad=True)
    loss = (GATES["OR"] - torch.sigmoid(CORNERS @ weights)).square().sum() / 2
    (gradient,) = torch.autograd.grad(loss, weights)
    assert unit.learn(CORNERS, GATES["OR"], rate=1.0) == pytest.approx(float(loss.detach()))
    torch.testing.assert_close(unit.weights, -gradient)
    for _ in range(500):
        unit.learn(CORNERS, GATES["OR"])
    assert torch.equal(unit(CORNERS).round(), GATES["OR"])


def test_backpropagation_finds_the_gradient():
    net = Multilayer([2, 3, 4, 1], torch.Generator().manual_seed(0))
    leaves = [part.requires_grad_() for part in (*net.weights, *net.biases)]
    loss = (net(CORNERS) - GATES["XOR"]).square().sum() / 2
    expected = torch.autograd.grad(loss, leaves)
    with torch.no_grad():
        by_weights, by_biases = net.gradients(CORNERS, GATES["XOR"])
    for got, one in zip((*by_weights, *by_biases), expected, strict=True):
        torch.testing.assert_close(got, one)


@pytest.mark.parametrize("seed", range(3))
def test_a_net_learns_xor(seed):
    net = Multilayer([2, 4, 1], torch.Generator().manual_seed(seed))
    for _ in range(3000):
        net.learn(CORNERS, GATES["XOR"], rate=2.0)
    assert torch.equal(net(CORNERS).round(), GATES["XOR"])


def test_a_net_without_layers_is_refused():
    with pytest.raises(ValueError, match="at least one layer"):
        Multilayer([2], torch.Generator())
