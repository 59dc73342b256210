"""Scoring a model on samples whose texts are known, and calibrating its confidence."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import Any

from rapidfuzz.distance import Levenshtein

from lstmapps.confidence import calibration_error, fit_calibration, pieces_right
from lstmapps.data.disturbances import Disturbance
from lstmapps.data.domain import Domain
from lstmapps.data.samples import Box, Sample, group_of
from lstmapps.model import Model
from lstmapps.prediction import Failure, Prediction
from lstmapps.scores import Measured, Score, measure

Watch = Callable[[Iterable[Any], int], Iterable[Any]]
"""What hands items on and may show that they come, given how many there are."""


_LENGTHS = (0, 5, 10, 15, 20)  # words
_FEWEST = 5  # cases of which a score is told


@dataclass(frozen=True, eq=False)
class Case:
    """What should have been read (each reference would be right), and what was; all normalised."""

    references: tuple[str, ...]
    hypothesis: str
    prediction: Prediction

    @property
    def reference(self) -> str:
        return self.references[0]


@dataclass(frozen=True)
class Evaluation:
    """The cases of one part, its scores by name, the one that decides first, and the inputs that could not be read."""

    cases: list[Case]
    scores: dict[str, Measured]
    failures: list[Failure]

    @property
    def first(self) -> Measured:
        """The score that decides."""
        return next(iter(self.scores.values()))

    def __str__(self) -> str:
        return ", ".join(map(str, self.scores.values()))

    def metrics(self) -> dict[str, dict[str, Any]]:
        """Return the scores as they stand in results.json."""
        return {name: measured.as_json() for name, measured in self.scores.items()}

    def by_group(self, pattern: str) -> dict[str, dict[str, Measured]]:
        """Return the scores of each group of samples, a group being what the pattern finds in their ids."""
        groups: dict[str, list[Case]] = {}
        for case in self.cases:
            groups.setdefault(group_of(case.prediction.sample.id, pattern), []).append(case)
        scores = [measured.score for measured in self.scores.values()]
        return {name: _measure(scores, cases) for name, cases in groups.items()}

    def by_length(self) -> dict[str, Measured]:
        """Return the score that decides, of texts of like length, by the words of their references; few are none."""
        lengths = {case: len(case.reference.split()) for case in self.cases}
        groups = {f"{low + 1} to {high} words": (low, high) for low, high in pairwise(_LENGTHS)}
        groups[f"more than {_LENGTHS[-1]} words"] = (_LENGTHS[-1], max(lengths.values(), default=0))
        found = {name: [c for c, n in lengths.items() if low < n <= high] for name, (low, high) in groups.items()}
        score = self.first.score
        return {name: _measure([score], some)[score.name] for name, some in found.items() if len(some) >= _FEWEST}

    def outcomes(self, *, of_words: bool = False) -> tuple[list[float], list[bool]]:
        """Return the confidence of every character read, or of every word, and whether it was right."""
        probabilities: list[float] = []
        right: list[bool] = []
        for case in self.cases:
            pieces = case.prediction.words if of_words else case.prediction.characters
            probabilities += [piece.confidence for piece in pieces]
            texts = [piece.text for piece in pieces]
            both = (case.reference.split(), texts) if of_words else (case.reference, "".join(texts))
            right += pieces_right(*both)
        return probabilities, right

    def calibration_error(self) -> float | None:
        """Return the expected calibration error of the confidence of characters, in percent, None without one."""
        probabilities, right = self.outcomes()
        return 100 * calibration_error(probabilities, right) if probabilities else None

    def confidence_of_words(self) -> dict[str, float]:
        """Return the median confidence of the words that are `right`, and of those that are `wrong`, in percent."""
        probabilities, right = self.outcomes(of_words=True)
        sides: dict[str, list[float]] = {"right": [], "wrong": []}
        for probability, is_right in zip(probabilities, right, strict=True):
            sides["right" if is_right else "wrong"].append(probability)
        return {side: 100 * median(each) for side, each in sides.items() if each}

    def pointing(self, domain: Domain) -> float | None:
        """Return which share of the attention of words lies where what they name is, None if no place is known.

        A cell of the grid belongs to a place if they touch.
        """
        shares = []
        for case in self.cases:
            attended = case.prediction.attended
            if attended is None or attended.grid is None:
                continue
            for box, weights in zip(
                domain.places(case.prediction.sample, attended.written), attended.weights, strict=True
            ):
                if box is not None:
                    shares.append(sum(weights[cell] for cell in _cells(box, attended.grid)))
        return sum(shares) / len(shares) if shares else None

    def confusions(self) -> Counter[tuple[str, str]]:
        """Count `(reference character, what stands instead)`; one side is empty for a deletion or insertion."""
        counts: Counter[tuple[str, str]] = Counter()
        for case in self.cases:
            for operation in Levenshtein.editops(case.reference, case.hypothesis):
                old = case.reference[operation.src_pos] if operation.tag != "insert" else ""
                new = case.hypothesis[operation.dest_pos] if operation.tag != "delete" else ""
                counts[old, new] += 1
        return counts


def _cells(box: Box, grid: tuple[int, int]) -> Iterator[int]:
    """Yield the cells of a grid, counted row by row, that a place touches."""
    rows, columns = grid
    left, top, right, bottom = box
    for row in range(rows):
        for column in range(columns):
            across = column < right * columns and left * columns < column + 1
            if across and row < bottom * rows and top * rows < row + 1:
                yield row * columns + column


def evaluate(
    model: Model, samples: Sequence[Sample], decoder: str | None = None, watch: Watch | None = None
) -> Evaluation:
    """Read samples that carry normalised texts, and score the readings; `watch` may show how far it has come."""
    cases: list[Case] = []
    failures: list[Failure] = []
    references = iter(samples)
    results: Iterable[Prediction | Failure] = model.predict(samples, decoder=decoder)
    for result in watch(results, len(samples)) if watch else results:
        sample = next(references)
        if isinstance(result, Failure):
            failures.append(result)
        else:
            cases.append(Case(sample.references or ("",), model.normalisation(result.text), result))
    return Evaluation(cases, _measure(model.scores, cases) if cases else {}, failures)


def _measure(scores: Sequence[Score], cases: Sequence[Case]) -> dict[str, Measured]:
    references, hypotheses = [case.references for case in cases], [case.hypothesis for case in cases]
    return {score.name: measure(score, references, hypotheses) for score in scores}


def conclude(package: Path, held_out: Sequence[Sample]) -> tuple[Model, Evaluation]:
    """Calibrate the package of a finished training on held-out samples, and write its scores there into it.

    What is calibrated is the confidence of characters, where the network has one, by how often they are right.
    """
    model = Model.load(package)
    model.config["confidence"] = {}
    evaluation = evaluate(model, held_out)
    probabilities, right = evaluation.outcomes()
    if probabilities:
        calibration = fit_calibration(probabilities, right)
        model.config["confidence"] = {"character": [round(calibration.scale, 4), round(calibration.offset, 4)]}
        evaluation = evaluate(model, held_out)
    record(model, "validation", evaluation)
    model.save(package)
    return model, evaluation


def record(
    model: Model,
    part: str,
    evaluation: Evaluation,
    decoder: str | None = None,
    disturbance: Disturbance | None = None,
) -> None:
    """Write scores of a part into the model's results, with how often that part was looked at.

    Those of another decoder than the model's own stand apart, as in `test (beam)`, and those of disturbed inputs, as in
    `test (white noise 20 dB)`, with the strength of what disturbs them.
    """
    if disturbance is not None:
        part = f"{part} ({disturbance})"
    if decoder not in (None, model.config["decoder"]["name"]):
        part = f"{part} ({decoder})"
    looked = int(model.results.get(part, {}).get("looked", 0)) + 1
    results: dict[str, Any] = {"samples": len(evaluation.cases), "metrics": evaluation.metrics()}
    if (error := evaluation.calibration_error()) is not None:
        results["calibration_error"] = round(error, 2)
    if disturbance is not None:
        results["strength"] = disturbance.strength
    model.results[part] = results | {"looked": looked}
