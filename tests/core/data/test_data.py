"""Batches, manifests and checks."""

import re
import types
from collections import Counter
from functools import partial
from itertools import chain

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from lstmapps_handwriting.domain import Handwriting

from lstmapps.data import (
    Domain,
    Sample,
    SequenceData,
    SizeBatches,
    Source,
    collate,
    distinct,
    group_of,
    pad,
    read_columns,
    read_json_lines,
    read_table,
)
from lstmapps.data.checks import Checked, group_leak_problems, odd_samples
from lstmapps.data.module import Kept
from lstmapps.errors import UserError
from lstmapps.text import Normalisation, Vocabulary

SIZES = st.lists(st.integers(1, 500), min_size=3, max_size=60)


def batches(sizes, epoch=0, **settings):
    sampler = SizeBatches(sizes, 1000, shuffle=True, **settings)
    sampler.set_epoch(epoch)
    return list(sampler)


@given(sizes=SIZES, epoch=st.integers(0, 5), seed=st.integers(0, 5))
def test_every_sample_comes_once_an_epoch(sizes, epoch, seed):
    seen = Counter(index for batch in batches(sizes, epoch, seed=seed) for _, index in batch)
    assert seen == Counter(range(len(sizes)))


@given(sizes=SIZES)
def test_batches_stay_within_their_size(sizes):
    for batch in batches(sizes):
        longest = max(sizes[index] for _, index in batch)
        assert len(batch) == 1 or longest * len(batch) <= 1000 * 1.25


@given(sizes=SIZES, world=st.integers(1, 3))
def test_the_processes_together_have_the_batches_of_one(sizes, world):
    parts = [batches(sizes, world_size=world, rank=rank) for rank in range(world)]
    assert len({len(part) for part in parts}) == 1
    assert all(share for part in parts for share in part)
    together = [sorted(chain.from_iterable(shares)) for shares in zip(*parts, strict=True)]
    alone = [sorted(batch) for batch in batches(sizes)]
    if all(len(batch) >= world for batch in alone):
        assert together == alone


def test_epochs_differ_and_repeat():
    sizes = list(range(1, 80))
    assert batches(sizes, 1) == batches(sizes, 1)
    assert batches(sizes, 1) != batches(sizes, 2)
    assert batches(sizes, 1, seed=1) != batches(sizes, 1, seed=2)


def test_an_epoch_is_shuffled_samples_and_batches_alike():
    sizes = [10] * 40 + [500] * 40
    order = [index for batch in batches(sizes, 0) for _, index in batch]
    again = [index for batch in batches(sizes, 1) for _, index in batch]
    assert [i for i in order if i < 40] != sorted(i for i in order if i < 40)
    assert order != again
    firsts = [sizes[batch[0][1]] for batch in batches(sizes, 0)]
    assert firsts != sorted(firsts)
    assert firsts != sorted(firsts, reverse=True), "batches of long and short samples come mixed"


def test_an_epoch_can_be_continued():
    sizes = list(range(1, 80))
    sampler = SizeBatches(sizes, 1000, shuffle=True)
    whole = list(sampler)
    sampler.start = 2
    assert list(sampler) == whole[2:]
    assert list(sampler) == whole


def test_fewer_samples_than_processes_are_refused():
    with pytest.raises(UserError, match="fewer devices"):
        SizeBatches([5], 1000, shuffle=False, world_size=2)


@settings(max_examples=30)
@given(st.lists(st.integers(1, 300), min_size=1, max_size=4))
def test_padding_is_zero_and_at_most_a_sixteenth_is_added(lengths):
    x, got = pad([torch.ones(length, 2) for length in lengths])
    assert got.tolist() == lengths
    assert max(lengths) <= x.shape[1] <= max(lengths) * 17 / 16
    for row, length in enumerate(lengths):
        assert bool((x[row, :length] == 1).all())
        assert bool((x[row, length:] == 0).all())


def test_a_batch_carries_its_targets():
    samples = [Sample("a", None, "ab"), Sample("b", None, "b")]
    batch = collate([torch.ones(3, 2), torch.ones(2, 2)], samples, Vocabulary(["a", "b"]))
    assert batch.targets.tolist() == [[1, 2], [2, 0]]
    assert batch.target_lengths.tolist() == [2, 1]
    assert batch.to("cpu").samples == samples


def test_tables_are_read_with_marks_and_windows_line_ends(tmp_path):
    table = tmp_path / "t.tsv"
    table.write_bytes("\ufeffa.png\té 1\r\n\r\nb.png\tx\ty\r\n".encode())
    assert [(s.id, s.source, s.text) for s in read_table(table)] == [
        ("a.png", tmp_path / "a.png", "é 1"),
        ("b.png", tmp_path / "b.png", "x\ty"),
    ]


def json_sample(place, entry):
    return Sample(entry["image"], entry["image"], entry["text"])


