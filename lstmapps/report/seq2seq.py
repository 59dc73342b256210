"""What a report shows of a network that writes by a decoder: attention, score by length, confidence, vocabulary."""

from __future__ import annotations

from collections.abc import Sequence

from lstmapps.evaluation import Case, Evaluation
from lstmapps.model import Model
from lstmapps.prediction import Attended
from lstmapps.report.drawings import attention, curves, looked
from lstmapps.report.section import Section
from lstmapps.scores import Score, measure

_DRAWN = 4
_FEWEST = 5  # cases of which a score is told
_BINS = 5


def sections(model: Model, evaluation: Evaluation) -> list[Section]:
    """Return the sections in the order in which they stand."""
    first = evaluation.first.score
    return [
        _attention(model, evaluation),
        _by_length(evaluation),
        _by_confidence(first, evaluation.cases),
        _coverage(model, evaluation.cases),
    ]


def _attention(model: Model, evaluation: Evaluation) -> Section:
    """Draw a few samples, taken evenly from all."""
    drawable = [case for case in evaluation.cases if _drawable(case.prediction.attended)]
    step = max(1, len(drawable) // _DRAWN)
    drawings = {}
    for number, case in enumerate(drawable[::step][:_DRAWN], start=1):
        attended = case.prediction.attended
        assert attended is not None
        if attended.grid is None:
            drawings[f"attention-{number}"] = attention(attended.read, attended.written, attended.weights)
        elif picture := model.domain.picture(case.prediction.sample):
            drawings[f"attention-{number}"] = looked(picture, attended.written, attended.weights, attended.grid)
    text = "What was looked at for each word that was written."
    lines = []
    if (share := evaluation.pointing(model.domain)) is not None:
        lines = [f"{100 * share:.1f} % of it lies on what words name"]
    return Section("Attention", text, lines, drawings)


def _drawable(attended: Attended | None) -> bool:
    return attended is not None and bool(attended.written) and bool(attended.read or attended.grid)


def _by_length(evaluation: Evaluation) -> Section:
    """Tell the score of texts of like length."""
    found = evaluation.by_length()
    lines = [f"{name}: {measured} ({measured.low:.2f} to {measured.high:.2f})" for name, measured in found.items()]
    points = [(float(number), measured.value) for number, measured in enumerate(found.values(), start=1)]
    drawings = {}
    if len(points) > 1:
        drawings = {"length": curves(evaluation.first.score.name.upper(), {"": points}, "from short to long texts")}
    return Section("Score by length", "", lines, drawings)


def _by_confidence(score: Score, cases: Sequence[Case]) -> Section:
    """Tell the score of texts that the model was about equally sure of."""
    ordered = sorted(cases, key=lambda case: case.prediction.confidence)
    lines, points = [], []
    for number in range(_BINS):
        some = ordered[number * len(ordered) // _BINS : (number + 1) * len(ordered) // _BINS]
        if len(some) >= _FEWEST:
            value = _score(score, some)
            sure = [100 * case.prediction.confidence for case in some]
            points.append((sum(sure) / len(sure), value))
            lines.append(f"{sure[0]:.0f} to {sure[-1]:.0f} % sure: {score.shown(value)} of {len(some)}")
    drawings = {}
    if len(points) > 1:
        drawings = {"confidence": curves(score.name.upper(), {"": points}, "confidence, %")}
    return Section("Confidence against correctness", "", lines, drawings)


def _coverage(model: Model, cases: Sequence[Case]) -> Section:
    """Tell how much of the vocabulary the texts use, and what of the references it cannot write."""
    used = {symbol for case in cases for symbol in model.vocabulary.read_in(case.hypothesis)} - {0}
    wanted = {symbol for case in cases for symbol in model.vocabulary.read_in(case.reference)} - {0}
    unknown = sorted({character for case in cases for character in model.vocabulary.unknown(case.reference)})
    count = len(model.vocabulary) - 1
    lines = [
        f"{len(wanted)} of {count} symbols stand in the references, {len(used)} were written",
        f"{len(wanted - used)} that the references have were never written",
        f"{len(unknown)} characters cannot be written" + (f": {' '.join(unknown[:40])}" if unknown else ""),
    ]
    return Section("Coverage of the vocabulary", "", lines)


def _score(score: Score, cases: Sequence[Case]) -> float:
    references, hypotheses = [case.references for case in cases], [case.hypothesis for case in cases]
    return measure(score, references, hypotheses, resamples=0).value
