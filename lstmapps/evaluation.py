"""Scoring a model on samples whose texts are known, and calibrating its confidence."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from rapidfuzz.distance import Levenshtein

from lstmapps import streaming
from lstmapps.confidence import calibration_error, characters_right, fit_calibration
from lstmapps.data.samples import Sample, group_of
from lstmapps.model import Decoder, Model
from lstmapps.predictions import Failure, Prediction
from lstmapps.text import ErrorRate, error_rate

Watch = Callable[[Iterable[Any], int], Iterable[Any]]
"""What hands items on and may show that they come, given how many there are."""


@dataclass(frozen=True)
class Case:
    """What should have been read, and what was; both normalised."""

    reference: str
    hypothesis: str
    prediction: Prediction

    @property
    def errors(self) -> int:
        return int(Levenshtein.distance(self.reference, self.hypothesis))


@dataclass(frozen=True)
class Evaluation:
    """The cases of one part, its scores (`cer`, `wer`), and the inputs that could not be read."""

    cases: list[Case]
    scores: dict[str, ErrorRate]
    failures: list[Failure]

    def metrics(self) -> dict[str, dict[str, float]]:
        """Return the scores as they stand in results.json, in percent."""
        return {
            name: {"value": round(rate.value, 3), "low": round(rate.low, 3), "high": round(rate.high, 3)}
            for name, rate in self.scores.items()
        }

    def by_group(self, pattern: str) -> dict[str, dict[str, ErrorRate]]:
        """Return the scores of each group of samples, a group being what the pattern finds in their ids."""
        groups: dict[str, list[Case]] = {}
        for case in self.cases:
            groups.setdefault(group_of(case.prediction.sample.id, pattern), []).append(case)
        return {name: _scores(cases) for name, cases in groups.items()}

    def confusions(self) -> Counter[tuple[str, str]]:
        """Count `(reference character, what stands instead)`; one side is empty for a deletion or insertion."""
        counts: Counter[tuple[str, str]] = Counter()
        for case in self.cases:
            for operation in Levenshtein.editops(case.reference, case.hypothesis):
                old = case.reference[operation.src_pos] if operation.tag != "insert" else ""
                new = case.hypothesis[operation.dest_pos] if operation.tag != "delete" else ""
                counts[old, new] += 1
        return counts


def evaluate(
    model: Model, samples: Sequence[Sample], decoder: Decoder | None = None, watch: Watch | None = None
) -> Evaluation:
    """Read samples that carry normalised texts, and score the readings; `watch` may show how far it has come."""
    cases: list[Case] = []
    failures: list[Failure] = []
    references = iter(samples)
    results: Iterable[Prediction | Failure] = model.predict(samples, decoder=decoder)
    for result in watch(results, len(samples)) if watch else results:
        reference = next(references).text or ""
        if isinstance(result, Failure):
            failures.append(result)
        else:
            cases.append(Case(reference, model.normalisation(result.text), result))
    return Evaluation(cases, _scores(cases) if cases else {}, failures)


def _scores(cases: Sequence[Case]) -> dict[str, ErrorRate]:
    pairs = [case.reference for case in cases], [case.hypothesis for case in cases]
    return {"cer": error_rate(*pairs), "wer": error_rate(*pairs, unit="word")}


@torch.inference_mode()
def stream_difference(model: Model, sample: Sample, pieces: int = 20) -> tuple[bool, float]:
    """Tell whether an input taken in `pieces` is read as the whole is, and how far posteriors differ at most."""
    sample = model.domain.measure(sample)
    x = model.domain.load(sample)
    state = model.init_state()
    network = streaming.init_state(model.network)
    text, encoded = "", []
    for chunk in x.tensor_split(pieces):
        heard, state = model.step(chunk, state, tentative=False)
        more, network = streaming.step(model.network, chunk, network)
        text += heard.stable
        encoded.append(more)
    text += model.finish(state).stable
    encoded.append(streaming.finish(model.network, network))
    streamed = model.network.head(torch.cat(encoded)).softmax(dim=1)
    whole, _ = model.posteriors(sample)
    (offline,) = model.predict([sample], decoder="greedy" if model.network.transducer is None else "transducer")
    same = isinstance(offline, Prediction) and offline.text == text
    return same, float((streamed - torch.tensor(whole).to(streamed)).abs().max())


def conclude(package: Path, held_out: Sequence[Sample]) -> tuple[Model, Evaluation]:
    """Calibrate the package of a finished training on held-out samples, and write its scores there into it."""
    model = Model.load(package)
    calibrate(model, held_out)
    evaluation = evaluate(model, held_out)
    record(model, "validation", evaluation)
    model.save(package)
    return model, evaluation


def calibrate(model: Model, samples: Sequence[Sample]) -> None:
    """Fit the model's character confidence to how often it is right on held-out samples."""
    model.config["confidence"] = {}
    probabilities, right = _outcomes(evaluate(model, samples))
    if not probabilities:
        return
    calibration = fit_calibration(probabilities, right)
    model.config["confidence"] = {"character": [round(calibration.scale, 4), round(calibration.offset, 4)]}


def record(model: Model, part: str, evaluation: Evaluation, decoder: Decoder | None = None) -> None:
    """Write scores of a part into the model's results, with how often that part was looked at.

    Those of another decoder than the model's own stand apart, as in `test (beam)`.
    """
    if decoder not in (None, model.config["decoder"]["name"]):
        part = f"{part} ({decoder})"
    looked = int(model.results.get(part, {}).get("looked", 0)) + 1
    results: dict[str, Any] = {"samples": len(evaluation.cases), "metrics": evaluation.metrics()}
    error = calibration_error(*_outcomes(evaluation))
    model.results[part] = results | {"calibration_error": round(100 * error, 2), "looked": looked}


def _outcomes(evaluation: Evaluation) -> tuple[list[float], list[bool]]:
    """Return the confidence of every character read, and whether it was right."""
    probabilities: list[float] = []
    right: list[bool] = []
    for case in evaluation.cases:
        characters = case.prediction.characters
        probabilities += [character.confidence for character in characters]
        right += characters_right(case.reference, "".join(character.text for character in characters))
    return probabilities, right
