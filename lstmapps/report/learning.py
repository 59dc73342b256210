"""What a report shows of how a recurrent network learns: gates while it did, and how far errors reach back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from torch import Tensor

from lstmapps.learning import ErrorFlow, WatchGates
from lstmapps.report.drawings import curves
from lstmapps.report.section import Section

_Points = list[tuple[float, float]]

_WATCHED = """How far each gate was open on average (0 to 1), how many of its values hardly let an error through to its
weights any more (below 0.1 or above 0.9), and the root mean square of each part of the state, by step of training."""


def gates_shown(watched: WatchGates) -> list[Section]:
    """Return a section for each layer and direction that was watched, in which all of its gates are drawn."""
    drawn: dict[str, tuple[dict[str, _Points], dict[str, _Points], dict[str, _Points]]] = {}
    for step, gates, states in watched.history:
        for name, seen in gates.items():
            place, _, gate = name.rpartition(".")
            means, shut, _ = drawn.setdefault(place, ({}, {}, {}))
            means.setdefault(gate, []).append((step, seen.mean))
            shut.setdefault(gate, []).append((step, 100.0 * (seen.closed + seen.opened)))
        for name, sizes in states.items():
            _, _, parts = drawn.setdefault(name.rpartition(".")[0], ({}, {}, {}))
            for number, size in enumerate(sizes):
                parts.setdefault(f"state {number}", []).append((step, size))
    labels = ("open", "saturated, %", "root mean square")
    sections = []
    for place, kinds in drawn.items():
        files = (f"gates-{place}-{kind}" for kind in ("open", "saturated", "state"))
        drawings = {
            file: curves(label, series, over="step")
            for file, label, series in zip(files, labels, kinds, strict=True)
            if series
        }
        sections.append(Section(f"Gates of {place}", " ".join(_WATCHED.split()), drawings=drawings))
    return sections


def errors_shown(flows: Mapping[str, ErrorFlow]) -> Section:
    """Return what is left of an error by the steps that it has gone back, for each network by its name; and of the last
    one through which gates it goes."""
    left = {name: _points(flow.mean) for name, flow in flows.items()}
    *_, last = flows.values()
    ways = {gate: _points(norms.flip(0)) for gate, norms in last.paths.items()}
    rates = ", ".join(f"{name} {flow.rate:.3f}" for name, flow in flows.items())
    return Section(
        "Errors on their way back",
        f"What is left of an error by the steps that it has gone back (Hochreiter 1991), a factor per step of {rates}; "
        "and the size of one step back through each gate's recurrent weights, and through none of them.",
        drawings={
            "error-flow": curves("of an error left", left, over="steps back", logarithmic=True),
            "error-ways": curves("of one step back", ways, over="steps back", logarithmic=True),
        },
    )


def _points(values: Tensor | Sequence[float]) -> _Points:
    return [(step, float(value)) for step, value in enumerate(values)]
