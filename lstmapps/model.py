"""A trained model: loaded by name or path, predicting, saved again."""

from __future__ import annotations

import inspect
import os
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path
from typing import Any, Literal

import torch
import yaml
from torch import Tensor

from lstmapps import package as packages
from lstmapps import streaming
from lstmapps.ctc import Rescorer, Span, greedy_spans
from lstmapps.data.domain import Domain
from lstmapps.data.samples import Sample, distinct, pad
from lstmapps.errors import UserError, cause
from lstmapps.language_model import ArpaFile
from lstmapps.nn import CTCNetwork
from lstmapps.nn.transducer import Found, TransducerState
from lstmapps.package import Package
from lstmapps.predictions import Failure, Piece, Prediction
from lstmapps.reading import Reader, align, prediction_of, reader
from lstmapps.scores import Score, scores_named
from lstmapps.text import BLANK, Normalisation, Vocabulary

Decoder = Literal["greedy", "beam", "transducer"]
_WINDOW, _COUNT = 32, 512  # the window, in batches or inputs, that is sorted by length before it is batched
_LONG = 5  # batches: inputs of more steps are read in blocks
_PART = 3000  # steps of a long input that are decoded together, about
_ALIGNED = 10**9  # steps times symbols that an alignment may fill


@dataclass(frozen=True)
class Heard:
    """What a step of a stream has added: text that stays, and text after it that more input may change."""

    stable: str
    tentative: str
    characters: list[Piece]


@dataclass(frozen=True)
class Listening:
    """How far a stream has come: the network's state, the last symbol or the transducer's state, the steps
    read so far, and whether anything was said in them."""

    network: streaming.StreamState
    symbol: int = BLANK
    transducer: TransducerState | None = None
    steps: int = 0
    begun: bool = False


