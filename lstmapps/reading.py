"""From a network's logits to readings: text, places of characters and words, and how sure they are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from statistics import median
from typing import Any

import torch
from torch import Tensor

from lstmapps.confidence import Calibration
from lstmapps.ctc import Hypothesis, LanguageModel, Rescorer, Span, beam_search, forced_align, greedy_spans
from lstmapps.data.samples import Sample
from lstmapps.errors import UserError
from lstmapps.language_model import ArpaFile, CharacterFusion, HotWords, Together, WordFusion
from lstmapps.predictions import Piece, Prediction, words_of
from lstmapps.text import BLANK, Normalisation, Vocabulary

_REACH = 12.0  # steps from its middle that a character goes at most, for those that stand in pauses


@dataclass(frozen=True)
class Reader:
    """Reads logits greedily or with the beam search, or takes what a transducer has found.

    within: what is read goes on after other text, and may begin with the space between them.
    """

    vocabulary: Vocabulary
    calibration: Calibration
    decoder: str = "greedy"
    beam: int = 16
    n_best: int = 1
    language_model: LanguageModel | None = None
    within: bool = False

    def read(
        self, logits: Tensor, steps: Tensor, samples: Sequence[Sample], rescorer: Rescorer | None = None
    ) -> list[Prediction]:
        """Return what logits (batch, steps, symbols) of measured samples say; a `rescorer` helps the beam search."""
        if self.decoder != "beam":
            return self.readings(greedy_spans(logits, steps, BLANK), steps, samples)
        beam = max(self.beam, self.n_best)
        found = beam_search(logits, steps, beam, self.n_best, BLANK, self.language_model, rescorer)
        spans = align(logits, steps, [list(hypotheses[0].symbols) for hypotheses in found])
        return self.readings(spans, steps, samples, [hypotheses[1:] for hypotheses in found])

    def readings(
        self,
        spans: Sequence[Sequence[Span]],
        steps: Tensor,
        samples: Sequence[Sample],
        others: Sequence[Sequence[Hypothesis]] | None = None,
    ) -> list[Prediction]:
        """Return the predictions that spans of symbols make up, and other readings of each sample."""
        predictions = []
        counts = steps.tolist()
        for i, (sample, found) in enumerate(zip(samples, spans, strict=True)):
            size = sample.size or 1
            characters = self._as_read(self.pieces(found, size / max(1, counts[i]), size))
            more = others[i] if others else []
            alternatives = [(self.vocabulary.decode(h.symbols), h.score) for h in more]
            predictions.append(prediction_of(sample, characters, alternatives))
        return predictions

    def _as_read(self, characters: list[Piece]) -> list[Piece]:
        """Return characters, one to a piece, in the order in which they are read."""
        text, places = self.vocabulary.read("".join(piece.text for piece in characters))
        return [replace(characters[place], text=character) for character, place in zip(text, places, strict=True)]

    def pieces(self, spans: Sequence[Span], scale: float, size: float, offset: float = 0.0) -> list[Piece]:
        """Turn spans of symbols in steps of the network into characters in steps of the input, `scale` to one.

        CTC puts a symbol on a step or two near its middle; a character reaches half-way to its neighbours,
        but no further than half their median distance, or `_REACH` steps, and stays within `size`.
        `offset` is added.
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
        if self.vocabulary.scores is not None and not self.within and pieces and pieces[0].text == " ":
            return pieces[1:]  # the mark that begins the first word
        return pieces


def align(logits: Tensor, steps: Tensor, texts: Sequence[Sequence[int]]) -> list[list[Span]]:
    """Return where the symbols of known texts were seen; raises ValueError if a row is too short for its text."""
    targets = [torch.tensor(text, dtype=torch.long) for text in texts]
    padded = torch.nn.utils.rnn.pad_sequence(targets, batch_first=True).to(logits.device)
    target_lengths = torch.tensor([len(target) for target in targets], device=logits.device)
    return forced_align(logits, steps, padded, target_lengths, BLANK)


def prediction_of(
    sample: Sample, characters: list[Piece], alternatives: Sequence[tuple[str, float]] = ()
) -> Prediction:
    """Return the prediction that characters make up; it is as sure as they are on average."""
    text = "".join(piece.text for piece in characters)
    confidence = sum(piece.confidence for piece in characters) / max(1, len(characters))
    return Prediction(sample, text, confidence, characters, words_of(characters), list(alternatives))


def reader(
    config: dict[str, Any],
    vocabulary: Vocabulary,
    decoder: str,
    *,
    language_model: ArpaFile | None = None,
    n_best: int = 1,
    hot_words: Sequence[str] = (),
) -> Reader:
    """Return the reader of a package: its calibration, and for the beam search its language model and hot words."""
    calibration = Calibration(*config.get("confidence", {}).get("character", (1.0, 0.0)))
    if decoder != "beam":
        return Reader(vocabulary, calibration, decoder)
    settings = config["decoder"]
    models: list[LanguageModel] = []
    if vocabulary.scores is not None and hot_words:
        raise UserError(f"{config['name']} writes pieces of words, which hot words cannot favour; leave them out")
    if language_model is not None:
        use = settings["language_model"]
        fusion = CharacterFusion if use["units"] == "characters" else WordFusion
        models.append(fusion(language_model.model, vocabulary, use["weight"], use["bonus"]))
    if hot_words:
        normalisation = Normalisation(**config["normalisation"])
        models.append(HotWords([vocabulary.written(normalisation(word)) for word in hot_words], vocabulary))
    return Reader(vocabulary, calibration, "beam", int(settings["beam"]), n_best, Together(models) if models else None)
