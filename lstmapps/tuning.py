"""Giving a model a language model, its share in the search chosen on held-out samples."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from lstmapps.data import Sample
from lstmapps.errors import UserError
from lstmapps.evaluation import Evaluation, Watch, evaluate, record
from lstmapps.language_model import ArpaFile, character_tokens, estimate, write_arpa
from lstmapps.model import Model
from lstmapps.package import LANGUAGE_MODEL
from lstmapps.text import Vocabulary

Units = Literal["characters", "words"]
ORDERS: dict[Units, int] = {"characters": 6, "words": 3}
"""How far a language model looks, unless told otherwise."""

_RATIO = 1.5  # between neighbouring weights
_STEP = 0.5  # between neighbouring bonuses
_START = (0.4, 1.0)


@dataclass(frozen=True)
class Tuned:
    """Scores on the same held-out samples: greedily, and by the search with the language model."""

    model: Model
    before: Evaluation
    after: Evaluation
    weight: float
    bonus: float


def tune(
    model: Model,
    texts: Sequence[str],
    held_out: Sequence[Sample],
    *,
    units: Units = "characters",
    order: int | None = None,
    report: Callable[[str], None] = lambda line: None,
    watch: Watch | None = None,
) -> Tuned:
    """Learn a language model from texts, and the weights of the beam search with it, into `model`.

    Weight and bonus (see `lstmapps.language_model.fusion`) go from neighbour to neighbour while the held-out
    error rate falls: of characters for a model of characters, of words for one of words.
    report: takes a line about each setting tried; watch: see `evaluate`. Raises UserError, and leaves the model as
    it was, if greedy reading is not beaten.
    """
    if model.network.kind != "ctc":
        raise UserError(f"{model.name} writes by a decoder, which is a language model itself; there is none to add")
    if units == "words" and model.vocabulary.is_subword:
        raise UserError(f"{model.name} writes pieces of words; count them, with --units characters")
    cut = _cut(model.vocabulary, units)
    own = model.config["decoder"], model.package.language_model
    before = evaluate(model, held_out, "greedy", watch)
    if not before.cases:
        reason = before.failures[0].reason if before.failures else "there is none; check `data.validation`"
        raise UserError(f"none of the {len(held_out)} held-out samples could be read: {reason}")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / LANGUAGE_MODEL
        write_arpa(estimate([cut(text) for text in map(model.vocabulary.written, texts)], order or ORDERS[units]), path)
        model.package.language_model = ArpaFile(path.read_bytes(), path)
    metric = "wer" if units == "words" and "wer" in before.scores else before.first.score.name
    tried: dict[tuple[int, int], Evaluation] = {}

    def settings(place: tuple[int, int]) -> tuple[float, float]:
        return round(_START[0] * _RATIO ** place[0], 3), _START[1] + _STEP * place[1]

    def score(place: tuple[int, int]) -> float:
        if place not in tried:
            weight, bonus = settings(place)
            use = {"units": units, "weight": weight, "bonus": bonus}
            model.config["decoder"] = {**own[0], "language_model": use}
            tried[place] = evaluate(model, held_out, "beam", watch)
            report(f"weight {weight}, bonus {bonus}: {tried[place].scores[metric]}")
        return tried[place].scores[metric].value

    best = (0, 0)
    while True:
        x, y = best
        nearest = min([best, (x, y + 1), (x, y - 1), (x + 1, y), (x - 1, y)], key=score)
        if nearest == best:
            break
        best = nearest
    weight, bonus = settings(best)
    after = tried[best]
    if after.scores[metric].value >= before.scores[metric].value:
        model.config["decoder"], model.package.language_model = own
        raise UserError(
            f"{model.name} reads no better with this language model "
            f"({after.scores[metric]}, {before.scores[metric]} without it); give more texts with --text"
        )
    model.config["decoder"] = {**own[0], "language_model": {"units": units, "weight": weight, "bonus": bonus}}
    record(model, "validation", after, "beam")
    return Tuned(model, before, after, weight, bonus)


def _cut(vocabulary: Vocabulary, units: Units) -> Callable[[str], list[str]]:
    """Return what cuts a text into what is counted: words, or the symbols that the model writes."""
    if units == "words":
        return str.split
    if not vocabulary.is_subword:
        return character_tokens
    return lambda text: [vocabulary.symbols[index - 1] for index in vocabulary.encode(vocabulary.read(text)[0])]
