"""CTC against torch, torchaudio, and brute force over all paths."""

import itertools
import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lstmapps.ctc import beam_search, ctc_loss, forced_align, greedy_decode, greedy_spans, steps_needed


def collapse(path, blank=0):
    return tuple(symbol for symbol, _ in itertools.groupby(path) if symbol != blank)


def all_readings(logits, blank=0):
    """The probability of every reading of one sequence (time, symbols), by summing over all paths."""
    probabilities = logits.double().softmax(dim=1).tolist()
    total = {}
    for path in itertools.product(range(logits.shape[1]), repeat=logits.shape[0]):
        p = math.prod(probabilities[t][symbol] for t, symbol in enumerate(path))
        reading = collapse(path, blank)
        total[reading] = total.get(reading, 0.0) + p
    return total


def best_path(logits, reading, blank=0):
    """The most probable path that spells a reading, by trying all."""
    log_probabilities = logits.double().log_softmax(dim=1)
    paths = itertools.product(range(logits.shape[1]), repeat=logits.shape[0])
    spelling = [path for path in paths if collapse(path, blank) == reading]
    return max(spelling, key=lambda path: sum(log_probabilities[t, s].item() for t, s in enumerate(path)))


def test_loss_is_the_probability_of_all_paths():
    torch.manual_seed(0)
    logits = torch.randn(2, 5, 4)
    targets = torch.tensor([[1, 1, 2], [3, 0, 0]])
    lengths, target_lengths = torch.tensor([5, 3]), torch.tensor([3, 1])
    losses = ctc_loss(logits, lengths, targets, target_lengths)
    expected = [-math.log(all_readings(logits[0])[1, 1, 2]), -math.log(all_readings(logits[1, :3])[3,])]
    assert losses.tolist() == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize("blank", [0, 3])
def test_loss_and_gradient_equal_torch(blank):
    torch.manual_seed(0)
    logits = torch.randn(3, 12, 5, requires_grad=True)
    symbols = [s for s in range(5) if s != blank]
    targets = torch.tensor(symbols)[torch.randint(4, (3, 4))]
    lengths, target_lengths = torch.tensor([12, 9, 10]), torch.tensor([4, 2, 0])
    ours = ctc_loss(logits, lengths, targets, target_lengths, blank)
    log_probabilities = logits.log_softmax(2).transpose(0, 1)
    theirs = torch.nn.functional.ctc_loss(
        log_probabilities, targets, lengths, target_lengths, blank=blank, reduction="none"
    )
    torch.testing.assert_close(ours, theirs)
    torch.testing.assert_close(torch.autograd.grad(ours.sum(), logits)[0], torch.autograd.grad(theirs.sum(), logits)[0])


def test_padding_changes_no_loss():
    torch.manual_seed(0)
    logits = torch.randn(1, 6, 4)
    targets, target_lengths = torch.tensor([[1, 2]]), torch.tensor([2])
    padded = torch.cat([logits, torch.full((1, 3, 4), 50.0)], dim=1)
    a = ctc_loss(logits, torch.tensor([6]), targets, target_lengths)
    b = ctc_loss(padded, torch.tensor([6]), torch.tensor([[1, 2, 3]]), target_lengths)
    torch.testing.assert_close(a, b)


@pytest.mark.parametrize(("symbols", "steps"), [([], 0), ([1], 1), ([1, 2], 2), ([1, 1], 3), ([2, 2, 2, 1, 1], 8)])
def test_steps_needed_is_where_the_loss_becomes_finite(symbols, steps):
    assert steps_needed(symbols) == steps
    if symbols:
        targets, target_lengths = torch.tensor([symbols]), torch.tensor([len(symbols)])
        logits = torch.zeros(1, steps, 4)
        assert ctc_loss(logits, torch.tensor([steps]), targets, target_lengths).isfinite()
        assert ctc_loss(logits, torch.tensor([steps - 1]), targets, target_lengths).isinf()


