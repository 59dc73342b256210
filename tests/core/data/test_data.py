"""Batches, manifests and checks."""

from collections import Counter
from itertools import chain

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lstmapps.data import Sample, SizeBatches, collate, group_of, pad, read_json_lines, read_table
from lstmapps.data.checks import Checked, group_leak_problems, odd_samples
from lstmapps.errors import UserError
from lstmapps.text import Vocabulary

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
    assert list(read_table(table)) == [(1, "a.png", "é 1"), (3, "b.png", "x\ty")]


@pytest.mark.parametrize(
    ("content", "message"),
    [(b"a.png text\n", r"t\.tsv:1 has no tab"), (b"a.png\t\xff\n", r"t\.tsv is not UTF-8")],
)
def test_bad_tables_are_named(tmp_path, content, message):
    table = tmp_path / "t.tsv"
    table.write_bytes(content)
    with pytest.raises(UserError, match=message):
        list(read_table(table))


@pytest.mark.parametrize(
    ("line", "message"),
    [("{", r"m\.jsonl:1 is not JSON"), ("3", r"m\.jsonl:1 is not a JSON object"), ("{}", "no key 'image'")],
)
def test_bad_json_lines_are_named(tmp_path, line, message):
    manifest = tmp_path / "m.jsonl"
    manifest.write_text(line + "\n")
    with pytest.raises(UserError, match=message):
        list(read_json_lines(manifest, ("image",)))


def test_a_missing_manifest_is_named(tmp_path):
    with pytest.raises(UserError, match=r"none\.tsv"):
        list(read_table(tmp_path / "none.tsv"))


def test_what_is_far_too_short_or_long_for_its_text_is_odd():
    samples = [Sample(f"s{i}", None, "abcde", size=100) for i in range(9)]
    samples += [Sample("long", None, "a", size=300), Sample("short", None, "abcdeabcde", size=40), Sample("none", None)]
    assert [(problem.id, problem.kind) for problem in odd_samples(samples)] == [("long", "odd"), ("short", "odd")]


def test_a_group_of_the_training_part_in_another_part_is_a_leak():
    train = [Checked(Sample("a-1", None)), Checked(Sample("b-1", None))]
    other = [Checked(Sample("b-2", None)), Checked(Sample("c-1", None))]
    (problem,) = group_leak_problems(train, other, "test", "(.*)-.*")
    assert (problem.id, problem.kind) == ("b-2", "leak")
    assert "is of b" in problem.message


def test_groups_are_what_the_pattern_finds():
    assert group_of("flac/an1-fash-b.flac", ".*-(.*)-.*") == "fash"
    assert group_of("elsewhere", "x-(.*)") == "elsewhere"
