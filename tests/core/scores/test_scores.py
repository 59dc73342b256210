"""Scores: what they count, and the intervals around them."""

import math
import random
from functools import partial

import numpy as np
import pytest
import sacrebleu
from hypothesis import given
from hypothesis import strategies as st

from lstmapps.errors import UserError
from lstmapps.scores import SCORES, distinct, edit_counts, measure, score_named


def measured(name, references, hypotheses):
    return measure(score_named(name), [[reference] for reference in references], hypotheses)


@pytest.mark.parametrize(
    ("reference", "hypothesis", "unit", "expected"),
    [
        ("abc", "abc", "character", (0, 0, 0, 3)),
        ("abc", "axc", "character", (1, 0, 0, 3)),
        ("abc", "ab", "character", (0, 1, 0, 3)),
        ("abc", "abcd", "character", (0, 0, 1, 3)),
        ("", "ab", "character", (0, 0, 2, 0)),
        ("the cat sat", "the hat", "word", (1, 1, 0, 3)),
    ],
)
def test_edit_counts(reference, hypothesis, unit, expected):
    counts = edit_counts(reference, hypothesis, unit)
    assert (counts.substitutions, counts.deletions, counts.insertions, counts.length) == expected


def test_error_rate_is_errors_over_length_with_an_interval_around_it():
    rate = measured("cer", ["abcd", "ab"], ["abxd", "ab"])
    assert rate.value == pytest.approx(100 / 6)
    assert rate.details == {"substituted": 1, "deleted": 0, "inserted": 0, "of": 6}
    assert 0.0 <= rate.low <= rate.value <= rate.high <= 25.0


@given(st.lists(st.tuples(st.text("ab ", max_size=6), st.text("ab ", max_size=6)), min_size=1, max_size=6))
def test_the_rate_of_a_text_with_itself_is_zero_and_no_rate_is_negative(pairs):
    references, hypotheses = zip(*pairs, strict=True)
    if not any(references):
        return
    assert measured("cer", references, references).value == 0.0
    assert measured("cer", references, hypotheses).value >= 0.0


def test_more_lines_give_a_narrower_interval():
    few = measured("cer", ["ab", "cd"] * 5, ["ab", "cx"] * 5)
    many = measured("cer", ["ab", "cd"] * 500, ["ab", "cx"] * 500)
    assert many.high - many.low < few.high - few.low


def test_the_interval_is_that_of_95_percent():
    """Lines of one character are draws of a coin: the normal interval is 1.96 deviations to each side."""
    rate = measured("cer", ["a"] * 2000, ["b"] * 600 + ["a"] * 1400)
    deviation = 100 * math.sqrt(0.3 * 0.7 / 2000)
    assert rate.value == pytest.approx(30.0)
    assert rate.high - rate.low == pytest.approx(2 * 1.96 * deviation, rel=0.08)


@pytest.mark.parametrize(("references", "hypotheses"), [(["a"], []), ([""], ["a"])])
def test_nothing_to_compare_is_refused(references, hypotheses):
    with pytest.raises(ValueError, match=r"references"):
        measured("cer", references, hypotheses)


def test_exact_match_is_the_share_of_texts_that_are_right():
    exact = measure(score_named("exact"), [["a", "b"], ["c"], ["d"]], ["b", "c", "x"])
    assert exact.value == pytest.approx(200 / 3)
    assert exact.details == {"right": 2, "of": 3}


def test_of_several_references_the_nearest_counts():
    rate = measure(score_named("wer"), [["a b c d", "a x"]], ["a b"])
    assert rate.details == {"substituted": 1, "deleted": 0, "inserted": 0, "of": 2}


@pytest.mark.parametrize("name", SCORES)
def test_every_score_knows_which_way_is_better(name):
    score = SCORES[name]
    texts = ["ab cd ef gh ij", "kl mn op qr"]
    right, wrong = (measured(name, texts, found).value for found in (texts, ["xx", "kl zz qq"]))
    assert score.better(right, wrong)
    assert not score.better(wrong, right)
    assert score.better(wrong, score.worst)
    known = score.over([["ab"], ["xy"]])
    assert score.sign * known.of(["ab"], "ab") > score.sign * known.of(["ab"], "xy")
    assert score.of(texts[:1], texts[0]) == measured(name, texts[:1], texts[:1]).value
    json = measured(name, texts, texts).as_json()
    assert (json["unit"], json["higher_is_better"]) == (score.unit, score.higher_is_better)


@pytest.mark.parametrize("name", SCORES)
def test_the_interval_is_that_of_drawing_the_texts_themselves(name):
    references, hypotheses = ["ab cd", "ef", "gh i", "j"], ["ab cd", "e", "gh x i", "z"]
    draws = np.random.default_rng(0).integers(0, 4, size=(1000, 4))
    score = score_named(name).over([[reference] for reference in references])
    values = [measure(score, [[references[i]] for i in draw], [hypotheses[i] for i in draw], 0).value for draw in draws]
    found = measured(name, references, hypotheses)
    assert (found.low, found.high) == pytest.approx(tuple(np.percentile(values, [2.5, 97.5])))


