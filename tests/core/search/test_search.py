"""Searching: against looking at every text there is, and what must not change a result."""

import itertools

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lstmapps.nn import AttentionDecoder, DecoderSettings
from lstmapps.nn.quantised import quantise
from lstmapps.nn.shortlist import Shortlist, Shortlisted
from lstmapps.search import Constraints, Ensemble, Search, search

LENGTHS = torch.tensor([5, 3, 1])


def decoder(seed=0, symbols=4):
    torch.manual_seed(seed)
    made = AttentionDecoder(symbols, 8, DecoderSettings(6, 8, 2, attention="additive", feeding="input")).eval()
    with torch.no_grad():
        made.embedding.weight.mul_(5)
    return made


def memory(seed=0):
    y = torch.randn(3, 5, 8, generator=torch.Generator().manual_seed(seed))
    for row, length in zip(y, LENGTHS.tolist(), strict=True):
        row[length:] = 0.0
    return y


@torch.no_grad()
def log_probability(made, y, text):
    vectors, _ = made(torch.tensor([[0, *text]]), y.unsqueeze(0), torch.tensor([len(y)]))
    logs = made.output(vectors)[0].log_softmax(dim=1)
    return sum(logs[place, symbol].item() for place, symbol in enumerate([*text, 0]))


def texts_of(found):
    return [[hypothesis.symbols for hypothesis in row] for row in found]


@given(seed=st.integers(0, 30), penalty=st.sampled_from(["none", "average", "wu"]), alpha=st.floats(0.2, 1.5))
@settings(max_examples=10, deadline=None)
def test_a_beam_of_full_width_finds_what_looking_at_every_text_finds(seed, penalty, alpha):
    made, y = decoder(seed), memory(seed)
    asked = Search(beam=60, n_best=60, longest=3, length_penalty=penalty, alpha=alpha)
    every = [text for length in range(4) for text in itertools.product((1, 2, 3), repeat=length)]
    for row, found in enumerate(search(made, y, LENGTHS, asked)):
        scores = {text: log_probability(made, y[row, : LENGTHS[row]], text) for text in every}
        expected = {text: asked.penalised(score, len(text) + 1) for text, score in scores.items()}
        assert {h.symbols: h.score for h in found} == pytest.approx(expected, abs=1e-4)
        assert [h.score for h in found] == sorted((h.score for h in found), reverse=True)
        assert len({h.symbols for h in found}) == len(found)
        for hypothesis in found:
            assert sum(hypothesis.log_probabilities) == pytest.approx(scores[hypothesis.symbols], abs=1e-4)
            assert hypothesis.attention.shape == (len(hypothesis.symbols) + 1, LENGTHS[row])
            torch.testing.assert_close(hypothesis.attention.sum(dim=1), torch.ones(len(hypothesis.symbols) + 1))


@torch.no_grad()
def step_by_step(made, y, longest):
    state, text = made.init_state(y.unsqueeze(0), torch.tensor([len(y)])), []
    while len(text) < longest:
        logits, state, _ = made.step(torch.tensor([text[-1] if text else 0]), state)
        symbol = int(logits.argmax())
        if symbol == 0:
            break
        text.append(symbol)
    return tuple(text)


@given(seed=st.integers(0, 30))
@settings(max_examples=10, deadline=None)
def test_a_beam_of_one_is_greedy(seed):
    made, y = decoder(seed, symbols=9), memory(seed)
    found = search(made, y, LENGTHS, Search(beam=1, longest=7))
    assert texts_of(found) == [[step_by_step(made, y[row, :length], 7)] for row, length in enumerate(LENGTHS)]


ASKED = {
    "beam": Search(beam=4, n_best=4),
    "coverage": Search(beam=4, n_best=4, coverage=0.5),
    "groups": Search(beam=6, n_best=6, groups=3, diversity=1.0),
    "drawn": Search(sample=True, n_best=3, temperature=0.8, top_k=3, top_p=0.9),
    "penalised": Search(beam=3, n_best=3, repetition=1.5, block_ngrams=2, shortest=2),
}


