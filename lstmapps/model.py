"""A trained model: loaded by name or path, predicting, saved again."""

from __future__ import annotations

import inspect
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

import torch
import yaml
from torch import Tensor

from lstmapps import package as packages
from lstmapps import streaming
from lstmapps.building import build_network, construct, weights_of
from lstmapps.data.disturbances import Disturbance
from lstmapps.data.domain import Domain
from lstmapps.data.inputs import Inputs
from lstmapps.data.samples import Sample, distinct, pad
from lstmapps.errors import UserError, cause
from lstmapps.listening import Listener, listener
from lstmapps.package import Package
from lstmapps.prediction import Decoding, Failure, Prediction, Predictor, predictor
from lstmapps.prediction.blocks import is_long
from lstmapps.scores import Score, scores_named
from lstmapps.text import Normalisation, Vocabulary

_WINDOW, _COUNT = 32, 512  # the window, in batches or inputs, that is sorted by length before it is batched


@dataclass
class Model:
    """A network with all that it needs to read inputs and to be trained further.

    model = lstmapps.load("handwriting/peraire")
    for result in model.predict(["page.tsv"]):
        print(result.text)

    disturbance: what is done to every input that it loads, to see how well it is read then.
    """

    package: Package
    network: Any
    domain: Domain
    disturbance: Disturbance | None = None

    @classmethod
    def load(cls, name: str | Path, device: str | None = None, *, int8: bool = False) -> Model:
        """Load a package from a folder, by the name `domain/name` that a plugin ships, or from `hf://owner/name`.

        device: where it runs; by default a GPU if there is one. int8: with weights of eight bits, where a decoder
        writes: several times as fast on a CPU; such a model cannot be saved. Raises UserError.
        """
        folder = packages.package_folder(name)
        package = packages.read(folder)
        network = build_network(package.config["network"], package.weights, folder)
        usual = "cuda" if torch.cuda.is_available() and not int8 else "cpu"
        read = package.source_vocabulary or package.vocabulary
        if not network.fits(len(package.vocabulary), len(read)):
            raise UserError(f"{folder}: the vocabulary is not that of the weights; copy the package again")
        try:
            network.eval().to(device or usual)
        except (RuntimeError, AssertionError, ValueError) as error:  # torch tells a missing device in many ways
            reason = str(error).partition("\n")[0]
            raise UserError(
                f"the device {device or usual} cannot be used ({reason}); leave it out, or take cpu"
            ) from None
        if int8:
            _quantise(network, str(name))
        domain = construct(package.config["domain"])
        if not isinstance(domain, Domain):
            raise UserError(f"{folder / 'config.yaml'}: {type(domain).__name__} is no domain; copy the package again")
        return cls(replace(package, weights={}), network, domain)

    @property
    def config(self) -> dict[str, Any]:
        """What stands in the package's config.yaml."""
        return self.package.config

    @property
    def name(self) -> str:
        return str(self.config["name"])

    @property
    def vocabulary(self) -> Vocabulary:
        """The symbols that the network writes."""
        return self.package.vocabulary

    @property
    def results(self) -> dict[str, Any]:
        """Scores by part, and what the model was trained on."""
        return self.package.results

    @property
    def inputs(self) -> Inputs:
        """What loads samples as the network takes them."""
        read = self.package.source_vocabulary or self.vocabulary if self.domain.reads_text else None
        return Inputs(self.domain, self.normalisation, read, disturbance=self.disturbance)

    @property
    def normalisation(self) -> Normalisation:
        return Normalisation(**self.config["normalisation"])

    @property
    def scores(self) -> list[Score]:
        """What the model is measured by; the first decides."""
        return scores_named(self.config["scores"])

    def save(self, folder: str | Path, *, small: bool = False) -> None:
        """Write the model as a package, whole or not at all; raises UserError for one that runs in eight bits.

        small: matrices are kept in eight bits instead of sixteen, and so they stay when the package is written again.
        """
        if getattr(self.network, "quantised", False):
            raise UserError(f"{self.name} has weights of eight bits, which are not kept; load it without int8")
        weights = {name: value.cpu() for name, value in weights_of(self.network).items()}
        config = self.config | ({"weights": packages.EIGHT_BITS} if small else {})
        packages.write(replace(self.package, config=config, weights=weights), Path(folder))

    def predict(
        self,
        inputs: Iterable[str | Sample],
        *,
        decoder: str | None = None,
        n_best: int = 1,
        hot_words: Sequence[str] = (),
        search: Mapping[str, Any] = MappingProxyType({}),
        must: Sequence[str] = (),
        must_not: Sequence[str] = (),
        prefix: str = "",
        shortlist: bool = False,
        ensemble: Sequence[Model] = (),
    ) -> Iterator[Prediction | Failure]:
        """Yield for each input, in the order given, what was read, or why it could not be.

        inputs: paths that the domain understands (files, folders, tables), or samples.
        decoder: "greedy", "beam" or another that the network has; the package's own by default. "beam" uses the
        package's language model, if it has one.
        n_best: more than one asks the beam search for alternatives. hot_words: words that are expected,
        which the beam search favours. search, must, must_not, prefix, shortlist: see `lstmapps.prediction.Decoding`.
        ensemble: further models of the same vocabularies, which write together with this one.
        """
        if n_best < 1:
            raise UserError(f"n_best is {n_best}; ask for 1 or more")
        for other in ensemble:
            if (other.vocabulary, other.inputs.vocabulary) != (self.vocabulary, self.inputs.vocabulary):
                raise UserError(f"{other.name} has other vocabularies than {self.name} and cannot write with it")
        networks = [other.network for other in ensemble]
        decoding = Decoding(decoder, n_best, hot_words, search, must, must_not, prefix, shortlist, networks)
        yield from self._results(self.samples(inputs), self.predictor(decoding), known=False)

    def score(self, inputs: Iterable[str | Sample]) -> Iterator[Prediction | Failure]:
        """Yield for each input, in the order given, how probable its known text is: the `score` of a prediction."""
        samples = (sample if sample.fault else self._with_text(sample) for sample in self.samples(inputs))
        yield from self._results(samples, self.predictor(), known=True)

    def _results(self, samples: Iterable[Sample], read: Predictor, *, known: bool) -> Iterator[Prediction | Failure]:
        """Yield what is read of each sample, or, if its text is known, of that."""
        with ExitStack() as stack:
            # Threads that have run torch slow the network on a CPU, even while they wait; measured by `make bench`.
            on_cpu = self._device.type == "cpu"
            each = map if on_cpu else stack.enter_context(ThreadPoolExecutor(os.cpu_count())).map
            for window in _windows(map(self._measure, samples), _WINDOW * self.domain.batch_steps):
                loaded = list(each(self._load, window))
                results: list[Prediction | Failure | None] = [x if isinstance(x, Failure) else None for x in loaded]
                sizes = [(i, x[0].size or 1) for i, x in enumerate(loaded) if not isinstance(x, Failure)]
                for batch in _batches(sorted(sizes, key=lambda pair: pair[1]), self.domain.batch_steps):
                    pairs: Any = [loaded[i] for i in batch]
                    for i, result in zip(batch, self._read_each(pairs, read, known), strict=True):
                        results[i] = result
                yield from (result for result in results if result is not None)

    def samples(self, inputs: Iterable[str | Sample]) -> Iterator[Sample]:
        """Yield the samples of inputs as `predict` takes them; a source that cannot be used is one with a fault."""
        for item in inputs:
            if isinstance(item, Sample):
                yield item
                continue
            try:
                yield from distinct(self.domain.read(item))
            except Exception as error:
                yield Sample(item, item, fault=cause(error, item))

    def set(self, name: str, value: Any) -> None:
        """Change a setting of the domain, such as the channel that is heard; raises UserError if it has none."""
        value = yaml.safe_load(value) if isinstance(value, str) else value
        arguments = {**self.config["domain"].get("init_args", {}), name: value}
        if name not in inspect.signature(type(self.domain)).parameters:
            raise UserError(f"{self.name} has no {name} that could be set; leave it out")
        try:
            self.domain = construct({**self.config["domain"], "init_args": arguments})
        except UserError as error:
            raise UserError(f"{self.name} does not take the {name} {value!r} ({error})") from None

    def align(self, sample: Sample) -> Prediction:
        """Return where and how surely each character of a sample's known text was seen, or for a text that is written
        of another what was looked at for each word; raises UserError."""
        (result,) = self._results([self._with_text(sample)], self.predictor(), known=True)
        if isinstance(result, Failure):
            raise UserError(result.reason)
        return result

    def _with_text(self, sample: Sample) -> Sample:
        """Return a sample with its text normalised; with a fault if it has none that the network could write."""
        text = self.normalisation(sample.text or "")
        fault = sample.fault
        if unknown := self.vocabulary.unknown(text):
            shown = " ".join(repr(symbol) for symbol in unknown)
            fault = fault or f"the text of {sample.id} has symbols that {self.name} does not know: {shown}"
        elif not text:
            fault = fault or f"{sample.id} has no text; give the one that belongs to it"
        return replace(sample, text=text, fault=fault)

    def predictor(self, decoding: Decoding = Decoding()) -> Predictor:
        """Return what predicts with the network; raises UserError if it cannot be read in this way."""
        return predictor(self.package, self.network, decoding)

    @property
    def streams(self) -> bool:
        """Whether the model can read inputs that are still arriving."""
        return streaming.streams(self.network)

    def listen(self, decoding: Decoding = Decoding()) -> Listener:
        """Return what reads inputs that are still arriving; raises UserError if the model cannot."""
        if not self.streams:
            raise UserError(f"{self.name} needs its input whole and cannot be streamed; use predict")
        return listener(self.predictor(decoding), self.domain)

    def _measure(self, sample: Sample) -> Sample | Failure:
        if sample.fault:
            return Failure(sample, sample.fault)
        try:
            return self.domain.measure(sample)
        except Exception as error:
            return _failure(sample, error)

    def _load(self, sample: Sample | Failure) -> tuple[Sample, Tensor | None] | Failure:
        """Load a sample; one that is read in blocks stays where it is."""
        if isinstance(sample, Failure):
            return sample
        if self.disturbance is None and is_long(self.network, self.domain, sample):
            return sample, None
        try:
            x = self.inputs.load(sample)
        except Exception as error:
            return _failure(sample, error)
        return replace(sample, size=len(x)), x

    def _read_each(
        self, items: list[tuple[Sample, Tensor | None]], read: Predictor, known: bool
    ) -> list[Prediction | Failure]:
        """Read a batch; if an input of it makes that fail, each by itself."""
        try:
            return self._read_batch(items, read, known)
        except Exception as error:
            if len(items) == 1:
                return [_failure(items[0][0], error)]
            return [self._read_each([item], read, known)[0] for item in items]

    @torch.inference_mode()
    def _read_batch(
        self, items: list[tuple[Sample, Tensor | None]], read: Predictor, known: bool
    ) -> list[Prediction | Failure]:
        if items[0][1] is None:
            return [self._read_long(sample, read, known) for sample, _ in items]
        x, lengths = pad([tensor for _, tensor in items if tensor is not None])
        each = read.known if known else read.predict
        return list(each(x.to(self._device), lengths.to(self._device), [sample for sample, _ in items]))

    def _read_long(self, sample: Sample, read: Predictor, known: bool) -> Prediction | Failure:
        try:
            return read.align(sample, self.inputs) if known else listener(read, self.domain).read_long(sample)
        except Exception as error:
            return _failure(sample, error)

    @property
    def _device(self) -> torch.device:
        device: torch.device = next(self.network.parameters()).device
        return device


