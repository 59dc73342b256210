"""The report of an experiment: what was measured, how it was learnt, and what its task has to show."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from pathlib import Path

from lstmapps.report.drawings import curves
from lstmapps.report.page import style, template, write
from lstmapps.report.section import Section


def write_experiment(
    path: Path,
    name: str,
    summary: str,
    results: dict[str, dict[str, float]],
    history: Sequence[dict[str, float]],
    sections: Sequence[Section] = (),
) -> None:
    """Write the report of a run, and its drawings as files into `<name>-drawings` beside it."""
    drawings = {}
    for file, label, keys in (
        ("loss", "loss", ("train_loss", "validation_loss")),
        ("right", "right, %", ("validation_right",)),
    ):
        series = {
            key.partition("_")[0]: [(row["step"], row[key]) for row in history if key in row]
            for key in keys
            if any(key in row for row in history)
        }
        if series:
            drawings[file] = curves(label, series, over="step")
    page = template("experiment.html").render(
        style=style(),
        date=date.today().isoformat(),
        name=name,
        summary=summary,
        results=results,
        curves=drawings.values(),
        sections=sections,
    )
    write(path, page, drawings, sections)