@pytest.mark.parametrize(
    ("line", "message"),
    [(b"a.png text", r"t\.tsv:2 has no tab"), (b"a.png\t\xff", r"t\.tsv:2 is not UTF-8"), (b"\tx", "names no input")],
)
def test_a_bad_line_of_a_table_is_named_and_the_rest_read(tmp_path, line, message):
    table = tmp_path / "t.tsv"
    table.write_bytes(b"a.png\t1\n" + line + b"\nb.png\t2\n")
    first, bad, last = read_table(table)
    assert (first.text, bad.text, last.text) == ("1", None, "2")
    assert (first.fault, last.fault) == (None, None)
    assert re.search(message, bad.fault)
    assert bad.id == f"{table}:2"


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{", r"m\.jsonl:2 is not JSON"),
        ("[" * 100_000, r"m\.jsonl:2 is not JSON"),
        ("3", r"m\.jsonl:2 is not a JSON object"),
        ("{}", "no key 'image'"),
        ('{"image": 3}', "`image` must be a string"),
        ('{"image": "x", "text": true}', "`text` must be a string"),
    ],
)
def test_a_bad_json_line_is_named_and_the_rest_read(tmp_path, line, message):
    manifest = tmp_path / "m.jsonl"
    manifest.write_text(f'{{"image": "a"}}\n{line}\n{{"image": "b", "text": "x"}}\n')
    first, bad, last = read_json_lines(manifest, ("image",), json_sample)
    assert (first.id, first.text, last.id, last.text) == ("a", None, "b", "x")
    assert re.search(message, bad.fault)


@pytest.mark.parametrize(("number", "text"), [("5", "5"), ("5.10", "5.10"), ("1e3", "1e3"), ("-0", "-0")])
def test_a_number_as_text_is_its_digits(tmp_path, number, text):
    manifest = tmp_path / "m.jsonl"
    manifest.write_text(f'{{"image": "a", "text": {number}}}')
    assert [s.text for s in read_json_lines(manifest, ("image",), json_sample)] == [text]


def test_a_bad_row_is_named_by_its_line_and_the_rest_read(tmp_path):
    table = tmp_path / "c.csv"
    table.write_bytes(b'image,text\n\na,"one, two"\nb\nc,\xff\nd,"x\ny"\n')
    samples = list(read_columns(table, ",", lambda place, row: Sample(row["image"], None, row["text"])))
    assert [(s.id, s.text) for s in samples if not s.fault] == [("a", "one, two"), ("d", "x\ny")]
    faults = [s.fault for s in samples if s.fault]
    assert [fault.partition(" ")[0] for fault in faults] == [f"{table}:4", f"{table}:5"]


@given(st.lists(st.sampled_from(["a", "b", "a#2", "a#3", "a#2#2"]), max_size=12))
def test_ids_become_distinct_and_first_ones_stay(ids):
    made = [sample.id for sample in distinct(Sample(id_, None) for id_ in ids)]
    assert len(set(made)) == len(ids)
    assert all(new.startswith(old) for new, old in zip(made, ids, strict=True))
    assert made[:1] == ids[:1]


class Made(Source):
    def samples(self):
        yield Sample("a", None, text="one  text ", others=(" an other ",))


def test_every_reference_of_a_sample_is_normalised():
    data = SequenceData(domain=None, train=Made(), normalisation=Normalisation())
    (sample,) = data.samples("train")
    assert sample.references == ("one text", "an other")
    assert Sample("b", None).references == ()


def test_a_part_may_have_several_sources(lines):
    made, table = Made(), str(lines / "train.tsv")
    data = SequenceData(domain=Handwriting(16), train=[table, made, made])
    whole = SequenceData(domain=Handwriting(16), train=table).samples("train")
    assert [sample.id for sample in data.samples("train")] == [sample.id for sample in whole] + ["a", "a#2"]


def test_what_is_kept_is_one_block_of_memory():
    inputs = {str(i): torch.randn(i + 1, 3) for i in range(50)} | {"double": torch.zeros(2, dtype=torch.float64)}
    kept = Kept(inputs)
    assert all(torch.equal(kept.get(id_), x) and kept.get(id_).dtype == x.dtype for id_, x in inputs.items())
    assert kept.get("elsewhere") is None
    assert len({kept.get(id_).untyped_storage().data_ptr() for id_ in inputs}) == 2


def test_a_missing_manifest_is_named(tmp_path):
    with pytest.raises(UserError, match=r"none\.tsv"):
        list(read_table(tmp_path / "none.tsv"))


def test_what_is_far_too_short_or_long_for_its_text_is_odd():
    samples = [Sample(f"s{i}", None, "abcde", size=100) for i in range(9)]
    samples += [Sample("long", None, "a", size=300), Sample("short", None, "abcdeabcde", size=40), Sample("none", None)]
    assert [(problem.id, problem.kind) for problem in odd_samples(samples)] == [("long", "odd"), ("short", "odd")]


def test_a_group_of_the_training_part_in_another_part_is_a_leak():
    domain = types.SimpleNamespace(groups=partial(Domain.groups, None))
    train = [Checked(Sample("a-1", None)), Checked(Sample("b-1", None))]
    other = [Checked(Sample("b-2", None)), Checked(Sample("c-1", None))]
    (problem,) = group_leak_problems(domain, train, other, "test", "(.*)-.*")
    assert (problem.id, problem.kind) == ("b-2", "leak")
    assert "is of b" in problem.message


def test_groups_are_what_the_pattern_finds():
    assert group_of("flac/an1-fash-b.flac", ".*-(.*)-.*") == "fash"
    assert group_of("elsewhere", "x-(.*)") == "elsewhere"