def _quantise(network: Any, name: str) -> None:
    if not hasattr(network, "quantise"):
        raise UserError(f"{name} has no decoder whose weights could be of eight bits; leave int8 out")
    try:
        network.quantise()
    except (ValueError, RuntimeError) as error:
        raise UserError(f"{name} cannot have weights of eight bits here ({error}); leave int8 out") from None


def _failure(sample: Sample, error: Exception) -> Failure:
    return Failure(sample, cause(error, sample.id), error)


def _windows(samples: Iterable[Sample | Failure], steps: int) -> Iterator[list[Sample | Failure]]:
    """Cut samples, in order, into windows of at most `steps` input steps, or one sample."""
    window: list[Sample | Failure] = []
    total = 0
    for sample in samples:
        size = 1 if isinstance(sample, Failure) else sample.size or 1
        if window and (total + size > steps or len(window) >= _COUNT):
            yield window
            window, total = [], 0
        window.append(sample)
        total += size
    if window:
        yield window


def _batches(sizes: list[tuple[int, int]], steps: int) -> Iterator[list[int]]:
    """Cut `(index, size)`, sorted by size, into batches of at most `steps` padded steps."""
    batch: list[int] = []
    for index, size in sizes:
        if batch and size * (len(batch) + 1) > steps:
            yield batch
            batch = []
        batch.append(index)
    if batch:
        yield batch
