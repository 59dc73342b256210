"""Puts a report together: scores, learning curves, worst samples, and what the kind of network can show."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from datetime import date
from importlib import resources
from pathlib import Path
from types import MappingProxyType
from typing import Any

from jinja2 import Environment, PackageLoader
from rapidfuzz.distance import Levenshtein

from lstmapps.data import EACH, Disturbance
from lstmapps.evaluation import Case, Evaluation
from lstmapps.model import Model
from lstmapps.report import ctc, seq2seq
from lstmapps.report.drawings import curves, strengths
from lstmapps.report.section import Section
from lstmapps.scores import Score

_WORST = 20
_SECTIONS = {"ctc": ctc.sections, "seq2seq": seq2seq.sections}
"""What each kind of network has to show."""


def write_report(
    path: Path,
    model: Model,
    part: str,
    evaluation: Evaluation,
    history: Sequence[dict[str, float]] = (),
    group: str = EACH,
    disturbed: Mapping[Disturbance, Evaluation] = MappingProxyType({}),
    further: Sequence[Section] = (),
) -> None:
    """Write the report of a model's readings of a part, and its drawings as files into `<name>-drawings` beside it.

    history: adds the learning curves. group: as in SequenceData; adds the scores of each speaker or page.
    disturbed: adds the scores under each disturbance. further: are shown below all others.
    """
    first = evaluation.first.score
    learning = _learning(history, [measured.score for measured in evaluation.scores.values()])
    sections = _SECTIONS[model.network.kind](model, evaluation)
    if disturbed:
        sections = [_disturbed(evaluation, disturbed), *sections]
    sections = [*sections, *further]
    groups = evaluation.by_group(group) if group != EACH else {}
    page = template("page.html").render(
        style=style(),
        date=date.today().isoformat(),
        model=model,
        training=model.results.get("training"),
        part=part,
        evaluation=evaluation,
        curves=learning.values(),
        groups=sorted(groups.items(), key=lambda item: first.sign * item[1][first.name].value),
        worst=[_shown(model, first, case) for case in _worst(first, evaluation.cases)],
        sections=sections,
    )
    write(path, page, learning, sections)


def write(path: Path, page: str, drawings: Mapping[str, str], sections: Sequence[Section]) -> None:
    """Write a report, and its drawings, those of its sections too, into `<name>-drawings` beside it."""
    folder = path.with_name(f"{path.stem}-drawings")
    folder.mkdir(parents=True, exist_ok=True)
    for drawn in (drawings, *(section.drawings for section in sections)):
        for name, drawing in drawn.items():
            _write(folder / f"{name}.svg", drawing)
    _write(path, page)


def _write(path: Path, text: str) -> None:
    """Write a file whole or not at all."""
    partial = path.with_name(path.name + ".partial")
    partial.write_text(text, encoding="utf-8", errors="backslashreplace")
    partial.replace(path)


def template(name: str) -> Any:
    """Return a page of this folder, to be rendered."""
    environment = Environment(loader=PackageLoader("lstmapps.report", ""), autoescape=True, trim_blocks=True)
    return environment.get_template(name)


def style() -> str:
    """Return the style of every page."""
    return resources.files("lstmapps.report").joinpath("style.css").read_text(encoding="utf-8")


def _learning(history: Sequence[dict[str, float]], scores: Sequence[Score]) -> dict[str, str]:
    """Return the learning curves that a history has points for, scores of one unit together."""
    wanted = {"loss": ("loss, nats a symbol", {"train": "train_loss"})}
    for number, unit in enumerate(dict.fromkeys(score.unit for score in scores), start=1):
        names = {score.name.upper(): f"validation_{score.name}" for score in scores if score.unit == unit}
        wanted["scores" if number == 1 else f"scores-{number}"] = (f"on validation, {unit}".rstrip(", "), names)
    drawings = {}
    for file, (label, names) in wanted.items():
        series = {name: [(row["epoch"], row[key]) for row in history if key in row] for name, key in names.items()}
        series = {name: points for name, points in series.items() if points}
        if series:
            drawings[file] = curves(label, series)
    return drawings


def _disturbed(clean: Evaluation, disturbed: Mapping[Disturbance, Evaluation]) -> Section:
    """Tell the score that decides under each disturbance, and draw it against the strength."""
    lines = [f"undisturbed: {clean.first}"]
    series: dict[str, list[tuple[float, float]]] = {}
    for one, evaluation in disturbed.items():
        lines.append(f"{one}: {evaluation.first}")
        name = f"{one.name}, {one.unit}".rstrip(", ")
        series.setdefault(name, []).append((one.strength, evaluation.first.value))
    drawing = strengths(clean.first.score.name.upper(), clean.first.value, series)
    text = "What happens to inputs out there. The dashed line is the score without it."
    return Section("Disturbed", text, lines, {"disturbed": drawing})


def _worst(score: Score, cases: Sequence[Case]) -> list[Case]:
    wrong = [case for case in cases if case.hypothesis not in case.references]
    return sorted(wrong, key=lambda case: score.sign * score.of(case.references, case.hypothesis))[:_WORST]


def _shown(model: Model, score: Score, case: Case) -> dict[str, Any]:
    """Return what the page says of one sample."""
    sample = case.prediction.sample
    reference, hypothesis = _marked(case.reference, case.hypothesis)
    return {
        "id": sample.id,
        "picture": _data_url("image/png", model.domain.picture(sample)),
        "sound": _data_url("audio/flac", model.domain.sound(sample)),
        "reference": reference,
        "hypothesis": hypothesis,
        "score": score.shown(score.of(case.references, case.hypothesis)),
        "confidence": 100 * case.prediction.confidence,
    }


def _data_url(kind: str, data: bytes | None) -> str | None:
    return f"data:{kind};base64,{base64.b64encode(data).decode()}" if data else None


def _marked(reference: str, hypothesis: str) -> tuple[list[tuple[str, bool]], list[tuple[str, bool]]]:
    """Return both texts in pieces, each with whether it differs from the other text."""
    old, new = [], []
    for block in Levenshtein.opcodes(reference, hypothesis):
        differs = block.tag != "equal"
        if left := reference[block.src_start : block.src_end]:
            old.append((left, differs))
        if right := hypothesis[block.dest_start : block.dest_end]:
            new.append((right, differs))
    return old, new