def test_a_misspelt_score_is_refused_with_the_nearest():
    with pytest.raises(UserError, match="did you mean 'cer'"):
        score_named("cerr")


REFERENCES = [
    ["a cat sat on a mat", "the cat sat on the mat"],
    ["A dog barks at a man loudly.", "the dog barked"],
    ["hello world", "hi"],
]
HYPOTHESES = ["a cat sat on the mat", "The dog barks loudly at the man.", "hello"]


@pytest.mark.parametrize(
    ("name", "oracle"),
    [
        ("bleu", sacrebleu.corpus_bleu),
        ("bleu_lc", partial(sacrebleu.corpus_bleu, lowercase=True)),
        ("chrf", sacrebleu.corpus_chrf),
    ],
)
def test_bleu_and_chrf_are_those_of_sacrebleu(name, oracle):
    streams = [[references[i] for references in REFERENCES] for i in (0, 1)]
    found = measure(score_named(name), REFERENCES, HYPOTHESES, 0)
    assert found.value == pytest.approx(oracle(HYPOTHESES, streams).score, abs=1e-9)
    assert "nrefs:var" in found.as_json()["signature"]


def test_bleu_of_one_short_text_counts_the_orders_that_it_has():
    assert score_named("bleu").of(["hello world"], "hello world") == pytest.approx(100)


def test_chrf_of_short_references_is_sacrebleu_s():
    references, hypotheses = [["ab"], ["c"], ["a longer one"], ["x y"]], ["abcdefgh", "cc", "a longer", "x"]
    oracle = sacrebleu.corpus_chrf(hypotheses, [[reference for (reference,) in references]]).score
    assert measure(score_named("chrf"), references, hypotheses, 0).value == pytest.approx(oracle, abs=1e-9)


CAPTIONS = random.Random(1)
WORDS = ["a", "man", "dog", "red", "runs", "on", "the", "in"]


def captions(shortest):
    return " ".join(CAPTIONS.choices(WORDS, k=CAPTIONS.randint(shortest, 9)))


SEVERAL = [[captions(1) for _ in range(CAPTIONS.randint(1, 5))] for _ in range(40)]
WRITTEN = [captions(0) for _ in SEVERAL]


def caption_score(name):
    return measure(score_named(name), SEVERAL, WRITTEN, 0).value


def test_bleu_of_captions_is_that_of_coco_caption():
    scorer = pytest.importorskip("pycocoevalcap.bleu.bleu_scorer").BleuScorer(n=4)
    for text, references in zip(WRITTEN, SEVERAL, strict=True):
        scorer += (text, references)
    oracle, each = scorer.compute_score(option="closest")
    assert [caption_score(f"bleu{n}") for n in (1, 2, 3, 4)] == pytest.approx([100 * value for value in oracle])
    alone = [score_named("bleu2").of(r, text) for r, text in zip(SEVERAL, WRITTEN, strict=True)]
    assert alone == pytest.approx([100 * value for value in each[1]])


def test_rouge_and_cider_of_captions_are_those_of_coco_caption():
    rouge = pytest.importorskip("pycocoevalcap.rouge.rouge").Rouge()
    ids = range(len(WRITTEN))
    oracle, _ = rouge.compute_score(dict(zip(ids, SEVERAL, strict=True)), {i: [WRITTEN[i]] for i in ids})
    assert caption_score("rouge_l") == pytest.approx(100 * oracle)
    scorer = pytest.importorskip("pycocoevalcap.cider.cider_scorer").CiderScorer()  # it clips: it is CIDEr-D
    for text, references in zip(WRITTEN, SEVERAL, strict=True):
        scorer += (text, references)
    assert caption_score("cider_d") == pytest.approx(scorer.compute_score()[0])


def test_cider_weighs_words_by_how_few_inputs_have_them():
    references = [["a dog"], ["a cat"], ["a cat"], ["a cow"]]
    log = math.log
    weights = {"a": 0.0, "dog": log(4), "cat": log(2)}
    value = measure(score_named("cider"), references, ["dog", "cat cat", "a", "cow a"], 0).value
    # 1-grams: the cosines are 1, 1, 0 and 1; no 2-gram agrees
    assert value == pytest.approx(10 * (1 + 1 + 0 + 1) / 4 / 4)
    clipped = measure(score_named("cider_d"), references, ["dog", "cat cat", "a", "cow a"], 0).value
    second = weights["cat"] ** 2 / (2 * weights["cat"] * weights["cat"])
    # in bigrams, "dog" and "a" are one shorter than their references
    assert clipped == pytest.approx(10 * (math.exp(-1 / 72) + second + 0 + 1) / 4 / 4)
    assert measure(score_named("cider"), [["a dog"]], ["a dog"], 0).value == 0.0


def test_distinct_ngrams():
    assert distinct(["a b a", "a b"], 1) == 40.0
    assert distinct(["a b a", "a b"], 2) == pytest.approx(200 / 3)
    assert distinct([], 1) == 0.0
