"""N-gram models against their definition, ARPA against another reader, fusion against brute force."""

import gzip
import itertools
import math
import random

import arpa as independent
import pytest
import torch

from lstmapps.ctc import beam_search
from lstmapps.errors import UserError
from lstmapps.language_model import (
    CharacterFusion,
    HotWords,
    Together,
    WordFusion,
    character_tokens,
    estimate,
    read_arpa,
    write_arpa,
)
from lstmapps.language_model.ngram import END, START, UNKNOWN, _discounts
from lstmapps.text import Vocabulary


@pytest.fixture(scope="module")
def texts():
    """Sentences with enough repetition for all counts of counts."""
    draw = random.Random(3)
    weights = [1 / (k + 1) for k in range(12)]
    return [draw.choices("abcdefghijkl", weights, k=draw.randint(1, 9)) for _ in range(300)]


@pytest.mark.parametrize("order", [1, 2, 3, 5])
def test_probabilities_after_any_context_sum_to_one(texts, order):
    model = estimate(texts, order)
    contexts = [(), (START,), ("a", "b"), ("l", "l", "l", "l"), (START, "a", "a"), ("z", "a"), *map(tuple, texts[:20])]
    for context in contexts:
        total = sum(math.exp(model.log_probability(token, context)) for token in model.tokens)
        assert total == pytest.approx(1.0, abs=1e-9)
        assert math.exp(model.log_probability("unseen", context)) > 0


def test_discounts_are_those_of_chen_and_goodman():
    """40, 20, 10 and 5 n-grams counted 1 to 4 times: Y = 40 / (40 + 2 * 20), D_k = k - (k + 1) Y n_(k+1) / n_k."""
    counts = [1] * 40 + [2] * 20 + [3] * 10 + [4] * 5
    grams = {(str(number),): count for number, count in enumerate(counts)}
    assert _discounts(grams) == pytest.approx((0.0, 1 - 2 * 0.5 * 0.5, 2 - 3 * 0.5 * 0.5, 3 - 4 * 0.5 * 0.5))


def test_a_bigram_model_follows_the_equations():
    """Two texts, too few for the formula of the discounts: 1/2 from counts of one, 1 from two."""
    model = estimate([["a", "b"], ["a", "c"]], 2)
    # Unigrams count what stands before them: a, b, c once each, </s> twice (after b and c); five in all.
    spare = (3 * 0.5 + 1.0) / 5
    unigram = dict.fromkeys("abc", 0.5 / 5 + spare / 5) | {END: 1.0 / 5 + spare / 5, UNKNOWN: spare / 5}
    for token, expected in unigram.items():
        assert math.exp(model.log_probability(token)) == pytest.approx(expected)
    # After a: b and c, once each.
    assert math.exp(model.log_probability("b", ("a",))) == pytest.approx(0.5 / 2 + (2 * 0.5 / 2) * unigram["b"])
    assert math.exp(model.log_probability("a", ("a",))) == pytest.approx((2 * 0.5 / 2) * unigram["a"])
    # At the start: a, twice.
    assert math.exp(model.log_probability("a", (START,))) == pytest.approx(1.0 / 2 + (1.0 / 2) * unigram["a"])


def test_a_higher_order_knows_the_texts_better(texts):
    regular = [list("abcabcabc"), list("abcabc"), list("bcabca")] * 5
    assert estimate(regular, 3).perplexity(regular) < estimate(regular, 2).perplexity(regular)
    assert estimate(regular, 2).perplexity(regular) < estimate(regular, 1).perplexity(regular)


@pytest.mark.parametrize("name", ["model.arpa", "model.arpa.gz"])
def test_arpa_keeps_every_score(texts, tmp_path, name):
    model = estimate(texts, 3)
    write_arpa(model, tmp_path / name)
    again = read_arpa(tmp_path / name)
    for text in [*texts[:30], ["a", "unseen", "b"], []]:
        assert again.score(text) == pytest.approx(model.score(text), abs=1e-5)
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_another_reader_of_the_file_gives_the_same_scores(texts, tmp_path):
    model = estimate(texts, 3)
    write_arpa(model, tmp_path / "model.arpa")
    other = independent.loadf(str(tmp_path / "model.arpa"))[0]
    for text in texts[:50]:
        assert other.log_s(" ".join(text)) == pytest.approx(model.score(text) / math.log(10), abs=1e-4)


