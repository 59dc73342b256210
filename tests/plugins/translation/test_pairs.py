"""What belongs together among pairs, and what looks as if it did not."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lstmapps_translation.domain import Translation
from lstmapps_translation.numbers import NumberWords
from lstmapps_translation.pairs import families
from lstmapps_translation.plugin import plugin

from lstmapps.data import Sample, SequenceData, Source
from lstmapps.testing import check_plugin


def samples_of(pairs):
    return [Sample(f"x:{number}", *pair) for number, pair in enumerate(pairs)]


def test_the_plugin_keeps_the_contract(tmp_path):
    (tmp_path / "pairs.tsv").write_text("Hallo\tHello\nTschüss\tBye\n")
    check_plugin(plugin, str(tmp_path / "pairs.tsv"))


def test_pairs_that_share_a_sentence_or_a_translation_are_one_family():
    pairs = [("Hallo!", "Hello!"), ("hallo", "Hi."), ("Grüß Gott", "hi"), ("Nein.", "No."), ("!", "!"), ("?", "?")]
    one, two, three, four, five, six = families(samples_of(pairs))
    assert one == two == three
    assert len({one, four, five, six}) == 4


WORDS = st.sampled_from(["a", "b", "c", "d", "e", "f", "g", "h"])


@given(pairs=st.lists(st.tuples(WORDS, WORDS), min_size=1, max_size=12), seed=st.randoms())
def test_families_do_not_depend_on_the_order(pairs, seed):
    expected = dict(zip(pairs, families(samples_of(pairs)), strict=True))
    mixed = list(pairs)
    seed.shuffle(mixed)
    assert dict(zip(mixed, families(samples_of(mixed)), strict=True)) == expected
    for one in pairs:
        for other in pairs:
            if one[0] == other[0] or one[1] == other[1]:
                assert expected[one] == expected[other]


class Pairs(Source):
    def samples(self):
        for number in range(300):
            yield Sample(f"x:{number}", f"satz {number // 2} .", f"sentence {number // 2} {number % 3}")


def test_parts_held_out_share_no_sentence_and_have_all_references():
    data = SequenceData(Translation(), Pairs(), holdout=20, holdout_test=30)
    parts = {part: data.samples(part) for part in ("train", "validation", "test")}
    assert [len(parts[part]) for part in ("validation", "test")] == [20, 30]
    assert all(len(sample.references) == 2 for sample in parts["test"])
    assert len(parts["train"]) == 300 - 2 * 50
    texts = [{s.source for s in samples} | {t for s in samples for t in s.references} for samples in parts.values()]
    assert not texts[0] & texts[1]
    assert not (texts[0] | texts[1]) & texts[2]
    again = SequenceData(Translation(), Pairs(), holdout=20, holdout_test=30)
    assert again.samples("test") == parts["test"]
    assert data.source_vocabulary is not None
    assert {"z", "."} <= set(data.source_vocabulary.symbols) - set(data.vocabulary.symbols)


def test_what_is_wrong_and_what_is_doubtful_is_named():
    german = [(f"ein deutscher Satz {number}", f"an English sentence {number}") for number in range(10)]
    pairs = [*german, german[0], ("", "nothing"), ("Это по-русски", "in Russian"), ("wort " * 300, "x")]
    pairs.append(("four words of English", "four words of English"))
    samples, domain = samples_of(pairs), Translation()
    assert [(p.id, p.kind) for p in domain.problems(samples)] == [("x:11", "empty"), ("x:13", "long")]
    assert [(p.id, p.kind) for p in domain.doubts(samples)] == [
        ("x:10", "duplicate"), ("x:12", "script"), ("x:14", "copy")
    ]  # fmt: skip


def test_numbers_of_one_part_stand_in_no_other_and_say_what_is_wanted():
    parts = {part: list(NumberWords(part, 100, ["de-en", "en-fr"]).samples()) for part in ("train", "test")}
    numbers = {part: {sample.id.split("-")[1] for sample in samples} for part, samples in parts.items()}
    assert not numbers["train"] & numbers["test"]
    assert [len(samples) for samples in parts.values()] == [200, 200]
    by_id = {sample.id: sample for part in parts.values() for sample in part}
    number = next(iter(numbers["test"]))
    assert by_id[f"test-{number}-de-en"].source.startswith("en: ")
    assert by_id[f"test-{number}-en-fr"].source == f"fr: {by_id[f'test-{number}-de-en'].text}"
    assert not next(iter(NumberWords("train", 1).samples())).source.startswith("en:")
    assert list(NumberWords("test", 20).samples()) == list(NumberWords("test", 20).samples())


def test_of_a_text_that_is_too_long_the_beginning_is_translated(capsys):
    domain = Translation(longest=5)
    assert domain.load(domain.measure(Sample("x:7", "a b c d e f"))) == "a b c d e"
    assert "x:7 has 6 words; only the first 5 are translated" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("WO IST DER BAHNHOF?", "Wo ist der bahnhof?"),
        ("USA", "USA"),
        ("Die USA", "Die USA"),
        ("東京 駅", "東京 駅"),
        ("", ""),
    ],
)
def test_a_sentence_in_capitals_is_read_in_small_letters(text, read):
    assert Translation("deu", "eng").prepare(text) == read
