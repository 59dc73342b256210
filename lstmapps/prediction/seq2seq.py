"""Predicting with a network that writes by a decoder: texts, how sure they are, and what was looked at."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import Any
from zlib import crc32

import torch
from torch import Tensor

from lstmapps.data import Inputs, Sample
from lstmapps.errors import UserError, did_you_mean
from lstmapps.nn import Seq2SeqNetwork
from lstmapps.nn.shortlist import Shortlisted
from lstmapps.package import Package
from lstmapps.prediction.decoding import Decoding
from lstmapps.prediction.results import Attended, Piece, Prediction
from lstmapps.search import Constraints, Ensemble, Hypothesis, Search, search
from lstmapps.text import Normalisation, Vocabulary

_DECODERS: dict[str, dict[str, Any]] = {
    "greedy": {"beam": 1, "n_best": 1, "groups": 1, "sample": False},
    "beam": {"sample": False},
    "sample": {"sample": True},
}


@dataclass(frozen=True)
class Seq2SeqPredictor:
    """Searches the decoder's outputs.

    source_vocabulary: of inputs that are texts, so that words written can be told from what words they come.
    shortlist: see `Decoding`. others: networks of the same vocabularies that write together with the first.
    """

    network: Seq2SeqNetwork
    vocabulary: Vocabulary
    source_vocabulary: Vocabulary | None
    search: Search
    constraints: Constraints
    shortlist: bool = False
    others: Sequence[Seq2SeqNetwork] = ()

    @classmethod
    def of(cls, package: Package, network: Seq2SeqNetwork, asked: Decoding) -> Seq2SeqPredictor:
        """Return the predictor of a package, by its own settings unless told otherwise.

        Raises UserError for what cannot be searched for.
        """
        name = package.config["name"]
        if asked.hot_words:
            raise UserError(f"{name} has no hot words; name texts that must come instead")
        if asked.shortlist and network.shortlist is None:
            raise UserError(f"{name} was trained without a shortlist; leave it out")
        if not all(asked.must) or not all(asked.must_not):
            raise UserError("a text that must, or must not, come is empty; leave it out")
        phrases = _Phrases(package)
        constraints = Constraints(
            phrases(asked.prefix), [phrases(text) for text in asked.must], [phrases(text) for text in asked.must_not]
        )
        read = package.source_vocabulary or package.vocabulary
        wanted = _settings(package, asked)
        return cls(network, package.vocabulary, read, wanted, constraints, asked.shortlist, asked.ensemble)

    @torch.inference_mode()
    def predict(self, x: Tensor, lengths: Tensor, samples: Sequence[Sample]) -> list[Prediction]:
        """Return what raw inputs x (batch, time, features) of measured samples say.

        Nothing is said of one that is empty, or a text without any known symbol.
        """
        real = lengths > 0
        if self.source_vocabulary is not None and not x.is_floating_point():
            silent = torch.tensor(self.source_vocabulary.silent, device=x.device)
            real &= ~torch.isin(x[:, :, 0], silent).all(dim=1)
        there = real.nonzero().flatten()
        predictions = [Prediction(sample, "", 0.0) for sample in samples]
        if not len(there):
            return predictions
        some = [samples[row] for row in there.tolist()]
        seeds = [crc32(sample.id.encode("utf-8", "surrogatepass")) for sample in some]
        try:
            found = self._search(x[there], lengths[there], seeds)
        except ValueError as error:
            raise UserError(f"{some[0].id}: {error}") from None
        for row, sample, hypotheses, symbols in zip(there.tolist(), some, found, x[there], strict=True):
            if not hypotheses:
                raise UserError(f"{sample.id}: no text was found that keeps the constraints; take a wider beam")
            predictions[row] = self._prediction(sample, hypotheses, symbols[: int(lengths[row])])
        return predictions

    def _search(self, x: Tensor, lengths: Tensor, seeds: Sequence[int]) -> list[list[Hypothesis]]:
        """Search all symbols, or those of the shortlist that may stand for any of x."""
        asked, networks = self.constraints, [self.network, *self.others]
        encoded = [network.encode(x, lengths) for network in networks]
        memory, steps, never = [each for each, _ in encoded], encoded[0][1], self.vocabulary.never_written
        if not self.shortlist or self.network.shortlist is None:
            decoder = Ensemble([network.decoder for network in networks])
            return search(decoder, memory, steps, self.search, [asked] * len(seeds), seeds, never)
        phrases = [asked.prefix, *asked.must, *asked.must_not]
        also = torch.tensor([symbol for phrase in phrases for symbol in phrase], dtype=torch.long, device=x.device)
        symbols, allowed = self.network.shortlist.symbols(x[:, :, 0], also)
        places = {symbol: place for place, symbol in enumerate(symbols.tolist())}
        prefix, *others = (tuple(places[symbol] for symbol in phrase) for phrase in phrases)
        within = Constraints(prefix, others[: len(asked.must)], others[len(asked.must) :])
        shortlisted = Ensemble([Shortlisted(network.decoder, symbols, allowed) for network in networks])
        found = search(
            shortlisted,
            memory,
            steps,
            self.search,
            [within] * len(seeds),
            seeds,
            [places[each] for each in never if each in places],
        )
        return [
            [replace(each, symbols=tuple(symbols[list(each.symbols)].tolist())) for each in hypotheses]
            for hypotheses in found
        ]

    def known(self, x: Tensor, lengths: Tensor, samples: Sequence[Sample]) -> list[Prediction]:
        """Return what was looked at for each word of known texts, how probable it is, and the score of each text."""
        for sample, length in zip(samples, lengths.tolist(), strict=True):
            if not length:
                raise UserError(f"{sample.id} is empty; there is nothing that its text could be of")
        symbols = [torch.tensor([0, *self.vocabulary.encode(sample.text or "")], device=x.device) for sample in samples]
        before = torch.nn.utils.rnn.pad_sequence(symbols, batch_first=True)
        memory, steps = self.network.encode(x, lengths)
        vectors, attention = self.network.decoder(before, memory, steps)
        logs = self.network.decoder.output(vectors).float().log_softmax(dim=2)
        predictions = []
        for row, (sample, text) in enumerate(zip(samples, symbols, strict=True)):
            count = len(text)
            each = logs[row, :count].gather(1, text.roll(-1).unsqueeze(1)).squeeze(1).tolist()
            looked = attention[row, :count, : int(steps[row])]
            score = self.search.penalised(sum(each), count, self.search.left_out(looked))
            known = Hypothesis(tuple(text[1:].tolist()), score, tuple(each), looked)
            predictions.append(self._prediction(sample, [known], x[row, : int(lengths[row])]))
        return predictions

    @torch.inference_mode()
    def align(self, sample: Sample, inputs: Inputs) -> Prediction:
        """Return what `known` gives for one measured sample."""
        x = inputs.load(sample).unsqueeze(0).to(self.network.decoder.embedding.weight.device)
        (known,) = self.known(x, torch.tensor([x.shape[1]], device=x.device), [sample])
        return known

    def _prediction(self, sample: Sample, hypotheses: Sequence[Hypothesis], x: Tensor) -> Prediction:
        """Return the prediction of the best text; it is as sure as the mean of its symbols, in logarithms."""
        best, *others = hypotheses
        text = self.vocabulary.decode(best.symbols)
        words, places = _words([self.vocabulary.text_of(symbol) for symbol in best.symbols])
        confidences = [math.exp(sum(best.log_probabilities[i] for i in place)) for place in places]
        read, spans = self._read(x)
        grid = getattr(self.network.encoder, "grid", None) if self.network.decoder.attends else None
        attention = best.attention.flip(1) if getattr(self.network.frontend, "reverse", False) else best.attention
        weights = torch.stack([attention[place].mean(dim=0) for place in places]) if places else torch.zeros(0, 0)
        if spans and places:
            weights = torch.stack([weights[:, span].sum(dim=1) for span in spans], dim=1)
        pieces = []
        for word, confidence, row in zip(words, confidences, weights, strict=True):
            start, end = _extent(row, spans)
            scale = 1.0 if spans or grid else (sample.size or len(row)) / max(1, len(row))
            pieces.append(Piece(word, start * scale, end * scale, confidence))
        return Prediction(
            sample,
            text,
            math.exp(sum(best.log_probabilities) / len(best.log_probabilities)),
            words=pieces,
            alternatives=[(self.vocabulary.decode(other.symbols), other.score) for other in others],
            score=best.score,
            attended=Attended(read, words, weights.tolist(), grid),
        )

    def _read(self, x: Tensor) -> tuple[list[str], list[list[int]]]:
        """Return the words of an input that is a text, and the steps that each has; nothing of other inputs."""
        if self.source_vocabulary is None or x.is_floating_point():
            return [], []
        texts = [self.source_vocabulary.text_of(symbol) if symbol else "⁇" for symbol in x[:, 0].tolist()]
        return _words(texts)


def _settings(package: Package, asked: Decoding) -> Search:
    """Return how a decoder is searched: by the package's settings, those that its name stands for, those asked for."""
    own = dict(package.config["decoder"])
    usual = own.pop("name", "beam")
    decoder = asked.decoder or usual
    if decoder not in _DECODERS:
        raise UserError(f"{package.config['name']} has no {decoder}; choose {', '.join(_DECODERS)}")
    settings = dict(asked.search)
    if asked.n_best > 1:
        if decoder == "greedy":
            raise UserError("greedy reading gives one text; take the decoder beam, or sample, for more")
        settings["n_best"] = asked.n_best
        if decoder == "beam":
            settings.setdefault("beam", max(asked.n_best, own.get("beam", 1)))
    known = [field.name for field in fields(Search)]
    for setting in settings:
        if setting not in known:
            raise UserError(f"a search has no setting {setting!r}{did_you_mean(setting, known)}")
    try:
        return Search(**{**own, **_DECODERS[decoder], **settings})
    except (ValueError, TypeError) as error:
        raise UserError(f"this cannot be searched for: {error}") from None


