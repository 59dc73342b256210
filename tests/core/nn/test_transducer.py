"""The transducer: its loss against brute force over all alignments, and that it learns to read."""

import itertools
import math
import signal

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lstmapps.nn.transducer import Transducer


def brute_force(transducer, y, targets):
    """Sum the probability of every way to interleave the targets with a blank for each step."""
    symbols = torch.tensor([[0, *targets]])
    g, _ = transducer.prediction(transducer.embedding(symbols))
    hidden = transducer.from_encoder(y)[0].unsqueeze(1) + transducer.from_prediction(g)[0].unsqueeze(0)
    scores = transducer.head(hidden.tanh()).log_softmax(dim=2)
    steps, total = y.shape[1], []
    for places in itertools.combinations_with_replacement(range(steps), len(targets)):
        score, u = 0.0, 0
        for step in range(steps):
            while u < len(targets) and places[u] == step:
                score += scores[step, u, targets[u]].item()
                u += 1
            score += scores[step, u, 0].item()
        total.append(score)
    return -math.log(sum(math.exp(score) for score in total))


def places(spans):
    return [(span.symbol, span.start) for span in spans]


def test_the_loss_is_the_sum_over_all_alignments():
    torch.manual_seed(0)
    transducer = Transducer(5, 4, 6)
    y, lengths = torch.randn(2, 4, 5), torch.tensor([4, 3])
    targets, target_lengths = torch.tensor([[1, 1, 3], [2, 0, 0]]), torch.tensor([3, 1])
    losses = transducer.losses(y, lengths, targets, target_lengths)
    expected = [brute_force(transducer, y[:1], [1, 1, 3]), brute_force(transducer, y[1:, :3], [2])]
    torch.testing.assert_close(losses.detach(), torch.tensor(expected), atol=1e-4, rtol=1e-4)


@torch.no_grad()
def test_readings_of_one_input_are_weighed_one_by_one():
    torch.manual_seed(0)
    transducer, y = Transducer(5, 4, 6), torch.randn(4, 5)
    readings = [(1, 1, 3), (), (2,)]
    expected = [-brute_force(transducer, y.unsqueeze(0), reading) for reading in readings]
    torch.testing.assert_close(transducer.log_probabilities(y, readings), torch.tensor(expected), atol=1e-4, rtol=1e-4)


def test_it_learns_to_read_and_rows_do_not_disturb_each_other():
    torch.manual_seed(0)
    transducer = Transducer(4, 4, 16)
    texts = [[1, 2, 2], [3], [2, 1]]
    y = torch.zeros(3, 6, 4)
    for row, text in enumerate(texts):
        for place, symbol in enumerate(text):
            y[row, 2 * place, symbol] = 1.0
    lengths, target_lengths = torch.tensor([6, 2, 4]), torch.tensor([3, 1, 2])
    targets = torch.tensor([[1, 2, 2], [3, 0, 0], [2, 1, 0]])
    optimiser = torch.optim.Adam(transducer.parameters(), lr=0.02)
    for _ in range(100):
        optimiser.zero_grad()
        transducer.losses(y, lengths, targets, target_lengths).sum().backward()
        optimiser.step()
    with torch.no_grad():
        found, _ = transducer.greedy(y, lengths)
        alone, _ = transducer.greedy(y[1:2, :2], lengths[1:2])
    assert [[span.symbol for span in row] for row in found] == texts
    assert places(alone[0]) == places(found[1])
    assert all(span.start < length for row, length in zip(found, (6, 2, 4), strict=True) for span in row)


def test_dropout_hides_symbols_in_training_alone():
    torch.manual_seed(0)
    transducer = Transducer(5, 4, 6, dropout=0.5)
    batch = torch.randn(2, 4, 5), torch.tensor([4, 3]), torch.tensor([[1, 1, 3], [2, 3, 0]]), torch.tensor([3, 2])
    assert not torch.equal(transducer.losses(*batch), transducer.losses(*batch))
    transducer.eval()
    assert torch.equal(transducer.losses(*batch), transducer.losses(*batch))


def by_steps(transducer, y, most):
    """What greedy reading is, one row, one step and one symbol after the other."""
    state = transducer.init_state()
    found, mass, output, memory = [], state.mass[0], state.output, state.memory
    for step in range(len(y)):
        for number in range(most + 1):
            hidden = (transducer.from_encoder(y[step]) + transducer.from_prediction(output[0, 0])).tanh()
            probabilities = transducer.head(hidden).softmax(dim=0)
            new = mass + mass[0] * probabilities
            new[0] = mass[0] * probabilities[0]
            if number == most:
                break  # what remains comes at the next step
            if new[0] >= 0.5:
                mass = new
                break
            symbol = int(new[1:].argmax()) + 1
            found.append((symbol, step))
            output, memory = transducer.prediction(transducer.embedding(torch.tensor([[symbol]])), None, memory)
            mass = torch.eye(len(mass))[0]
    return found


@torch.no_grad()
@given(cuts=st.lists(st.integers(0, 150), max_size=5), seed=st.integers(0, 20), most=st.integers(1, 3))
@settings(max_examples=8, deadline=None)
def test_greedy_reading_goes_step_by_step_however_the_steps_come(cuts, seed, most):
    torch.manual_seed(seed)
    transducer = Transducer(5, 4, 6)
    transducer.head.bias[0] += 0.3
    y, lengths = torch.randn(3, 150, 5) * 3, torch.tensor([150, 90, 0])
    expected = [by_steps(transducer, row[:length], most) for row, length in zip(y, lengths, strict=True)]
    assert len(expected[0]) > 10
    found, _ = transducer.greedy(y, lengths, most=most)
    assert [places(row) for row in found] == expected
    pieces, state, begin = [], None, 0
    for piece in y[:1].tensor_split(sorted(cuts), dim=1):
        (more,), state = transducer.greedy(piece, torch.tensor([piece.shape[1]]), state, most)
        pieces += [(span.symbol, begin + span.start) for span in more]
        begin += piece.shape[1]
    assert pieces == expected[0]


@torch.no_grad()
def test_no_more_symbols_than_allowed_fall_on_one_step():
    transducer = Transducer(5, 4, 6)
    with torch.no_grad():
        transducer.head.bias[0] = -100.0  # never the blank

    def stop(*_):
        raise AssertionError("reading does not come to an end")

    signal.signal(signal.SIGALRM, stop)
    signal.alarm(20)
    try:
        (found,), _ = transducer.greedy(torch.randn(1, 7, 5), torch.tensor([7]), most=2)
    finally:
        signal.alarm(0)
    assert [span.start for span in found] == [step for step in range(7) for _ in range(2)]
