"""Vocabularies, normalisation and error rates."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lstmapps.errors import UserError
from lstmapps.text import Normalisation, Vocabulary, VocabularyChange, edit_counts, error_rate


def test_a_vocabulary_encodes_in_its_unicode_form():
    vocabulary = Vocabulary.learn(["cafe\u0301"])
    assert vocabulary.symbols == ("a", "c", "f", "é")
    assert vocabulary.encode("é") == vocabulary.encode("e\u0301") == [4]
    assert vocabulary.unknown("e\u0301xx") == ["x"]
    assert vocabulary.decode([0, 2, 1, 0]) == "ca"
    assert len(vocabulary) == 5


@given(st.lists(st.text(max_size=10), min_size=1))
def test_decoding_undoes_encoding(texts):
    vocabulary = Vocabulary.learn(texts)
    for text in texts:
        normal = Normalisation()(text)
        assert vocabulary.decode(vocabulary.encode(text)) == __import__("unicodedata").normalize("NFC", text)
        assert not vocabulary.unknown(normal.replace(" ", ""))


def test_a_vocabulary_survives_its_file(tmp_path):
    vocabulary = Vocabulary(["a", "\u2028", '"', "é"], "NFC")
    vocabulary.save(tmp_path / "v.json")
    assert Vocabulary.load(tmp_path / "v.json") == vocabulary


@pytest.mark.parametrize("content", ["", "[]", '{"symbols": [1]}', '{"symbols": ["a"], "unicode_form": "X"}'])
def test_a_damaged_vocabulary_is_named(tmp_path, content):
    file = tmp_path / "v.json"
    file.write_text(content)
    with pytest.raises(UserError, match=r"v\.json"):
        Vocabulary.load(file)


def test_a_vocabulary_holds_a_symbol_once():
    with pytest.raises(ValueError, match="once"):
        Vocabulary(["a", "a"])


def test_a_vocabulary_change_keeps_copies_and_reports():
    change = VocabularyChange.between(Vocabulary(["A", "e", "x"]), Vocabulary(["e", "É", "a", "ß"]))
    assert change.sources == (0, 2, 2, 1, None)
    assert change.kept == ("e",)
    assert change.added == (("É", "e"), ("a", "A"), ("ß", None))
    assert change.dropped == ("A", "x")
    assert "1 symbols kept" in str(change)
    assert "'É' (from 'e')" in str(change)


def test_normalisation_is_form_case_and_spaces():
    assert Normalisation()(" e\u0301 \t x\n") == "é x"
    assert Normalisation(lowercase=True)("ÀB") == "àb"
    bare = Normalisation(lowercase=True, punctuation=False)
    assert bare("Don’t—'go', she_said: 5 €!") == "don't go she said 5"
    assert bare("हिन्दी।") == "हिन्दी"
    assert Normalisation(unicode_form="NFD")("é") == "e\u0301"


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
    rate = error_rate(["abcd", "ab"], ["abxd", "ab"])
    assert rate.value == pytest.approx(100 / 6)
    assert (rate.substitutions, rate.deletions, rate.insertions, rate.length) == (1, 0, 0, 6)
    assert 0.0 <= rate.low <= rate.value <= rate.high <= 25.0


@given(st.lists(st.tuples(st.text("ab ", max_size=6), st.text("ab ", max_size=6)), min_size=1, max_size=6))
def test_the_rate_of_a_text_with_itself_is_zero_and_no_rate_is_negative(pairs):
    references, hypotheses = zip(*pairs, strict=True)
    if not any(references):
        return
    assert error_rate(references, references).value == 0.0
    assert error_rate(references, hypotheses).value >= 0.0


def test_more_lines_give_a_narrower_interval():
    few = error_rate(["ab", "cd"] * 5, ["ab", "cx"] * 5)
    many = error_rate(["ab", "cd"] * 500, ["ab", "cx"] * 500)
    assert many.high - many.low < few.high - few.low


def test_the_interval_is_that_of_95_percent():
    """Lines of one character are draws of a coin: the normal interval is 1.96 deviations to each side."""
    rate = error_rate(["a"] * 2000, ["b"] * 600 + ["a"] * 1400)
    deviation = 100 * math.sqrt(0.3 * 0.7 / 2000)
    assert rate.value == pytest.approx(30.0)
    assert rate.high - rate.low == pytest.approx(2 * 1.96 * deviation, rel=0.08)


@pytest.mark.parametrize(("references", "hypotheses"), [(["a"], []), ([""], ["a"])])
def test_nothing_to_compare_is_refused(references, hypotheses):
    with pytest.raises(ValueError, match=r"references"):
        error_rate(references, hypotheses)


TEXTS = [f"{a} {b} WARDS" for a in ("SEVEN", "EIGHT", "NINE") for b in ("TEEN", "TY", "SEVENTY")] * 8


def test_pieces_split_a_text_as_sentencepiece_does():
    import io

    import sentencepiece

    vocabulary = Vocabulary.learn(TEXTS, units=24)
    trained = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(TEXTS), model_writer=trained, vocab_size=24, character_coverage=1.0,
        normalization_rule_name="identity", hard_vocab_limit=False, bos_id=-1, eos_id=-1, minloglevel=2,
    )  # fmt: skip
    oracle = sentencepiece.SentencePieceProcessor(model_proto=trained.getvalue())
    for text in [*TEXTS, "SEVENTEEN TY", "WARDS"]:
        symbols = [vocabulary.symbols[i - 1] for i in vocabulary.encode(text)]
        assert symbols == oracle.encode(text, out_type=str)
        assert vocabulary.decode(vocabulary.encode(text)) == text
    assert max(map(len, vocabulary.symbols)) > 2


def test_pieces_know_their_characters_and_travel(tmp_path):
    vocabulary = Vocabulary.learn(TEXTS, units=24)
    assert vocabulary.unknown("SEVEN XYZ") == ["X", "Z"]
    assert vocabulary.encode("") == []
    with pytest.raises(KeyError):
        vocabulary.encode("X")
    vocabulary.save(tmp_path / "v.json")
    assert Vocabulary.load(tmp_path / "v.json") == vocabulary
    wider = vocabulary.extended("NX ")
    assert wider.decode(wider.encode("X SEVEN")) == "X SEVEN"
    assert len(wider) == len(vocabulary) + 1