ARPA = "\\data\\\nngram 1=2\n\n\\1-grams:\n-1.0\t<s>\n-0.5\t</s>\n\n\\end\\\n"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty"),
        (b"hello\n", "line 1: not ARPA|does not begin"),
        (ARPA.replace("\\end\\\n", "").encode(), "cut off"),
        (ARPA.replace("1=2", "1=3").encode(), "cut off or damaged"),
        (ARPA.replace("-0.5", "half").encode(), "line 6: not ARPA"),
        (b"\xff\xfe\x00", "not a readable ARPA file"),
        (gzip.compress(ARPA.encode(), mtime=0)[:-12], "not a readable ARPA file"),
    ],
)
def test_a_broken_arpa_file_is_named(tmp_path, content, message):
    (tmp_path / "broken.arpa").write_bytes(content)
    with pytest.raises(UserError, match=message) as caught:
        read_arpa(tmp_path / "broken.arpa")
    assert "broken.arpa" in str(caught.value)


def test_a_missing_arpa_file_is_named(tmp_path):
    with pytest.raises(UserError, match="No such file"):
        read_arpa(tmp_path / "none.arpa")


VOCABULARY = Vocabulary(["a", "b", " "])


def walk(fusion, symbols):
    """Return what a language model gives to a whole reading, step by step."""
    state, total = fusion.start(), 0.0
    for symbol in symbols:
        total += float(fusion.scores(state)[symbol])
        state = fusion.next(state, symbol)
    return total + fusion.finish(state)


def readings(length):
    return itertools.chain.from_iterable(itertools.product([1, 2, 3], repeat=n) for n in range(length + 1))


def test_fusion_of_characters_gives_a_reading_its_weighted_probability():
    model = estimate(map(character_tokens, ["ab a", "ba", "ab ab", "b"]), 3)
    fusion = CharacterFusion(model, VOCABULARY, 0.7, 0.3)
    for reading in readings(4):
        expected = 0.7 * model.score(character_tokens(VOCABULARY.decode(reading))) + 0.3 * len(reading)
        assert walk(fusion, reading) == pytest.approx(expected, abs=1e-4)


def test_fusion_of_words_gives_a_reading_its_weighted_probability():
    model = estimate([["ab", "a"], ["ba"], ["ab", "ab"], ["b"]], 2)
    fusion = WordFusion(model, VOCABULARY, 0.7, 0.3, unknown=-2.0)
    for reading in readings(5):
        words = VOCABULARY.decode(reading).split()
        unknown = sum((word,) not in model.probabilities for word in words)
        expected = 0.7 * (model.score(words) - 2.0 * unknown) + 0.3 * len(words)
        assert walk(fusion, reading) == pytest.approx(expected, abs=1e-4)


def test_a_lexicon_leaves_only_its_words():
    model = estimate([["ab"], ["ba", "ab"]], 2)
    fusion = WordFusion(model, VOCABULARY, 0.1, lexicon=["ab", "ba"])
    for reading in readings(5):
        allowed = all(word in ("ab", "ba") for word in VOCABULARY.decode(reading).split())
        assert (walk(fusion, reading) > -100) == allowed


def test_hot_words_add_their_weight_once_for_each():
    fusion = HotWords(["ab", "abb", "ba"], VOCABULARY, 3.0)
    for reading in readings(6):
        hot = sum(word in ("ab", "abb", "ba") for word in VOCABULARY.decode(reading).split())
        assert walk(fusion, reading) == pytest.approx(3.0 * hot, abs=1e-5)


def test_models_together_change_what_the_search_reads():
    torch.manual_seed(0)
    logits = torch.zeros(1, 6, 4)
    logits[0, [0, 2, 4], [1, 2, 1]] = 4.0  # a b a
    logits[0, [1, 3, 5], 0] = 4.0
    lengths = torch.tensor([6])
    model = estimate(map(character_tokens, ["bbb", "bbb", "bb"]), 2)
    plain = beam_search(logits, lengths, 32)[0][0]
    fused = beam_search(
        logits,
        lengths,
        32,
        language_model=Together([CharacterFusion(model, VOCABULARY, 3.0, 3.0), HotWords(["bbb"], VOCABULARY, 6.0)]),
    )[0][0]
    assert VOCABULARY.decode(plain.symbols) == "aba"
    assert VOCABULARY.decode(fused.symbols) == "bbb"