class _Phrases:
    """Turns texts into symbols that are written."""

    def __init__(self, package: Package) -> None:
        self.vocabulary = package.vocabulary
        self.normalisation = Normalisation(**package.config["normalisation"])

    def __call__(self, text: str) -> tuple[int, ...]:
        normal = self.normalisation(text)
        if text and not normal:
            raise UserError(f"{text!r} is no text that could be asked for; leave it out")
        text = normal
        if unknown := self.vocabulary.unknown(text):
            raise UserError(f"{text!r} has symbols that the model does not write: {' '.join(map(repr, unknown))}")
        symbols = tuple(self.vocabulary.encode(text))
        if set(symbols) & set(self.vocabulary.never_written):
            raise UserError(f"{text!r} has a word that the model does not write; leave it out")
        return symbols


def _words(pieces: Sequence[str]) -> tuple[list[str], list[list[int]]]:
    """Join what pieces write into words; return them and the places of each one's pieces."""
    words: list[str] = []
    places: list[list[int]] = []
    for place, piece in enumerate(pieces):
        if not words or piece.startswith(" "):
            words.append("")
            places.append([])
        words[-1] += piece
        places[-1].append(place)
    return [word.strip() for word in words], places


def _extent(weights: Tensor, spans: Sequence[Sequence[int]]) -> tuple[float, float]:
    """Return the steps [start, end) of the input that weights point to most."""
    if not len(weights) or not float(weights.sum()):
        return 0.0, 0.0
    best = int(weights.argmax())
    return (float(spans[best][0]), float(spans[best][-1] + 1)) if spans else (float(best), float(best + 1))
