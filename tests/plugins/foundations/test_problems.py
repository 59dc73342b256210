"""The early tasks ask what the papers say that they ask."""

import itertools

import pytest
import torch
from lstmapps_foundations.plugin import plugin
from lstmapps_foundations.problems import (
    Addition,
    Arithmetic,
    ContinualReber,
    Counting,
    EmbeddedReber,
    NoiseFree,
    Parity,
    Pixels,
    SpikeDelays,
    TemporalOrder,
    TwoSequences,
)
from lstmapps_foundations.problems.reber import SYMBOLS

from lstmapps.testing import check_plugin

PROBLEMS = [
    Arithmetic(),
    Arithmetic(operation="product"),
    EmbeddedReber(),
    ContinualReber(50),
    NoiseFree(20),
    *(TwoSequences(noise=noise) for noise in ("rest", "all", "targets")),
    TemporalOrder(),
    TemporalOrder(relevant=3),
    Counting(),
    Counting(3, 1, 4),
    SpikeDelays(),
    Parity(1, 7),
    Addition(3, 3),
    Addition(3, 3, columns=True),
    Pixels(),
]
EVERY = pytest.mark.parametrize("problem", PROBLEMS, ids=lambda problem: type(problem).__name__)


def drawn(problem, count=200, seed=0):
    return problem.draw(count, torch.Generator().manual_seed(seed))


def said(problem, episodes):
    """The y that says just what is right."""
    if problem.loss == "squared":
        return episodes.targets.clone()
    if problem.loss == "chances":
        return 20 * episodes.targets - 10
    if episodes.allowed is not None:
        return 10 * episodes.allowed.float()
    return 10 * torch.nn.functional.one_hot(episodes.targets, problem.outputs).float()


def test_the_plugin_keeps_the_contract():
    check_plugin(plugin)


@EVERY
def test_episodes_have_the_shapes_that_they_say_and_end_where_they_end(problem):
    episodes = drawn(problem)
    batch, time = episodes.counts.shape
    assert batch == 200
    assert episodes.x.shape == (200, time, problem.inputs)
    assert int(episodes.lengths.max()) == time
    assert int(episodes.lengths.min()) >= 1
    beyond = torch.arange(time) >= episodes.lengths.unsqueeze(1)
    assert not bool((episodes.counts & beyond).any())
    assert bool(episodes.counts.any(dim=1).all())
    if problem.loss == "classes":
        assert 0 <= int(episodes.targets.min()) <= int(episodes.targets.max()) < problem.outputs
    else:
        assert episodes.targets.shape == (200, time, problem.outputs)


@EVERY
def test_the_same_seed_draws_the_same_and_another_others(problem):
    one, again, other = drawn(problem, 20), drawn(problem, 20), drawn(problem, 20, seed=1)
    assert torch.equal(one.x, again.x)
    assert torch.equal(one.targets, again.targets)
    assert one.x.shape != other.x.shape or not torch.equal(one.targets, other.targets)
    assert problem.draw(0, torch.Generator()).x.shape[0] == 0


@EVERY
def test_what_is_right_is_right_and_a_mistake_at_one_step_is_none(problem):
    episodes = drawn(problem)
    y = said(problem, episodes)
    assert bool(problem.right(y, episodes).all())
    beyond = ~episodes.counts
    y[beyond] += torch.randn_like(y)[beyond]  # where nothing is asked, anything may be said
    assert bool(problem.right(y, episodes).all())
    wrong = y.clone()
    step = int(episodes.counts[0].nonzero()[-1])
    if problem.loss == "squared":
        wrong[0, step] = 5.5 if float(wrong[0, step]) < 0.5 else -4.5
    else:
        wrong[0, step] = -wrong[0, step]
    right = problem.right(wrong, episodes)
    assert not bool(right[0])
    assert bool(right[1:].all())


@EVERY
def test_no_constant_answer_is_right_by_more_than_chance(problem):
    episodes = drawn(problem, 400)
    for level in (0.0, 0.5, 1.0):
        y = torch.full((*episodes.counts.shape, problem.outputs), level)
        assert float(problem.right(y, episodes).float().mean()) < 0.6


def test_two_marked_numbers_make_the_answer():
    for operation in ("sum", "product"):
        episodes = drawn(Arithmetic(100, operation))
        for x, target, length in zip(episodes.x, episodes.targets, episodes.lengths.tolist(), strict=True):
            assert 100 <= length <= 110
            marked = x[x[:, 1] == 1, 0].tolist()
            assert len(marked) == 2 or (len(marked) == 1 and float(x[0, 1]) == -1)
            assert bool((x[:, 1] == 1).nonzero().max() < 50)
            a, b = [*marked, 0.0 if operation == "sum" else 1.0][:2]
            expected = 0.5 + (a + b) / 4 if operation == "sum" else a * b
            assert float(target[length - 1]) == pytest.approx(expected, abs=1e-6)


def test_reber_strings_are_those_of_the_grammar_and_their_first_tells_their_last():
    episodes = drawn(EmbeddedReber(), 500)
    counts = set()
    for x, targets, length in zip(episodes.x, episodes.targets, episodes.lengths.tolist(), strict=True):
        text = SYMBOLS[int(x[0].argmax())] + "".join(SYMBOLS[symbol] for symbol in targets[:length].tolist())
        assert text[0] == "B"
        assert text[1] == text[-2] in "TP"
        assert text[-1] == "E"
        inner = text[2:-2]
        assert inner[0] == "B"
        assert inner[-1] == "E"
        counts.add(length)
    assert min(counts) == 8  # B T (B T X S E) T E, but for the last symbol
    follow = {tuple(row.nonzero().flatten().tolist()) for row in episodes.allowed[0][: episodes.lengths[0]]}
    assert all(1 <= len(pair) <= 2 for pair in follow)


