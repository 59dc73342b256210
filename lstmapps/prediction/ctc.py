"""Predicting with a CTC network: text, places of characters and words, and how sure they are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from statistics import median

import torch
from torch import Tensor

from lstmapps.confidence import Calibration
from lstmapps.ctc import Hypothesis, LanguageModel, Rescorer, Span, beam_search, ctc_loss, forced_align
from lstmapps.data import Domain, Inputs, Sample
from lstmapps.errors import UserError
from lstmapps.language_model import CharacterFusion, HotWords, Together, WordFusion
from lstmapps.nn import CTCNetwork
from lstmapps.package import Package
from lstmapps.prediction.blocks import encoded
from lstmapps.prediction.decoding import Decoding
from lstmapps.prediction.results import Piece, Prediction, prediction_of
from lstmapps.text import Normalisation, Vocabulary

_REACH = 12.0  # steps from its middle that a character goes at most, for those that stand in pauses
_ALIGNED = 10**9  # steps times symbols that an alignment may fill


@dataclass(frozen=True)
class CTCPredictor:
    """Reads by one of the network's heads, or by the beam search over its logits.

    decoder: the name of a head, or "beam". language_model: what takes part in the beam search.
    """

    network: CTCNetwork
    vocabulary: Vocabulary
    calibration: Calibration
    decoder: str
    beam: int = 16
    n_best: int = 1
    language_model: LanguageModel | None = None

    @classmethod
    def of(cls, package: Package, network: CTCNetwork, asked: Decoding) -> CTCPredictor:
        """Return the predictor of a package, by its own decoder unless told otherwise or more is asked for.

        Raises UserError if the network has no such decoder, or cannot do what is asked.
        """
        settings, vocabulary, name = package.config["decoder"], package.vocabulary, package.config["name"]
        if any((asked.search, asked.must, asked.must_not, asked.prefix, asked.shortlist, asked.ensemble)):
            raise UserError(f"{name} reads by CTC, which has no such search; leave its settings out")
        n_best, hot_words = asked.n_best, asked.hot_words
        decoder = asked.decoder or ("beam" if n_best > 1 or hot_words else settings["name"])
        calibration = Calibration(*package.config.get("confidence", {}).get("character", (1.0, 0.0)))
        if decoder in network.heads:
            return cls(network, vocabulary, calibration, decoder)
        if decoder != "beam":
            raise UserError(f"{name} has no {decoder}; choose {', '.join(network.heads)} or beam")
        models: list[LanguageModel] = []
        if vocabulary.is_subword and hot_words:
            raise UserError(f"{name} writes pieces of words, which hot words cannot favour; leave them out")
        if package.language_model is not None:
            use = settings["language_model"]
            fusion = CharacterFusion if use["units"] == "characters" else WordFusion
            models.append(fusion(package.language_model.model, vocabulary, use["weight"], use["bonus"]))
        if hot_words:
            normalisation = Normalisation(**package.config["normalisation"])
            models.append(HotWords([vocabulary.written(normalisation(word)) for word in hot_words], vocabulary))
        together = Together(models) if models else None
        return cls(network, vocabulary, calibration, "beam", int(settings["beam"]), n_best, together)

    def predict(self, x: Tensor, lengths: Tensor, samples: Sequence[Sample]) -> list[Prediction]:
        """Return what raw inputs x (batch, time, features) of measured samples say."""
        return self.read(*self.network.encode(x, lengths), samples)

    def read(self, y: Tensor, steps: Tensor, samples: Sequence[Sample], *, within: bool = False) -> list[Prediction]:
        """Return what encoded steps y (batch, steps, encoder_size) of measured samples say.

        within: what is read goes on after other text, and may begin with the space between them.
        """
        if self.decoder != "beam":
            spans, _ = self.network.heads[self.decoder].greedy(y, steps)
            return self._readings(spans, steps, samples, within=within)
        logits, beam = self.network.head(y), max(self.beam, self.n_best)
        found = beam_search(
            logits, steps, beam, self.n_best, language_model=self.language_model, rescorer=self._rescorer(y, steps)
        )
        spans = _align(logits, steps, [list(hypotheses[0].symbols) for hypotheses in found])
        return self._readings(spans, steps, samples, [hypotheses[1:] for hypotheses in found], within=within)

    def _rescorer(self, y: Tensor, steps: Tensor) -> Rescorer | None:
        """Return the transducer, if there is one, as a judge of readings of y (batch, steps, encoder_size)."""
        transducer = self.network.transducer
        if transducer is None:
            return None
        return lambda row, readings: transducer.log_probabilities(y[row, : int(steps[row])], readings)

    @torch.inference_mode()
    def posteriors(self, sample: Sample, domain: Domain) -> list[list[float]]:
        """Return the probability of each symbol at each of the network's steps over a measured sample."""
        y = encoded(self.network, domain, sample)
        probabilities: list[list[float]] = self.network.head(y).float().softmax(dim=1).tolist()
        return probabilities

    def known(self, x: Tensor, lengths: Tensor, samples: Sequence[Sample]) -> list[Prediction]:
        """Return where and how surely each character of known texts was seen, and the log-probability of each text."""
        y, steps = self.network.encode(x, lengths)
        return [self._known(row[:count], sample) for row, count, sample in zip(y, steps, samples, strict=True)]

    @torch.inference_mode()
    def align(self, sample: Sample, inputs: Inputs) -> Prediction:
        """Return what `known` gives for one measured sample; a long one is loaded in blocks.

        Raises UserError if the input is too short for the text, or too long to be aligned.
        """
        return self._known(encoded(self.network, inputs.domain, sample), sample)

    def _known(self, y: Tensor, sample: Sample) -> Prediction:
        """Return where the text of a sample was seen in its encoded steps y (steps, encoder_size)."""
        symbols = self.vocabulary.encode(sample.text or "")
        if len(y) * len(symbols) > _ALIGNED:
            raise UserError(f"{sample.id} is too long to be aligned at once; cut it into parts of some minutes")
        steps = torch.tensor([len(y)], device=y.device)
        logits = self.network.head(y).unsqueeze(0)
        try:
            spans = _align(logits, steps, [symbols])
        except ValueError:
            raise UserError(f"{sample.id} is too short for its text; check that they belong together") from None
        (aligned,) = self._readings(spans, steps, [sample])
        targets = torch.tensor([symbols], device=y.device)
        loss = ctc_loss(logits, steps, targets, torch.tensor([len(symbols)], device=y.device))
        return replace(aligned, score=-float(loss[0]))

    def _readings(
        self,
        spans: Sequence[Sequence[Span]],
        steps: Tensor,
        samples: Sequence[Sample],
        others: Sequence[Sequence[Hypothesis]] | None = None,
        *,
        within: bool = False,
    ) -> list[Prediction]:
        """Return the predictions that spans of symbols make up, and other readings of each sample."""
        predictions = []
        counts = steps.tolist()
        for i, (sample, found) in enumerate(zip(samples, spans, strict=True)):
            size = sample.size or 1
            characters = self._as_read(self.pieces(found, size / max(1, counts[i]), size, within=within))
            more = others[i] if others else []
            alternatives = [(self.vocabulary.decode(h.symbols), h.score) for h in more]
            predictions.append(prediction_of(sample, characters, alternatives))
        return predictions

    def _as_read(self, characters: list[Piece]) -> list[Piece]:
        """Return characters, one to a piece, in the order in which they are read."""
        text, places = self.vocabulary.read("".join(piece.text for piece in characters))
        return [replace(characters[place], text=character) for character, place in zip(text, places, strict=True)]

    def pieces(
        self, spans: Sequence[Span], scale: float, size: float, offset: float = 0.0, *, within: bool = False
    ) -> list[Piece]:
        """Turn spans of symbols in steps of the network into characters in steps of the input, `scale` to one.

        CTC puts a symbol on a step or two near its middle; a character reaches half-way to its neighbours,
        but no further than half their median distance, or `_REACH` steps, and stays within `size`.
        `offset` is added. within: see `read`.
        """
        centres = [(span.start + span.end) / 2 for span in spans]
        reach = min(0.5 * median(b - a for a, b in pairwise(centres)), _REACH) if len(centres) > 1 else 1.0
        pieces = []
        for i, span in enumerate(spans):
            left, right = min(span.start, centres[i] - reach), max(span.end, centres[i] + reach)
            if i > 0:
                left = max(left, (spans[i - 1].end + span.start) / 2)
            if i + 1 < len(spans):
                right = min(right, (span.end + spans[i + 1].start) / 2)
            start, end = max(0.0, left * scale), min(size, right * scale)
            text, confidence = self.vocabulary.text_of(span.symbol), self.calibration(span.score)
            each = (end - start) / len(text)  # what is written together shares its time
            for place, character in enumerate(text):
                begin = offset + start + place * each
                pieces.append(Piece(character, begin, begin + each, confidence))
        if self.vocabulary.is_subword and not within and pieces and pieces[0].text == " ":
            return pieces[1:]  # the mark that begins the first word
        return pieces


def _align(logits: Tensor, steps: Tensor, texts: Sequence[Sequence[int]]) -> list[list[Span]]:
    """Return where the symbols of known texts were seen; raises ValueError if a row is too short for its text."""
    targets = [torch.tensor(text, dtype=torch.long) for text in texts]
    padded = torch.nn.utils.rnn.pad_sequence(targets, batch_first=True).to(logits.device)
    target_lengths = torch.tensor([len(target) for target in targets], device=logits.device)
    return forced_align(logits, steps, padded, target_lengths)
