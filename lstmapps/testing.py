"""The conformance kit for authors of plugins."""

from __future__ import annotations

import io
import random
import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
import yaml
from torch import Tensor

from lstmapps.data import Disturbance, Domain, seeded
from lstmapps.data.samples import Sample
from lstmapps.errors import UserError
from lstmapps.model import Model
from lstmapps.package import PART
from lstmapps.plugins import Plugin
from lstmapps.prediction import Piece, Prediction


def check_plugin(plugin: Plugin, source: str | None = None) -> None:
    """Check that a plugin keeps the contract; raises AssertionError that says what it breaks.

    source: an example input that the domain reads, with texts; without it only the plugin's own
    files are checked: that importing it stays light, its recipes, and the models it ships.
    """
    _check_light(plugin)
    domain_class = plugin.domain_class()
    if domain_class is not None:
        assert issubclass(domain_class, Domain), f"{plugin.domain} is not a lstmapps Domain"
    for name, path in plugin.recipes().items():
        recipe = yaml.safe_load(path.read_text(encoding="utf-8"))
        missing = {"model", "data", "trainer"} - set(recipe)
        assert not missing, f"the recipe {name} lacks {', '.join(sorted(missing))}"
    for name, folder in plugin.models().items():
        model = Model.load(folder)
        assert model.name == name, f"the model in {folder} calls itself {model.name}, not {name}"
    if source is not None:
        assert domain_class is not None, f"{plugin.name} has no domain that could read {source}"
        _check_domain(domain_class(), source)


def _check_light(plugin: Plugin) -> None:
    """The module that holds the plugin is what every start of lstmapps imports."""
    module = f"{plugin.package}.plugin"
    code = f"import sys, {module}; sys.exit('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"importing {module} fails or imports torch: {done.stderr.strip()[-300:]}"


def _check_domain(domain: Domain, source: str) -> None:
    samples = list(domain.read(source))
    assert samples, f"reading {source} gives no samples"
    assert samples == list(domain.read(source)), "reading the same source twice gives different samples"
    assert len({s.id for s in samples}) == len(samples), "two samples have one id"
    features = {_check_sample(domain, sample) for sample in samples}
    assert len(features) == 1, f"inputs differ in their number of features: {sorted(features)}"
    if not domain.reads_text:
        _check_refusal(domain, Sample("no such file", Path("no such file")))
    _check_blanks(domain)
    _check_formats(domain, samples)


def _check_sample(domain: Domain, sample: Sample) -> int:
    measured = domain.measure(sample)
    x = domain.load(measured)
    assert isinstance(x, str) == domain.reads_text, f"{sample.id}: a text is loaded where `reads_text` says so only"
    if isinstance(x, str):
        _check_disturbances(domain, sample.id, x)
        return 1
    assert x.dim() == 2, f"{sample.id}: a loaded input is (time, features), not {tuple(x.shape)}"
    assert x.is_floating_point(), f"{sample.id}: a loaded input holds floating-point numbers"
    assert bool(x.isfinite().all()), f"{sample.id}: a loaded input holds numbers that are not finite"
    assert measured.size == len(x), f"{sample.id}: measured {measured.size} steps, loaded {len(x)}"
    prepared = domain.prepare(x)
    assert prepared.dim() == 2, f"{sample.id}: a prepared input is (time, features), not {tuple(prepared.shape)}"
    assert torch.equal(prepared, domain.prepare(x)), f"{sample.id}: prepare differs from time to time"
    blocks = torch.cat(list(domain.load_blocks(measured)))
    assert blocks.shape == x.shape, f"{sample.id}: load_blocks gives {len(blocks)} steps, load {len(x)}"
    before = x.clone()
    torch.manual_seed(0)
    first = domain.augment(x)
    torch.manual_seed(0)
    second = domain.augment(x)
    assert torch.equal(x, before), f"{sample.id}: augment changes the input it is given"
    assert torch.equal(first, second), f"{sample.id}: augment draws from other random numbers than torch's"
    assert first.dim() == 2, f"{sample.id}: an augmented input is (time, features)"
    assert first.shape[1] == x.shape[1], f"{sample.id}: augment changes the number of features"
    assert len(first) > 0, f"{sample.id}: augment leaves nothing"
    _check_disturbances(domain, sample.id, x)
    picture = domain.picture(measured)
    assert picture is None or picture.startswith(b"\x89PNG"), f"{sample.id}: a picture is a PNG"
    sound = domain.sound(measured)
    assert sound is None or sound.startswith(b"fLaC"), f"{sample.id}: a sound is a FLAC file"
    return int(prepared.shape[1])


def _check_disturbances(domain: Domain, name: str, x: Tensor | str) -> None:
    disturbances = domain.disturbances()
    assert len({str(one) for one in disturbances}) == len(disturbances), "two disturbances have one name and strength"
    for one in disturbances:
        assert re.fullmatch(PART, f"validation ({one})"), f"{one} has a name of other than letters and digits"
        if isinstance(x, str):
            written = one(x, name)
            assert isinstance(written, str), f"{one} makes no text of a text"
            assert written == one(x, name), f"{one} differs from time to time"
        else:
            _check_disturbed(domain, one, x)


def _check_disturbed(domain: Domain, one: Disturbance, x: Tensor) -> None:
    before, others = x.clone(), (random.getstate(), str(np.random.get_state()))
    with seeded(0):
        y = one.apply(x, one.strength)
        after = torch.rand(())
    with seeded(0):
        assert torch.equal(y, one.apply(x, one.strength)), f"{one} differs from time to time"
        assert torch.equal(after, torch.rand(())), f"{one} seeds torch's random numbers"
    assert others == (random.getstate(), str(np.random.get_state())), f"{one} draws from others than torch's"
    assert torch.equal(x, before), f"{one} changes the input it is given"
    assert y.dim() == 2, f"{one} leaves no (time, features)"
    assert len(y) > 0, f"{one} leaves nothing"
    assert y.shape[1] == x.shape[1], f"{one} changes the number of features"
    assert bool(y.isfinite().all()), f"{one} leaves numbers that are not finite"
    assert bool(domain.prepare(y).isfinite().all()), f"{one} cannot be prepared"


def _check_blanks(domain: Domain) -> None:
    blanks = list(domain.blanks())
    assert len({sample.id for sample in blanks}) == len(blanks), "two blanks have one id"
    for sample in blanks:
        measured = domain.measure(sample)
        x = domain.load(measured)
        assert isinstance(x, Tensor), f"{sample.id}: a blank is no text"
        assert bool(domain.prepare(x).isfinite().all()), f"{sample.id}: a blank holds numbers that are not finite"
        assert measured.size == len(x), f"{sample.id}: measured {measured.size} steps, loaded {len(x)}"


def _check_refusal(domain: Domain, sample: Sample) -> None:
    message = ""
    try:
        domain.load(domain.measure(sample))
    except UserError as error:
        message = str(error)
    assert "no such file" in message, "a missing input raises no UserError that names it"


def _check_formats(domain: Domain, samples: Sequence[Sample]) -> None:
    measured = [domain.measure(sample) for sample in samples]
    predictions = [Prediction(s, "a b", 0.5, words=[Piece("a", 0.0, 1.0, 0.5)]) for s in measured]
    for name, form in domain.formats().items():
        file = io.StringIO()
        form.write(predictions[:1] if form.document else predictions, file)
        assert file.getvalue(), f"the format {name} writes nothing"
        assert form.suffix.startswith("."), f"the suffix of the format {name} is {form.suffix!r}, without a dot"