def test_a_continual_stream_goes_on_with_another_string():
    (targets,) = drawn(ContinualReber(300), 1).targets
    text = "".join(SYMBOLS[symbol] for symbol in targets.tolist())
    strings = text[text.index("EB", 1) + 1 :].replace("TEB", "TE|B").replace("PEB", "PE|B").split("|")
    assert len(strings) > 15
    assert all(string[0] == "B" and string[1] == string[-2] and string[-1] == "E" for string in strings[1:-1])


def test_an_order_is_told_by_class():
    for relevant in (2, 3):
        problem = TemporalOrder(100, relevant)
        episodes = drawn(problem)
        symbols = episodes.x.argmax(dim=2)
        for row, length in zip(range(200), episodes.lengths.tolist(), strict=True):
            places = ((symbols[row] == 4) | (symbols[row] == 5)).nonzero().flatten()
            assert len(places) == relevant
            bits = (symbols[row, places] - 4).tolist()
            number = sum(bit << shift for shift, bit in enumerate(reversed(bits)))
            assert int(episodes.targets[row, length - 1]) == number
        assert len(episodes.targets.unique()) == 2**relevant


def test_counting_says_all_that_may_come():
    problem = Counting(2)
    episodes = problem.strings(torch.tensor([1, 3]))
    may_come = [["a"], ["ab"], ["T"]], [["a"], ["ab"], ["ab"], ["ab"], ["b"], ["b"], ["T"]]
    for row, expected in enumerate(may_come):
        for step, (letters,) in enumerate(expected):
            on = episodes.targets[row, step].nonzero().flatten().tolist()
            assert "".join("abT"[output] for output in on) == letters
    assert episodes.lengths.tolist() == [3, 7]
    three = Counting(3).strings(torch.tensor([2]))
    shown = ["".join("abcT"[output] for output in row.nonzero().flatten().tolist()) for row in three.targets[0]]
    assert shown == ["a", "ab", "ab", "b", "c", "c", "T"]


def test_a_perfect_counter_counts_as_far_as_is_asked():
    problem = Counting(2)
    assert problem.examine(lambda episodes: said(problem, episodes), None) == {"right_up_to": 1000.0}
    fails = lambda episodes: said(problem, episodes) * (1 if episodes.x.shape[1] < 16 else -1)  # noqa: E731
    assert problem.examine(fails, None) == {"right_up_to": 7.0}


def test_a_continual_reader_is_followed_to_its_first_mistake():
    problem = ContinualReber(50)

    def says(episodes):
        y = said(problem, episodes)
        y[:, 1234] = -y[:, 1234]
        return y

    assert problem.examine(says, torch.Generator().manual_seed(0)) == {"right_symbols": 1234.0}


def test_delays_are_those_between_spikes():
    problem = SpikeDelays(5, 9, 6)
    episodes = drawn(problem, 30)
    for x, targets, counts in zip(episodes.x, episodes.targets, episodes.counts, strict=True):
        spikes = x.flatten().nonzero().flatten().tolist()
        assert counts.nonzero().flatten().tolist() == spikes[1:]
        for before, place in itertools.pairwise(spikes):
            assert float(targets[place]) == pytest.approx((place - before - 5) / 4)


def test_sums_and_parities():
    episodes = drawn(Addition(3, 3))
    digits = episodes.x.argmax(dim=2)
    for row, targets in zip(digits.tolist(), episodes.targets.tolist(), strict=True):
        a, b = (int("".join(map(str, row[begin : begin + 3]))) for begin in (1, 5))
        assert int("".join(map(str, targets[-4:]))) == a + b
    columns = drawn(Addition(3, 3, columns=True))
    assert columns.counts.all()
    read = columns.x.unflatten(2, (2, 11)).argmax(dim=3)
    for pairs, targets in zip(read.tolist(), columns.targets.tolist(), strict=True):
        a, b = (sum(digit * 10**place for place, digit in enumerate(number[:3])) for number in zip(*pairs, strict=True))
        assert sum(digit * 10**place for place, digit in enumerate(targets)) == a + b
    bits = drawn(Parity(2, 7))
    assert bits.lengths.unique().tolist() == [2, 3, 4, 5, 6, 7]
    assert torch.equal((bits.x > 0).sum(dim=(1, 2)) % 2, bits.targets[bits.counts])
    assert torch.equal((bits.x != 0).sum(dim=(1, 2)), bits.lengths)


def test_pictures_of_a_part_are_its_own():
    parts = [drawn(Pixels(part), 2000) for part in ("train", "validation", "test")]
    assert [len({tuple(x.flatten().tolist()) for x in part.x}) > 250 for part in parts] == [True] * 3
    train, test = ({tuple(x.flatten().tolist()) for x in part.x} for part in (parts[0], parts[2]))
    assert not train & test


@pytest.mark.parametrize(
    "make",
    [
        lambda: Arithmetic(0),
        lambda: Arithmetic(10**9),
        lambda: Arithmetic(100, "difference"),
        lambda: TemporalOrder(5),
        lambda: TemporalOrder(100, 4),
        lambda: TwoSequences(noise="pink"),
        lambda: NoiseFree(-1),
        lambda: ContinualReber(0),
        lambda: Counting(4),
        lambda: Counting(2, 5, 3),
        lambda: SpikeDelays(10, 10),
        lambda: Parity(0),
        lambda: Parity(9, 5),
        lambda: Addition(-3, 3),
        lambda: Pixels("all"),
    ],
)
def test_sizes_that_make_no_sense_are_refused(make):
    with pytest.raises(ValueError, match=r"give|lengths|operation|relevant|noise|letters|measured|part"):
        make()
