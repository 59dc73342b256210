"""Vocabularies, normalisation and error rates."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lstmapps.errors import UserError
from lstmapps.text import Normalisation, Vocabulary, VocabularyChange


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