@pytest.mark.parametrize("asked", ASKED.values(), ids=ASKED)
def test_neither_the_batch_nor_its_order_nor_padding_changes_a_row(asked):
    made, y = decoder(3, symbols=7), memory(3)
    together = search(made, y, LENGTHS, asked, seeds=[7, 8, 9])
    back = search(made, y.flip(0), LENGTHS.flip(0), asked, seeds=[9, 8, 7])[::-1]
    alone = [
        search(made, y[row : row + 1, :length], LENGTHS[row : row + 1], asked, seeds=[7 + row])[0]
        for row, length in enumerate(LENGTHS.tolist())
    ]
    assert texts_of(together) == texts_of(back) == texts_of(alone)
    for one, other in zip(itertools.chain(*together), itertools.chain(*alone), strict=True):
        assert one.score == pytest.approx(other.score, abs=1e-5)


class Endless:
    """A decoder that never writes the end."""

    def init_state(self, memory, lengths):
        return torch.zeros(len(lengths))

    def step(self, tokens, state):
        logits = torch.tensor([-100.0, 1.0, 0.5]).expand(len(tokens), -1).clone()
        return logits, state, torch.ones(len(tokens), 2) / 2

    def reorder(self, state, index):
        return state[index]


@pytest.mark.parametrize("asked", [{"beam": 3}, {"beam": 1}, {"sample": True}], ids=str)
def test_it_ends_when_no_end_comes(asked):
    for (hypothesis,) in search(Endless(), torch.zeros(2, 2, 1), torch.tensor([2, 2]), Search(longest=9, **asked)):
        assert len(hypothesis.symbols) == 9
    (found,) = search(Endless(), torch.zeros(1, 2, 1), torch.tensor([2]), Search())
    assert len(found[0].symbols) == 14, "twice the memory's steps and ten"


def test_bounds_of_the_length_are_kept():
    made, y = decoder(1), memory(1)
    for row in search(made, y, LENGTHS, Search(beam=5, n_best=5, shortest=3, longest=4)):
        assert all(3 <= len(hypothesis.symbols) <= 4 for hypothesis in row)


def contains(text, phrase):
    return any(text[i : i + len(phrase)] == phrase for i in range(len(text)))


@given(
    seed=st.integers(0, 20),
    must=st.lists(st.lists(st.integers(1, 5), min_size=1, max_size=3).map(tuple), max_size=3, unique=True),
    banned=st.lists(st.integers(6, 7), min_size=1, max_size=2).map(tuple),
    prefix=st.lists(st.integers(1, 5), max_size=2).map(tuple),
    beam=st.integers(1, 6),
)
@settings(max_examples=25, deadline=None)
def test_constraints_are_kept(seed, must, banned, prefix, beam):
    made, y = decoder(seed, symbols=8), memory(seed)
    constraints = [Constraints(prefix, must, [banned]), Constraints(), Constraints(must_not=[(1,), (2, 2)])]
    found = search(made, y, LENGTHS, Search(beam=beam, n_best=beam, longest=15), constraints)
    assert found[0], "room enough for all phrases: a text is found"
    for hypothesis in found[0]:
        assert hypothesis.symbols[: len(prefix)] == prefix
        assert all(contains(hypothesis.symbols, phrase) for phrase in must)
        assert not contains(hypothesis.symbols, banned)
    free = search(made, y[1:2], LENGTHS[1:2], Search(beam=beam, n_best=beam, longest=15))
    assert texts_of(found[1:2]) == texts_of(free), "constraints of one row are none of another"
    assert not any(contains(h.symbols, (1,)) or contains(h.symbols, (2, 2)) for h in found[2])


@pytest.mark.parametrize(
    ("constraints", "fault"),
    [
        (Constraints(must=[(1, 2, 3)]), "does not fit"),
        (Constraints(prefix=(1, 2, 3)), "does not fit"),
        (Constraints(must=[(1, 2)], must_not=[(2,)]), "holds what must not"),
        (Constraints(must=[()]), "have symbols"),
        (Constraints(prefix=(0,)), "not the end"),
    ],
)
def test_constraints_that_cannot_be_met_are_refused(constraints, fault):
    with pytest.raises(ValueError, match=fault):
        search(decoder(), memory()[:1], LENGTHS[:1], Search(longest=2), [constraints])