@dataclass
class Model:
    """A network with all that it needs to read inputs and to be trained further.

    model = lstmapps.load("handwriting/peraire")
    for result in model.predict(["page.tsv"]):
        print(result.text)
    """

    config: dict[str, Any]
    network: CTCNetwork
    vocabulary: Vocabulary
    domain: Domain
    results: dict[str, Any]
    language_model: ArpaFile | None = None

    @classmethod
    def load(cls, name: str | Path, device: str | None = None) -> Model:
        """Load a package from a folder, by the name `domain/name` that a plugin ships, or from `hf://owner/name`.

        device: where it runs; by default a GPU if there is one. Raises UserError.
        """
        folder = packages.package_folder(name)
        package = packages.read(folder)
        network = packages.build_network(package, folder)
        network.eval().to(device or ("cuda" if torch.cuda.is_available() else "cpu"))
        domain = packages.construct(package.config["domain"])
        if not isinstance(domain, Domain):
            raise UserError(f"{folder / 'config.yaml'}: {type(domain).__name__} is no domain; copy the package again")
        return cls(package.config, network, package.vocabulary, domain, package.results, package.language_model)

    @property
    def name(self) -> str:
        return str(self.config["name"])

    @property
    def normalisation(self) -> Normalisation:
        return Normalisation(**self.config["normalisation"])

    @property
    def scores(self) -> list[Score]:
        """What the model is measured by; the first decides."""
        return scores_named(self.config["scores"])

    def save(self, folder: str | Path) -> None:
        """Write the model as a package, whole or not at all."""
        weights = {name: value.cpu() for name, value in self.network.state_dict().items()}
        package = Package(self.config, weights, self.vocabulary, self.results, self.language_model)
        packages.write(package, Path(folder))

    def predict(
        self,
        inputs: Iterable[str | Sample],
        *,
        decoder: Decoder | None = None,
        n_best: int = 1,
        hot_words: Sequence[str] = (),
    ) -> Iterator[Prediction | Failure]:
        """Yield for each input, in the order given, what was read, or why it could not be.

        inputs: paths that the domain understands (files, folders, tables), or samples.
        decoder: the package's own by default; "beam" uses the package's language model, if it has one.
        n_best: more than one asks the beam search for alternatives. hot_words: words that are expected,
        which the beam search favours.
        """
        read = self._reader(decoder or ("beam" if n_best > 1 or hot_words else None), n_best, hot_words)
        samples = self.samples(inputs)
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
                    for i, result in zip(batch, self._read_each(pairs, read), strict=True):
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
            self.domain = packages.construct({**self.config["domain"], "init_args": arguments})
        except UserError as error:
            raise UserError(f"{self.name} does not take the {name} {value!r} ({error})") from None

    def align(self, sample: Sample) -> Prediction:
        """Return where and how surely each character of a sample's known text was seen; raises UserError."""
        if sample.fault:
            raise UserError(sample.fault)
        text = self.normalisation(sample.text or "")
        sample = replace(self.domain.measure(sample), text=text)
        if unknown := self.vocabulary.unknown(text):
            shown = " ".join(repr(symbol) for symbol in unknown)
            raise UserError(f"the text of {sample.id} has symbols that {self.name} does not know: {shown}")
        if not text:
            raise UserError(f"{sample.id} has no text; give the one to be aligned")
        logits = torch.cat(list(self._logits(sample)))
        symbols = self.vocabulary.encode(text)
        if len(logits) * len(symbols) > _ALIGNED:
            raise UserError(f"{sample.id} is too long to be aligned at once; cut it into parts of some minutes")
        steps = torch.tensor([len(logits)], device=logits.device)
        try:
            (spans,) = align(logits.unsqueeze(0), steps, [symbols])
        except ValueError:
            raise UserError(f"{sample.id} is too short for its text; check that they belong together") from None
        (aligned,) = self._reader("greedy").readings([spans], steps, [sample])
        return aligned

    @torch.inference_mode()
    def posteriors(self, sample: Sample) -> tuple[list[list[float]], int]:
        """Return the probability of each symbol at each of the network's steps, and the input's size."""
        measured = self.domain.measure(sample)
        logits = torch.cat(list(self._logits(measured)))
        probabilities: list[list[float]] = logits.float().softmax(dim=1).tolist()
        return probabilities, measured.size or 1

    @property
    def streams_exactly(self) -> bool:
        """Whether an input that is streamed is read as it is whole: a unidirectional model, no look at the whole."""
        return streaming.streams_exactly(self.network)

    @property
    def look_ahead(self) -> int:
        """How many steps of the input come after the beginning of one of the network's steps before it is certain."""
        return streaming.delay(self.network)

    def init_state(self) -> Listening:
        """Return the state in which nothing has been heard, for `step`; raises UserError if the model cannot stream."""
        if not streaming.streams(self.network):
            raise UserError(f"{self.name} needs its input whole and cannot be streamed; use predict")
        return Listening(streaming.init_state(self.network))

    def step(self, chunk: Tensor, state: Listening, *, tentative: bool = True) -> tuple[Heard, Listening]:
        """Take the next piece of an input, chunk (time, features), of any length; return what is read now.

        The stable texts of all steps and of `finish`, one after the other, are the reading; however the
        input was cut, they come out the same, for a unidirectional model as from `predict`. `state` stays
        as it is, so a step can be taken back. Without `tentative` a step costs less, and tells what is stable only.
        """
        y, network = streaming.step(self.network, self.domain.from_array(chunk), state.network)
        heard, after = self._hear(y, replace(state, network=network))
        if tentative:
            rest, _ = self._hear(streaming.preview(self.network, after.network), after)
            heard = replace(heard, tentative=rest.stable)
        return heard, after

    def finish(self, state: Listening) -> Heard:
        """Return what is read of the rest when the input ends here; nothing of it is tentative."""
        heard, _ = self._hear(streaming.finish(self.network, state.network), state)
        return heard

    @torch.inference_mode()
    def _hear(self, y: Tensor, state: Listening) -> tuple[Heard, Listening]:
        """Read encoded steps (steps, output_size) symbol by symbol, as the continuation of those before."""
        if not len(y):
            return Heard("", "", []), state
        steps = torch.tensor([len(y)], device=y.device)
        after = replace(state, steps=state.steps + len(y))
        if self.network.transducer is not None:
            (found,), transducer = self.network.transducer.greedy(y.unsqueeze(0), steps, state.transducer)
            spans, after = _spans(found), replace(after, transducer=transducer)
        else:
            logits = self.network.head(y)
            spans = greedy_spans(logits.unsqueeze(0), steps, BLANK)[0]
            if spans and spans[0].start == 0 and spans[0].symbol == state.symbol:
                spans = spans[1:]  # the last symbol goes on
            after = replace(after, symbol=int(logits[-1].argmax()))
        scale = self._scale
        reading = replace(self._reader("greedy"), within=state.begun)
        pieces = reading.pieces(spans, scale, len(y) * scale, state.steps * scale)
        after = replace(after, begun=state.begun or bool(spans))
        return Heard("".join(piece.text for piece in pieces), "", pieces), after

    def _measure(self, sample: Sample) -> Sample | Failure:
        if sample.fault:
            return Failure(sample, sample.fault)
        try:
            return self.domain.measure(sample)
        except Exception as error:
            return _failure(sample, error)

    def _load(self, sample: Sample | Failure) -> tuple[Sample, Tensor | None] | Failure:
        """Load a sample; one that is read in blocks stays where it is."""
        if isinstance(sample, Failure) or self._is_long(sample):
            return sample if isinstance(sample, Failure) else (sample, None)
        try:
            x = self.domain.load(sample)
        except Exception as error:
            return _failure(sample, error)
        return replace(sample, size=len(x)), x

    def _is_long(self, sample: Sample) -> bool:
        """Tell whether a sample is read in blocks."""
        return (sample.size or 0) > _LONG * self.domain.batch_steps and streaming.streams(self.network)

    def _read_each(self, items: list[tuple[Sample, Tensor | None]], read: Reader) -> list[Prediction | Failure]:
        """Read a batch; if an input of it makes that fail, each by itself."""
        try:
            return self._read_batch(items, read)
        except Exception as error:
            if len(items) == 1:
                return [_failure(items[0][0], error)]
            return [self._read_each([item], read)[0] for item in items]

    @torch.inference_mode()
    def _read_batch(self, items: list[tuple[Sample, Tensor | None]], read: Reader) -> list[Prediction | Failure]:
        if items[0][1] is None:
            return [self._read_long(sample, read) for sample, _ in items]
        x, lengths = pad([tensor for _, tensor in items if tensor is not None])
        samples = [sample for sample, _ in items]
        y, logits, _, steps = self.network.forward_all(x.to(self._device), lengths.to(self._device))
        if read.decoder != "transducer":
            return list(read.read(logits, steps, samples, self._rescorer(y, steps)))
        assert self.network.transducer is not None
        found, _ = self.network.transducer.greedy(y, steps)
        return list(read.readings([_spans(row) for row in found], steps, samples))

    @torch.inference_mode()
    def _read_long(self, sample: Sample, read: Reader) -> Prediction | Failure:
        """Read a sample in blocks, in bounded memory."""
        try:
            characters = self._hear_all(sample) if read.decoder == "transducer" else self._read_parts(sample, read)
        except Exception as error:
            return _failure(sample, error)
        return prediction_of(sample, characters)

    def _hear_all(self, sample: Sample) -> list[Piece]:
        characters, state = [], self.init_state()
        for y in self._encoded(sample):
            heard, state = self._hear(y, state)
            characters += heard.characters
        return characters

    def _read_parts(self, sample: Sample, read: Reader) -> list[Piece]:
        """Decode parts of a long sample, cut where nothing is said, each by itself."""
        characters: list[Piece] = []
        begin, scale = 0, self._scale
        waiting: list[Tensor] = []
        for y in chain(self._encoded(sample), [None]):
            waiting += [] if y is None else [y]
            held = torch.cat(waiting)
            if y is not None and len(held) < _PART:
                continue
            logits = self.network.head(held)
            cut = len(held) if y is None else _quiet_place(logits)
            part = replace(sample, size=cut * scale)
            if cut:
                read = replace(read, within=bool(characters))
                steps = torch.tensor([cut], device=held.device)
                rescorer = self._rescorer(held[:cut].unsqueeze(0), steps)
                (found,) = read.read(logits[:cut].unsqueeze(0), steps, [part], rescorer)
                offset = begin * scale
                characters += [replace(c, start=c.start + offset, end=c.end + offset) for c in found.characters]
            begin, waiting = begin + cut, [held[cut:]]
        return characters

    def _rescorer(self, y: Tensor, steps: Tensor) -> Rescorer | None:
        """Return the transducer, if there is one, as a judge of readings of y (batch, steps, encoder_size)."""
        transducer = self.network.transducer
        if transducer is None:
            return None
        return lambda row, readings: transducer.log_probabilities(y[row, : int(steps[row])], readings)

    @torch.inference_mode()
    def _logits(self, sample: Sample) -> Iterator[Tensor]:
        """Yield the logits (steps, symbols) of a measured sample, in parts if it is long."""
        if not self._is_long(sample):
            x = self.domain.load(sample).unsqueeze(0).to(self._device)
            yield self.network(x, torch.tensor([x.shape[1]], device=self._device))[0][0]
            return
        for y in self._encoded(sample):
            yield self.network.head(y)

    @torch.inference_mode()
    def _encoded(self, sample: Sample) -> Iterator[Tensor]:
        """Yield the encoded steps (steps, output_size) of a long sample, block by block."""
        state = streaming.init_state(self.network)
        for block in self.domain.load_blocks(sample):
            y, state = streaming.step(self.network, block, state)
            yield y
        yield streaming.finish(self.network, state)

    @property
    def _scale(self) -> int:
        """How many steps of the input make one of the network."""
        return int(self.network.frontend.stride * self.network.encoder.geometry()[0])  # type: ignore[operator]

    @property
    def _device(self) -> torch.device:
        return next(self.network.parameters()).device

    def _reader(self, decoder: str | None, n_best: int = 1, hot_words: Sequence[str] = ()) -> Reader:
        decoder = decoder or self.config["decoder"]["name"]
        if decoder == "transducer" and self.network.transducer is None:
            raise UserError(f"{self.name} has no transducer; choose greedy or beam")
        model = self.language_model
        return reader(self.config, self.vocabulary, decoder, language_model=model, n_best=n_best, hot_words=hot_words)


def _failure(sample: Sample, error: Exception) -> Failure:
    return Failure(sample, cause(error, sample.id), error)


def _spans(found: Found) -> list[Span]:
    return [Span(symbol, step, step + 1, score) for symbol, step, score in found]


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


def _quiet_place(logits: Tensor) -> int:
    """Return the middle of the longest run of blanks in the second half of logits (steps, symbols)."""
    half = len(logits) // 2
    best, length, run = len(logits), 0, 0
    for step, symbol in enumerate(logits[half:].argmax(dim=1).tolist(), start=half):
        run = run + 1 if symbol == BLANK else 0
        if run > length:
            best, length = step + 1 - run // 2, run
    return best
