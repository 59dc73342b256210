"""A trained model: loaded by name or path, predicting, saved again."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor

from lstmapps import package as packages
from lstmapps.confidence import Calibration
from lstmapps.ctc import Hypothesis, LanguageModel, Span, beam_search, forced_align, greedy_spans
from lstmapps.data.samples import Sample, pad
from lstmapps.errors import UserError
from lstmapps.language_model import CharacterFusion, HotWords, Together, WordFusion, parse_arpa
from lstmapps.nn import CTCNetwork
from lstmapps.package import Package
from lstmapps.plugins import Domain, find
from lstmapps.predictions import Failure, Piece, Prediction, words_of
from lstmapps.text import BLANK, Normalisation, Vocabulary

Decoder = Literal["greedy", "beam"]
_Decode = Callable[[Tensor, Tensor], list[tuple[list[Span], list[Hypothesis]]]]
_HUB = "hf://"
_WINDOW = 512  # inputs that are sorted by length together before they are batched
_BATCH_STEPS = 16_000  # padded input steps of a batch


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
    language_model: bytes | None = None

    @classmethod
    def load(cls, name: str | Path, device: str | None = None) -> Model:
        """Load a package from a folder, by the name `domain/name` that a plugin ships, or from `hf://owner/name`.

        device: where it runs; by default a GPU if there is one. Raises UserError.
        """
        folder = package_folder(name)
        package = packages.read(folder)
        network = packages.construct(package.config["network"])
        packages.load_weights(network, package.weights, folder)
        network.eval().to(device or ("cuda" if torch.cuda.is_available() else "cpu"))
        domain = packages.construct(package.config["domain"])
        return cls(package.config, network, package.vocabulary, domain, package.results, package.language_model)

    @property
    def name(self) -> str:
        return str(self.config["name"])

    @property
    def normalisation(self) -> Normalisation:
        return Normalisation(**self.config["normalisation"])

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
        decoder = decoder or ("beam" if n_best > 1 or hot_words else self.config["decoder"]["name"])
        decode = _greedy if decoder == "greedy" else self._search(n_best, hot_words)
        samples = self._samples(inputs)
        with ExitStack() as stack:
            # Threads that have run torch slow the network on a CPU, even while they wait; measured by `make bench`.
            on_cpu = next(self.network.parameters()).device.type == "cpu"
            each = map if on_cpu else stack.enter_context(ThreadPoolExecutor(os.cpu_count())).map
            while window := list(islice(samples, _WINDOW)):
                loaded = list(each(self._load, window))
                results: list[Prediction | Failure | None] = [x if isinstance(x, Failure) else None for x in loaded]
                ready = [i for i, x in enumerate(loaded) if not isinstance(x, Failure)]
                ready.sort(key=lambda i: len(loaded[i][1]))  # type: ignore[index]
                for batch in _batches([(i, len(loaded[i][1])) for i in ready]):  # type: ignore[index]
                    pairs: Any = [loaded[i] for i in batch]
                    for i, prediction in zip(batch, self._read_batch(pairs, decode), strict=True):
                        results[i] = prediction
                yield from (result for result in results if result is not None)

    @torch.inference_mode()
    def posteriors(self, sample: Sample) -> tuple[list[list[float]], int]:
        """Return the probability of each symbol at each of the network's steps, and the input's size."""
        x = self.domain.load(self.domain.measure(sample))
        device = next(self.network.parameters()).device
        logits, _ = self.network(x.unsqueeze(0).to(device), torch.tensor([len(x)], device=device))
        probabilities: list[list[float]] = logits[0].float().softmax(dim=1).tolist()
        return probabilities, len(x)

    def _samples(self, inputs: Iterable[str | Sample]) -> Iterator[Sample | Failure]:
        for item in inputs:
            if isinstance(item, Sample):
                yield item
                continue
            try:
                yield from self.domain.read(item)
            except UserError as error:
                yield Failure(Sample(item, item), str(error))

    def _load(self, sample: Sample | Failure) -> tuple[Sample, Tensor] | Failure:
        if isinstance(sample, Failure):
            return sample
        try:
            sample = self.domain.measure(sample)
            x = self.domain.load(sample)
        except UserError as error:
            return Failure(sample, str(error))
        return replace(sample, size=len(x)), x

    @torch.inference_mode()
    def _read_batch(self, items: list[tuple[Sample, Tensor]], decode: _Decode) -> list[Prediction]:
        device = next(self.network.parameters()).device
        x, lengths = pad([tensor for _, tensor in items])
        logits, steps = self.network(x.to(device), lengths.to(device))
        readings = decode(logits, steps)
        calibration = Calibration(*self.config.get("confidence", {}).get("character", (1.0, 0.0)))
        predictions = []
        for (sample, tensor), (spans, others), count in zip(items, readings, steps.tolist(), strict=True):
            characters = self._pieces(spans, count, len(tensor), calibration)
            confidence = sum(piece.confidence for piece in characters) / max(1, len(characters))
            text = "".join(piece.text for piece in characters)
            alternatives = [(self.vocabulary.decode(h.symbols), h.score) for h in others]
            predictions.append(Prediction(sample, text, confidence, characters, words_of(characters), alternatives))
        return predictions

    def _search(self, n_best: int, hot_words: Sequence[str]) -> _Decode:
        """Return the beam search with the package's language model and the words that are expected."""
        decoder = self.config["decoder"]
        models: list[LanguageModel] = []
        if self.language_model is not None:
            model = parse_arpa(self.language_model, Path(packages.LANGUAGE_MODEL))
            use = decoder["language_model"]
            fusion = CharacterFusion if use["units"] == "characters" else WordFusion
            models.append(fusion(model, self.vocabulary, use["weight"], use["bonus"]))
        if hot_words:
            models.append(HotWords([self.normalisation(word) for word in hot_words], self.vocabulary))
        return partial(_beam, max(int(decoder["beam"]), n_best), n_best, Together(models) if models else None)

    def _pieces(self, spans: list[Span], steps: int, size: int, calibration: Calibration) -> list[Piece]:
        """Turn spans in steps of the network into characters with extents in steps of the input.

        CTC puts a symbol on a step or two near its middle; a character reaches half-way to its neighbours,
        but no further than the usual distance between them.
        """
        scale = size / max(1, steps)
        centres = [(span.start + span.end) / 2 for span in spans]
        reach = 0.5 * (centres[-1] - centres[0]) / (len(centres) - 1) if len(centres) > 1 else 1.0
        pieces = []
        for i, span in enumerate(spans):
            left, right = min(span.start, centres[i] - reach), max(span.end, centres[i] + reach)
            if i > 0:
                left = max(left, (spans[i - 1].end + span.start) / 2)
            if i + 1 < len(spans):
                right = min(right, (span.end + spans[i + 1].start) / 2)
            start, end = max(0.0, left * scale), min(float(size), right * scale)
            symbol = self.vocabulary.symbols[span.symbol - 1]
            pieces.append(Piece(symbol, start, end, calibration(span.score)))
        return pieces