@pytest.mark.parametrize(
    "asked",
    [
        {"beam": 0}, {"beam": 10_000}, {"n_best": 6}, {"length_penalty": "long"}, {"coverage": -1.0},
        {"shortest": 5, "longest": 4}, {"temperature": 0.0}, {"top_p": 0.0}, {"groups": 2}, {"repetition": 0.0},
        {"longest": 10**9}, {"beam": 5.0},
    ],
    ids=str,
)  # fmt: skip
def test_a_search_that_cannot_be_is_refused(asked):
    with pytest.raises(ValueError, match=r"\w"):
        Search(**asked)


def test_no_sequence_comes_twice_where_that_is_asked():
    made, y = decoder(5), memory(5)
    for row in search(made, y, LENGTHS, Search(beam=4, n_best=4, block_ngrams=2, longest=12)):
        for hypothesis in row:
            pairs = list(itertools.pairwise(hypothesis.symbols))
            assert len(pairs) == len(set(pairs))


def test_groups_of_a_beam_find_more_different_texts():
    made, y = decoder(4, symbols=12), memory(4)

    def firsts(asked):
        return sum(len({h.symbols[:1] for h in row}) for row in search(made, y, LENGTHS, asked))

    assert firsts(Search(beam=6, n_best=6, groups=6, diversity=20.0)) > firsts(Search(beam=6, n_best=6))


def test_what_is_drawn_has_the_decoder_s_probabilities():
    made, y = decoder(6), memory(6)[:1]
    wanted = made.step(torch.zeros(1, dtype=torch.long), made.init_state(y, LENGTHS[:1]))[0].softmax(dim=1)[0]
    counts = torch.zeros(4)
    for seed in range(500):
        (found,) = search(made, y, LENGTHS[:1], Search(sample=True, longest=1, seed=seed))
        counts[found[0].symbols[0] if found[0].symbols else 0] += 1
    torch.testing.assert_close(counts / 500, wanted.detach(), atol=0.07, rtol=0)
    cold = search(made, y, LENGTHS[:1], Search(sample=True, temperature=1e-4, longest=5))
    assert texts_of(cold) == texts_of(search(made, y, LENGTHS[:1], Search(beam=1, longest=5)))


def test_an_ensemble_means_probabilities():
    one, other, y = decoder(7), decoder(8), memory(7)
    asked = Search(beam=50, n_best=50, longest=2)
    assert texts_of(search(Ensemble([one, one]), [y, y], LENGTHS, asked)) == texts_of(search(one, y, LENGTHS, asked))
    both = Ensemble([one, other])
    logits, _, _ = both.step(torch.zeros(3, dtype=torch.long), both.init_state([y, y], LENGTHS))
    apart = [
        each.step(torch.zeros(3, dtype=torch.long), each.init_state(y, LENGTHS))[0].softmax(dim=1)
        for each in (one, other)
    ]
    torch.testing.assert_close(logits.softmax(dim=1), (apart[0] + apart[1]) / 2)
    with pytest.raises(ValueError, match="one decoder or more"):
        Ensemble([])


def test_a_shortlist_of_all_symbols_changes_nothing_and_of_some_writes_these_alone():
    made, y = decoder(9, symbols=8), memory(9)
    asked = Search(beam=4, n_best=4, longest=6)
    every = search(Shortlisted(made, torch.arange(8), torch.ones(3, 8, dtype=torch.bool)), y, LENGTHS, asked)
    assert texts_of(every) == texts_of(search(made, y, LENGTHS, asked))
    symbols = torch.tensor([0, 2, 5])
    allowed = torch.ones(3, 3, dtype=torch.bool)
    some, tokens = Shortlisted(made, symbols, allowed), torch.tensor([0, 1, 2])
    expected, _, _ = made.step(symbols[tokens], made.init_state(y, LENGTHS))
    torch.testing.assert_close(some.step(tokens, some.init_state(y, LENGTHS))[0], expected[:, symbols])
    quantise(made)
    eight = Shortlisted(made, symbols, allowed)
    state = eight.init_state(y, LENGTHS)
    tokens = torch.zeros(3, dtype=torch.long)
    torch.testing.assert_close(eight.step(tokens, state)[0], made.step(tokens, state)[0][:, symbols], atol=1e-4, rtol=0)