def test_greedy_reads_the_best_path():
    path = torch.tensor([0, 2, 2, 0, 2, 1, 1, 3])
    logits = torch.nn.functional.one_hot(path, 4).float().unsqueeze(0) * 5
    (whole,) = greedy_decode(logits, torch.tensor([8]))
    assert whole.symbols == (2, 2, 1, 3)
    assert whole.score == pytest.approx(8 * logits[0, 0].log_softmax(0).max().item(), abs=1e-4)
    (short,) = greedy_decode(logits, torch.tensor([5]))
    assert short.symbols == (2, 2)
    (spans,) = greedy_spans(logits, torch.tensor([8]))
    assert [(s.symbol, s.start, s.end) for s in spans] == [(2, 1, 3), (2, 4, 5), (1, 5, 7), (3, 7, 8)]


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10**6), time=st.integers(1, 5), sharpness=st.sampled_from([0.5, 1.0, 3.0]))
def test_beam_search_equals_brute_force(seed, time, sharpness):
    torch.manual_seed(seed)
    logits = torch.randn(1, time, 3, dtype=torch.float64) * sharpness
    expected = sorted(all_readings(logits[0]).items(), key=lambda item: -item[1])
    # 63 prefixes of at most five symbols out of two: a beam of 64 holds them all
    (found,) = beam_search(logits, torch.tensor([time]), beam=64, n_best=64)
    assert len(found) == len(expected)
    for hypothesis, (reading, probability) in zip(found, expected, strict=True):
        assert math.exp(hypothesis.score) == pytest.approx(probability, rel=1e-6)
        assert all_readings(logits[0])[hypothesis.symbols] == pytest.approx(probability, rel=1e-6)
        assert len(reading) <= time


@pytest.mark.parametrize("seed", range(20))
def test_a_beam_of_16_finds_the_best_reading(seed):
    torch.manual_seed(seed)
    logits = torch.randn(1, 5, 4, dtype=torch.float64) * 2
    readings = all_readings(logits[0])
    (found,) = beam_search(logits, torch.tensor([5]), beam=16)
    assert found[0].symbols == max(readings, key=readings.get)
    assert math.exp(found[0].score) == pytest.approx(max(readings.values()), rel=1e-6)


def test_a_batch_is_searched_as_each_of_its_rows():
    torch.manual_seed(3)
    logits, lengths = torch.randn(3, 7, 5), torch.tensor([7, 2, 5])
    together = beam_search(logits, lengths, beam=8, n_best=3)
    for row, length in enumerate(lengths.tolist()):
        (alone,) = beam_search(logits[row : row + 1, :length], lengths[row : row + 1], beam=8, n_best=3)
        assert [h.symbols for h in together[row]] == [h.symbols for h in alone]
        assert [h.score for h in together[row]] == pytest.approx([h.score for h in alone], abs=1e-4)


class Bigrams:
    """A language model of two symbols with made-up weights; its state is the last symbol."""

    def __init__(self, seed):
        generator = torch.Generator().manual_seed(seed)
        self.table = torch.randn(3, 3, generator=generator, dtype=torch.float64)
        self.last = torch.randn(3, generator=generator, dtype=torch.float64)

    def start(self):
        return 0

    def next(self, state, symbol):
        return symbol

    def scores(self, state):
        return self.table[state]

    def finish(self, state):
        return float(self.last[state])

    def weight(self, reading):
        steps = itertools.pairwise((0, *reading))
        return sum(float(self.table[a, b]) for a, b in steps) + float(self.last[reading[-1] if reading else 0])


@pytest.mark.parametrize("seed", range(10))
def test_with_a_language_model_beam_search_equals_brute_force(seed):
    torch.manual_seed(seed)
    logits = torch.randn(2, 5, 3, dtype=torch.float64)
    model, lengths = Bigrams(seed), [5, 3]
    found = beam_search(logits, torch.tensor(lengths), beam=64, n_best=64, language_model=model)
    for row, length in enumerate(lengths):
        readings = all_readings(logits[row, :length])
        expected = {reading: math.log(p) + model.weight(reading) for reading, p in readings.items()}
        assert {h.symbols: h.score for h in found[row]} == pytest.approx(expected, abs=1e-5)
        assert [h.score for h in found[row]] == sorted((h.score for h in found[row]), reverse=True)


def test_a_rescorer_counts_as_much_as_the_network():
    torch.manual_seed(0)
    logits, lengths = torch.randn(2, 5, 3, dtype=torch.float64), [5, 3]
    model = Bigrams(0)

    def rescorer(row, readings):
        return torch.tensor([-2.0 * len(reading) + row for reading in readings])

    found = beam_search(logits, torch.tensor(lengths), 64, 64, language_model=model, rescorer=rescorer)
    for row, length in enumerate(lengths):
        readings = all_readings(logits[row, :length])
        expected = {r: (math.log(p) - 2.0 * len(r) + row) / 2 + model.weight(r) for r, p in readings.items()}
        assert {h.symbols: h.score for h in found[row]} == pytest.approx(expected, abs=1e-5)
        assert found[row][0].symbols == max(expected, key=expected.get)