def _greedy(logits: Tensor, steps: Tensor) -> list[tuple[list[Span], list[Hypothesis]]]:
    return [(spans, []) for spans in greedy_spans(logits, steps, BLANK)]


def _beam(
    beam: int, n_best: int, language_model: LanguageModel | None, logits: Tensor, steps: Tensor
) -> list[tuple[list[Span], list[Hypothesis]]]:
    """Return the spans of each row's best reading, and its other readings."""
    found = beam_search(logits, steps, beam, n_best, BLANK, language_model)
    best = [torch.tensor(hypotheses[0].symbols, dtype=torch.long) for hypotheses in found]
    targets = torch.nn.utils.rnn.pad_sequence(best, batch_first=True).to(logits.device)
    target_lengths = torch.tensor([len(b) for b in best], device=logits.device)
    spans = forced_align(logits, steps, targets, target_lengths, BLANK)
    return [(s, hypotheses[1:]) for s, hypotheses in zip(spans, found, strict=True)]


def package_folder(name: str | Path) -> Path:
    """Return the folder of a model given by its path, its name, or its address on a model hub."""
    if str(name).startswith(_HUB):
        return _fetched(str(name))
    path = Path(name).expanduser()
    if path.is_dir() or isinstance(name, Path) or str(name).startswith((".", "/", "~")):
        return path
    return find("model", str(name))


def _fetched(address: str) -> Path:
    """Fetch `hf://owner/name` or `hf://owner/name@revision`, or what has changed of it; return its folder."""
    try:
        from huggingface_hub import snapshot_download
    except ImportError:
        raise UserError(f"{address} lies on a model hub; to reach it, pip install 'lstmapps[hub]'") from None
    repository, _, revision = address.removeprefix(_HUB).partition("@")
    try:
        return Path(snapshot_download(repository, revision=revision or None, allow_patterns=list(packages.FILES)))
    except (OSError, ValueError) as error:
        reason = str(error).strip().split("\n")[0]
        raise UserError(f"{address} could not be fetched ({reason}); check the name and the connection") from None


def _batches(sizes: list[tuple[int, int]]) -> Iterator[list[int]]:
    """Cut `(index, size)`, sorted by size, into batches of at most `_BATCH_STEPS` padded steps."""
    batch: list[int] = []
    for index, size in sizes:
        if batch and size * (len(batch) + 1) > _BATCH_STEPS:
            yield batch
            batch = []
        batch.append(index)
    if batch:
        yield batch