def test_a_shortlist_has_what_its_rows_have_the_most_frequent_the_end_and_what_is_asked_for():
    shortlist = Shortlist(4, 9, 2)
    shortlist.table.copy_(torch.tensor([[8, 7], [1, 2], [2, 3], [4, 0]]))
    symbols, allowed = shortlist.symbols(torch.tensor([[1, 2, 1], [2, 0, 0]]), torch.tensor([6]))
    assert symbols.tolist() == [0, 1, 2, 3, 6, 7, 8]
    assert symbols[allowed[0]].tolist() == [0, 1, 2, 3, 6, 7, 8]
    assert symbols[allowed[1]].tolist() == [0, 2, 3, 6, 7, 8]


def test_a_row_of_a_shortlist_does_not_depend_on_the_other_rows():
    made, y = decoder(9, symbols=8), memory(9)
    allowed = torch.rand(3, 8, generator=torch.Generator().manual_seed(0)) < 0.6
    allowed[:, 0] = True
    for asked in (Search(beam=3, n_best=3, longest=6), Search(sample=True, n_best=3, longest=6)):
        together = search(Shortlisted(made, torch.arange(8), allowed), y, LENGTHS, asked, seeds=[1, 2, 3])
        for row, found in enumerate(together):
            own = allowed[row].nonzero().flatten()
            alone = Shortlisted(made, own, torch.ones(1, len(own), dtype=torch.bool))
            (expected,) = search(alone, y[row : row + 1], LENGTHS[row : row + 1], asked, seeds=[row + 1])
            texts = [tuple(own[list(h.symbols)].tolist()) for h in expected]
            if not asked.sample:
                assert texts_of([found]) == [texts]
            assert all(allowed[row, symbol] for h in found for symbol in h.symbols)


def test_a_shortlist_follows_its_symbols_when_they_change():
    shortlist = Shortlist(3, 4, 2)
    shortlist.table.copy_(torch.tensor([[1, 2], [3, 0], [2, 1]]))
    shortlist.change_symbols([0, 3, None, 1, 2], joint=False)
    assert shortlist.table.tolist() == [[3, 4], [1, 0], [4, 3]]
    assert shortlist.written == 5
    both = Shortlist(3, 3, 2)
    both.table.copy_(torch.tensor([[1, 2], [1, 2], [2, 0]]))
    both.change_symbols([0, 2, None, 1], joint=True)
    assert both.table.tolist() == [[3, 1], [1, 0], [0, 0], [3, 1]]


def test_shorter_than_is_asked_for_there_is_nothing_and_a_prefix_may_say_things_twice():
    made, y = decoder(3), memory(3)
    for row in search(made, y, LENGTHS, Search(beam=2, shortest=40)):
        assert all(len(hypothesis.symbols) >= 40 for hypothesis in row)
    twice = Constraints(prefix=(3, 3, 3))
    (found,) = search(made, y[:1], LENGTHS[:1], Search(block_ngrams=1), [twice])
    assert found[0].symbols[:3] == (3, 3, 3)


def test_the_attention_of_each_symbol_is_that_of_its_step():
    made, y = decoder(5, symbols=9), memory(5)
    for row, found in enumerate(search(made, y, LENGTHS, Search(beam=4, n_best=4))):
        for hypothesis in found:
            tokens = torch.tensor([[0, *hypothesis.symbols]])
            count = int(LENGTHS[row])
            _, expected = made(tokens, y[row : row + 1, :count], LENGTHS[row : row + 1])
            torch.testing.assert_close(hypothesis.attention, expected[0])


@pytest.mark.parametrize("asked", [Search(beam=3, n_best=3), Search(sample=True, n_best=5)])
def test_symbols_that_are_never_written_are_not(asked):
    made, y = decoder(), memory()
    assert any(2 in text for row in texts_of(search(made, y, LENGTHS, asked)) for text in row)
    found = texts_of(search(made, y, LENGTHS, asked, never=[2]))
    assert not any(2 in text for row in found for text in row)
