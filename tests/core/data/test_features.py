"""What a frozen frontend gives is computed once, kept whole or not at all, and never taken for another's."""

import pickle

import pytest
import torch
from safetensors import safe_open
from torch import nn

from lstmapps.data import Domain, Inputs, Sample
from lstmapps.data import features as rooms
from lstmapps.data.checks import load_all
from lstmapps.data.features import FrozenFrontend, digest_of
from lstmapps.errors import UserError


class Doubling(nn.Module):
    """A frontend that halves the time; it counts how often it runs."""

    frozen = True

    def __init__(self, identity="doubling"):
        super().__init__()
        self.identity, self.runs = identity, 0

    def forward(self, x, lengths):
        self.runs += 1
        return 2 * x[:, ::2], (lengths + 1) // 2


def inputs(count, seed=0):
    return list(torch.rand(count, 7, 3, generator=torch.Generator().manual_seed(seed)))


def files(folder):
    return sorted(path.name for path in folder.iterdir())


def test_what_was_computed_is_read_again_and_not_computed(tmp_path):
    given, first, second = inputs(3), Doubling(), Doubling()
    features = FrozenFrontend(first, tmp_path)
    with features.kept():
        fresh = [features(x) for x in given]
    again = FrozenFrontend(second, tmp_path)
    for x, y in zip(given, fresh, strict=True):
        torch.testing.assert_close(y, (2 * x[::2]).half())
        assert torch.equal(again(x), y)
        assert torch.equal(again.get(digest_of(x)), y)
    assert (first.runs, second.runs) == (3, 0)
    assert again.get(digest_of(inputs(1, seed=1)[0])) is None
    assert [name.rpartition(".")[2] for name in files(tmp_path)] == ["safetensors"]


def test_without_a_folder_nothing_is_kept():
    frontend = Doubling()
    features = FrozenFrontend(frontend, None)
    (x,) = inputs(1)
    with features.kept():
        assert torch.equal(features(x), features(x))
    assert frontend.runs == 2


def test_work_that_is_interrupted_keeps_what_was_done(tmp_path, monkeypatch):
    monkeypatch.setattr(rooms, "_SHARD", 50)  # bytes: two inputs a file
    features = FrozenFrontend(Doubling(), tmp_path)
    given = inputs(5)

    def stopped():
        with features.kept():
            for x in given[:3]:
                features(x)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        stopped()
    held = [key for path in tmp_path.iterdir() for key in safe_open(path, "pt").keys()]  # noqa: SIM118
    assert sorted(held) == sorted(map(digest_of, given[:3]))
    frontend = Doubling()
    going_on = FrozenFrontend(frontend, tmp_path)
    with going_on.kept():
        for x in given:
            going_on(x)
    assert frontend.runs == 2


def test_features_of_another_frontend_are_refused_and_both_are_named(tmp_path):
    features = FrozenFrontend(Doubling("lite0 (1f)"), tmp_path)
    with features.kept():
        features(inputs(1)[0])
    with pytest.raises(UserError, match=r"\.safetensors holds features of lite0 \(1f\), not of lite1 \(2e\)"):
        FrozenFrontend(Doubling("lite1 (2e)"), tmp_path)
    (path,) = tmp_path.iterdir()
    path.write_bytes(b"no features")
    with pytest.raises(UserError, match=r"\.safetensors is damaged"):
        FrozenFrontend(Doubling(), tmp_path)


def test_a_worker_that_is_spawned_reads_the_same_files(tmp_path):
    features = FrozenFrontend(Doubling(), tmp_path)
    (x,) = inputs(1)
    with features.kept():
        y = features(x)
    copy = pickle.loads(pickle.dumps(features))
    assert torch.equal(copy.get(digest_of(x)), y)


class Files(Domain):
    """Inputs that are files with their numbers; it counts how often one is opened."""

    def __init__(self):
        self.opened = []

    def read(self, source):
        return iter(())

    def measure(self, sample):
        return sample

    def load(self, sample):
        self.opened.append(sample.source.name)
        return torch.full((4, 2), float(sample.source.read_text()))


def test_an_input_of_several_samples_is_loaded_once(tmp_path):
    for name in "ab":
        (tmp_path / name).write_text(str(ord(name)))
    samples = [Sample(f"{name}{n}", tmp_path / name, f"text {n}") for n in range(3) for name in "ab"]
    domain, frontend = Files(), Doubling()
    checked = load_all(Inputs(domain, features=FrozenFrontend(frontend, tmp_path / "cache")), samples)
    assert sorted(domain.opened) == ["a", "b"]
    assert frontend.runs == 2
    assert [each.sample.id for each in checked] == [sample.id for sample in samples]
    assert {each.sample.size for each in checked} == {2}
    assert [each.sample.text for each in checked] == [sample.text for sample in samples]
    assert len({each.digest for each in checked}) == 2
    assert all(each.x is None for each in checked), "what is on disk is not held in memory"
    missing = [Sample(f"c{n}", tmp_path / "c", "text") for n in range(2)]
    assert [each.problem.id for each in load_all(Inputs(domain), missing)] == ["c0", "c1"]


def test_inputs_of_other_shapes_and_types_are_others():
    x = torch.zeros(4, 6)
    assert len({digest_of(each) for each in (x, x.view(6, 4), x.double()[:2])}) == 3


def test_what_cannot_be_written_is_told_and_leaves_nothing(tmp_path):
    (tmp_path / "cache").write_text("a file, not a folder")
    features = FrozenFrontend(Doubling(), tmp_path / "cache")

    def compute():
        with features.kept():
            features(inputs(1)[0])

    with pytest.raises(UserError, match=r"could not be written .* choose another data.cache"):
        compute()
    assert files(tmp_path) == ["cache"]


def test_a_fault_of_the_frontend_is_no_fault_of_the_inputs(tmp_path):
    class Broken(Doubling):
        def forward(self, x, lengths):
            raise UserError("the weights are gone; fetch them")

    (tmp_path / "a").write_text("1")
    with pytest.raises(UserError, match="the weights are gone"):
        load_all(Inputs(Files(), features=FrozenFrontend(Broken(), None)), [Sample("a", tmp_path / "a", "x")])


def test_features_that_do_not_fit_into_memory_ask_for_a_folder(tmp_path, monkeypatch):
    monkeypatch.setattr("lstmapps.data.checks.KEPT_BYTES", 4)
    (tmp_path / "a").write_text("1")
    with pytest.raises(UserError, match=r"--data\.cache DIR"):
        load_all(Inputs(Files(), features=FrozenFrontend(Doubling(), None)), [Sample("a", tmp_path / "a", "x")])
