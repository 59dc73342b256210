"""Where sentences and their translations are found."""

import gzip
import io
import json
import lzma
import zipfile

import pytest
from lstmapps_translation.domain import Translation

from lstmapps.errors import UserError

DOMAIN = Translation("de", "en")


def pairs(source, domain=DOMAIN):
    return [(sample.source, sample.text) for sample in domain.read(str(source))]


PAIRS = [("Hallo!", "Hello!"), ("", "nothing"), ("Zwei\u2028Wörter\x0c hier", "two\u2028words here")]


def table(order=(0, 1), extra=""):
    return "".join("\t".join(pair[i] for i in order) + extra + "\n" for pair in PAIRS)


def test_parallel_files_packed_or_not_with_any_line_ends(tmp_path):
    for name, texts in (("x.de", [de for de, _ in PAIRS]), ("x.en", [en for _, en in PAIRS])):
        (tmp_path / name).write_bytes("\r\n".join(texts).encode())
        with gzip.open(tmp_path / f"packed.{name.partition('.')[2]}.gz", "wb") as file:
            file.write("\n".join([*texts, ""]).encode())
    assert pairs(tmp_path / "x.de") == pairs(tmp_path / "packed.de.gz") == PAIRS
    ids = [sample.id for sample in DOMAIN.read(str(tmp_path / "x.de"))]
    assert ids == [f"{tmp_path / 'x.de'}:{number}" for number in (1, 2, 3)]
    assert pairs(tmp_path / "x.en") == [(en, None) for _, en in PAIRS], "the other language is read, not translated"


def test_files_of_different_numbers_of_lines_are_refused(tmp_path):
    (tmp_path / "x.de").write_text("a\nb\n")
    (tmp_path / "x.en").write_text("a\n")
    with pytest.raises(UserError, match=r"x\.de has more lines than .*x\.en"):
        pairs(tmp_path / "x.de")


def test_tables_name_their_columns(tmp_path):
    (tmp_path / "a.tsv").write_text(table())
    (tmp_path / "b.tsv.xz").write_bytes(lzma.compress(table((1, 0), "\tCC-BY").encode()))
    assert pairs(tmp_path / "a.tsv") == PAIRS
    assert pairs(tmp_path / "b.tsv.xz", Translation("de", "en", ["en", "de"])) == PAIRS
    (tmp_path / "c.tsv").write_text("nur eins\n")
    assert pairs(tmp_path / "c.tsv") == [("nur eins", None)]
    wide = Translation("de", "en", ["id", "de", "en"])
    (tmp_path / "d.tsv").write_text("1\tHallo\tHello\n2\tHallo\n")
    good, bad = wide.read(str(tmp_path / "d.tsv"))
    assert (good.text, bad.fault) == ("Hello", f"{tmp_path / 'd.tsv'}:2 has no columns id, de, en; mend the line")


def test_json_lines_in_three_forms(tmp_path):
    forms = [
        {"source": "Hallo", "target": "Hello"},
        {"de": "Hallo", "en": "Hello"},
        {"translation": {"de": "Hallo", "en": "Hello"}},
        {"source": "Hallo"},
        {"text": "Hallo"},
        {"source": 3},
    ]
    (tmp_path / "x.jsonl").write_text("\n".join(map(json.dumps, forms)))
    samples = list(DOMAIN.read(str(tmp_path / "x.jsonl")))
    assert [(s.source, s.text) for s in samples[:4]] == [("Hallo", "Hello")] * 3 + [("Hallo", None)]
    assert all("has no text `source`" in sample.fault for sample in samples[4:])


def archive(path, files):
    with zipfile.ZipFile(path, "w") as file:
        for name, content in files.items():
            file.writestr(name, content)
    return path


def test_archives_of_manythings_and_of_opus(tmp_path):
    many = archive(tmp_path / "deu-eng.zip", {"_about.txt": "x", "deu.txt": table((1, 0), "\tCC-BY 2.0")})
    assert pairs(many, Translation("deu", "eng")) == PAIRS
    assert pairs(many, Translation("eng", "deu")) == [(en, de) for de, en in PAIRS]
    texts = {f"X.de-en.{code}": "".join(pair[i] + "\n" for pair in PAIRS) for i, code in enumerate(("de", "en"))}
    assert pairs(archive(tmp_path / "opus.zip", texts)) == PAIRS
    with pytest.raises(UserError, match="neither files for de and en"):
        pairs(archive(tmp_path / "other.zip", {"README": "x"}))
    (tmp_path / "broken.zip").write_bytes(b"PK\x03\x04")
    with pytest.raises(UserError, match="no readable zip archive"):
        pairs(tmp_path / "broken.zip")


def test_a_line_that_is_not_utf_8_is_named_and_the_others_are_read(tmp_path, monkeypatch):
    (tmp_path / "x.txt").write_bytes(b"gut\n\xff\xfe\xfd\nauch gut")
    good, bad, last = DOMAIN.read(str(tmp_path / "x.txt"))
    assert (good.source, last.source) == ("gut", "auch gut")
    assert bad.fault.startswith(f"{tmp_path / 'x.txt'}:2 is not UTF-8")
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"eins\n\na.jpg\tzwei"), encoding="utf-8"))
    assert pairs("-") == [("eins", None), ("", None), ("zwei", None)]


def test_what_is_no_file_is_the_sentence_itself_and_a_missing_file_is_missed():
    assert pairs("Guten Tag!") == [("Guten Tag!", None)]
    assert pairs("x" * 5000) == [("x" * 5000, None)]
    assert pairs("") == [("", None)]
    for name in ("nowhere.txt", "nowhere.tsv.gz", "nowhere.jsonl"):
        with pytest.raises(UserError, match="does not exist"):
            pairs(name)


def test_a_damaged_packed_file_is_named(tmp_path):
    for name, content in (("x.txt.gz", b"\x1f\x8b\x08"), ("x.txt.xz", b"\xfd7zXZ"), ("y.txt.gz", b"no gzip")):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(UserError, match=f"{name} cannot be read"):
            pairs(tmp_path / name)


@pytest.mark.parametrize(
    ("settings", "fault"),
    [
        ({"source": "de", "target": "de"}, "both 'de'"),
        ({"source": "de", "target": "en", "columns": ["de", "fr"]}, "do not name both"),
        ({"longest": 0}, "at least one word"),
    ],
)
def test_settings_that_cannot_be_are_refused(settings, fault):
    with pytest.raises(ValueError, match=fault):
        Translation(**settings)