def test_a_language_model_of_the_wrong_size_is_refused():
    model = Bigrams(0)
    model.table = torch.zeros(3, 2)
    with pytest.raises(ValueError, match="must score 3 symbols"):
        beam_search(torch.zeros(1, 2, 3), torch.tensor([2]), language_model=model)


def test_more_readings_than_the_beam_holds_are_refused():
    with pytest.raises(ValueError, match="n_best"):
        beam_search(torch.zeros(1, 2, 3), torch.tensor([2]), beam=4, n_best=5)


@pytest.mark.parametrize("reading", [(1,), (1, 1), (2, 1), (1, 2, 1), ()])
def test_alignment_is_the_best_of_all_paths(reading):
    torch.manual_seed(len(reading))
    logits = torch.randn(1, 5, 3)
    targets = torch.tensor([list(reading) or [0]])
    (spans,) = forced_align(logits, torch.tensor([5]), targets, torch.tensor([len(reading)]))
    path = best_path(logits[0], reading)
    expected, begin = [], 0
    for symbol, group in itertools.groupby(path):
        end = begin + len(list(group))
        if symbol:
            expected.append((symbol, begin, end))
        begin = end
    assert [(s.symbol, s.start, s.end) for s in spans] == expected
    probabilities = logits[0].softmax(dim=1)
    for span in spans:
        assert span.score == pytest.approx(probabilities[span.start : span.end, span.symbol].mean().item(), abs=1e-5)


def test_alignment_equals_torchaudio(monkeypatch):
    monkeypatch.setattr(torch.version, "cuda", None)  # torchaudio refuses another CUDA than its own, even on the CPU
    try:
        import torchaudio.functional as torchaudio
    except (ImportError, OSError, RuntimeError) as error:
        pytest.skip(f"torchaudio cannot be imported beside this torch: {error}")
    torch.manual_seed(0)
    logits = torch.randn(3, 40, 8)
    lengths, target_lengths = torch.tensor([40, 25, 31]), torch.tensor([12, 6, 9])
    targets = torch.randint(1, 8, (3, 12))
    ours = forced_align(logits, lengths, targets, target_lengths)
    for row in range(3):
        log_probabilities = logits[row : row + 1, : lengths[row]].log_softmax(2)
        labels, scores = torchaudio.forced_align(log_probabilities, targets[row : row + 1, : target_lengths[row]])
        merged = torchaudio.merge_tokens(labels[0], scores[0].exp())
        theirs = [(span.token, span.start, span.end) for span in merged]
        assert [(s.symbol, s.start, s.end) for s in ours[row]] == theirs
        assert [s.score for s in ours[row]] == pytest.approx([span.score for span in merged], abs=1e-4)


def test_an_input_too_short_to_align_is_named():
    with pytest.raises(ValueError, match=r"rows \[1\]"):
        forced_align(torch.zeros(2, 4, 3), torch.tensor([4, 2]), torch.tensor([[1, 2], [1, 1]]), torch.tensor([2, 2]))


def test_what_is_too_short_is_infinite_or_left_out_of_training():
    logits = torch.randn(2, 4, 3, requires_grad=True)
    arguments = torch.tensor([4, 2]), torch.tensor([[1, 2], [1, 1]]), torch.tensor([2, 2])
    assert ctc_loss(logits, *arguments).isinf().tolist() == [False, True]
    losses = ctc_loss(logits, *arguments, zero_infinity=True)
    assert losses[1] == 0
    losses.sum().backward()
    assert logits.grad[0].any()
    assert not logits.grad[1].any()


def test_rows_that_cannot_be_read_are_named():
    logits, lengths = torch.randn(3, 6, 4), torch.tensor([6, 6, 0])
    targets = torch.tensor([[1, 2], [1, 0], [3, 0]])
    with pytest.raises(ValueError, match=r"rows \[2\]"):
        forced_align(logits, lengths, targets, torch.tensor([2, 1, 1]))
    assert forced_align(logits, lengths, targets, torch.tensor([2, 1, 0]))[2] == []
    logits[1, 3, 2] = float("nan")
    logits[2] = float("nan")  # beyond its length
    for call in (
        lambda: beam_search(logits, lengths),
        lambda: forced_align(logits, lengths, targets, lengths.clamp(max=1)),
    ):
        with pytest.raises(ValueError, match=r"NaN\) in rows \[1\]"):
            call()
