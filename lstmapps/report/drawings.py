"""Drawings of a report, as SVG: ink is the page's own, so that they are read in the light and in the dark."""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib
import numpy as np
from cycler import cycler
from matplotlib.figure import Figure
from matplotlib.image import imread
from matplotlib.ticker import MaxNLocator

BEYOND = 0.3
"""How far `regions` looks beyond the unit square."""

_INK, _DOUBT = "#010203", "#030201"  # stand for the page's own colours, see _svg
_STYLE: Any = {
    "svg.fonttype": "none",  # text stays text: small, searchable, in the page's own letters
    "svg.hashsalt": "lstmapps",  # the same drawing, the same file
    "font.size": 10,
    "text.color": _INK,
    "axes.labelcolor": _INK,
    "axes.edgecolor": _INK,
    "xtick.color": _INK,
    "ytick.color": _INK,
    "grid.color": _INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.prop_cycle": cycler(color=["#1f6feb", "#d1242f", "#1a7f37", "#9a6700", "#8250df", "#bf3989"]),
}
_ACROSS = 7  # pictures side by side
_PLOTS_ACROSS = 4
_HEIGHT = 64  # of an input's picture, in points


def curves(
    label: str, series: Mapping[str, Sequence[tuple[float, float]]], over: str = "epoch", logarithmic: bool = False
) -> str:
    """Draw curves over epochs, or what else they go over, from zero up, or on a logarithmic scale."""
    with matplotlib.rc_context(_STYLE):
        figure = Figure(figsize=(5, 2.8), layout="constrained")
        axes = figure.subplots()
        for name, points in series.items():
            axes.plot(*zip(*points, strict=True), label=name, marker="o" if len(points) == 1 else None)
        axes.set(xlabel=over, ylabel=label)
        if logarithmic:
            axes.set_yscale("log")
        else:
            axes.set_ylim(bottom=0)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.grid(alpha=0.2)
        if len(series) > 1:
            axes.legend(frameon=False)
        return _svg(figure)


def regions(said: Mapping[str, Sequence[Sequence[float]]], classes: Mapping[str, Sequence[float]]) -> str:
    """Draw for each net what it says between 0 and 1 over the unit square and a little beyond, dark where it says 1.

    said: by name of a net rows of values, the lowest row first. classes: by the same names what is wanted at the
    corners (0, 0), (0, 1), (1, 0) and (1, 1): a filled circle for 1, an empty one for 0.
    """
    with matplotlib.rc_context(_STYLE):
        figure = Figure(figsize=(1.9 * len(said), 2.1), layout="constrained")
        places = figure.subplots(1, len(said), squeeze=False).flatten()
        for axes, (name, values) in zip(places, said.items(), strict=True):
            extent = (-BEYOND, 1 + BEYOND, -BEYOND, 1 + BEYOND)
            grid = np.asarray(values, dtype=float)
            axes.imshow(grid, extent=extent, origin="lower", cmap="Blues", vmin=0, vmax=2.5, interpolation="bilinear")
            if grid.min() < 0.5 < grid.max():
                axes.contour(grid, levels=[0.5], extent=extent, colors=[_INK], linewidths=1)
            for number, wanted in enumerate(classes[name]):
                fill = _INK if wanted > 0.5 else "none"
                axes.plot(number // 2, number % 2, "o", markeredgecolor=_INK, markerfacecolor=fill)
            axes.set(xticks=[0, 1], yticks=[0, 1])
            axes.set_title(name, fontsize=9, parse_math=False)
        return _svg(figure)


def strengths(label: str, without: float, series: Mapping[str, Sequence[tuple[float, float]]]) -> str:
    """Draw a score against the strength of each thing that changes it, the mildest at the left.

    without: the score where nothing changes it.
    """
    columns = min(_PLOTS_ACROSS, len(series))
    rows = -(-len(series) // columns)
    with matplotlib.rc_context(_STYLE):
        figure = Figure(figsize=(1.9 * columns, 1.7 * rows), layout="constrained")
        places = figure.subplots(rows, columns, squeeze=False).flatten()
        for axes in places[len(series) :]:
            axes.set_axis_off()
        for axes, (name, points) in zip(places, series.items(), strict=False):
            axes.axhline(without, color=_INK, alpha=0.5, linestyle="--", linewidth=0.8)
            axes.plot(range(len(points)), [value for _, value in points], marker="o", markersize=3)
            axes.set_xticks(range(len(points)), [f"{strength:g}" for strength, _ in points])
            axes.set_title(name, fontsize=9, parse_math=False)
            axes.margins(x=0.2)
            axes.set_ylim(0, 1.2 * max(2 * without, *(value for _, value in points)))  # little changes look little
            axes.grid(alpha=0.2)
        figure.supylabel(label, fontsize=10)
        return _svg(figure)


def attention(read: Sequence[str], written: Sequence[str], weights: Sequence[Sequence[float]]) -> str:
    """Draw the weights (written, read) by which each word written looked at the words read: the darker the more."""
    with matplotlib.rc_context(_STYLE):
        beside, above = (0.12 * max(map(len, words), default=1) for words in (written, read))
        size = (0.4 + beside + 0.24 * len(read), 0.4 + above + 0.24 * len(written))
        figure = Figure(figsize=size, layout="constrained")
        axes = figure.subplots()
        axes.pcolormesh(np.asarray(weights), cmap="Blues", vmin=0.0, vmax=1.0, edgecolors="none")
        axes.set_xticks(np.arange(len(read)) + 0.5, list(read), rotation=90, parse_math=False)
        axes.set_yticks(np.arange(len(written)) + 0.5, list(written), parse_math=False)
        axes.xaxis.tick_top()
        axes.invert_yaxis()
        axes.tick_params(length=0)
        return _svg(figure)


def looked(picture: bytes, written: Sequence[str], weights: Sequence[Sequence[float]], grid: tuple[int, int]) -> str:
    """Draw a picture (PNG) for each word written, bright where its weights over the grid (rows, columns) are high."""
    image = imread(io.BytesIO(picture), format="png")
    columns = min(_ACROSS, max(1, len(written)))
    rows = -(-len(written) // columns) or 1
    with matplotlib.rc_context(_STYLE):
        figure = Figure(figsize=(1.2 * columns, 1.4 * rows), layout="constrained")
        places = figure.subplots(rows, columns, squeeze=False).flatten()
        for axes in places:
            axes.set_axis_off()
        for axes, word, each in zip(places, written, weights, strict=False):
            cells = np.asarray(each).reshape(grid)
            axes.imshow(image, extent=(0, 1, 0, 1))
            dark = 0.85 * (1.0 - cells / max(float(cells.max()), 1e-9))
            axes.imshow(np.zeros(grid), extent=(0, 1, 0, 1), cmap="gray", alpha=dark, interpolation="bilinear")
            axes.set_title(word, fontsize=9, parse_math=False)
        return _svg(figure)


def alignment(
    probabilities: Sequence[Sequence[float]],
    size: int,
    characters: Sequence[tuple[str, float, float, float]],
    picture: bytes | None,
) -> str:
    """Draw what a CTC network saw over its input.

    probabilities (steps, symbols) with the blank first; `size` is the input's number of steps;
    characters are (text, start, end, confidence); `picture` is a PNG of the whole input, which is drawn 64 high,
    everything else in proportion.
    """
    seen = np.asarray(probabilities, dtype=float) if len(probabilities) else np.zeros((0, 1))
    image = imread(io.BytesIO(picture), format="png") if picture else None
    width = _HEIGHT * image.shape[1] / image.shape[0] if image is not None else min(size, 20 * len(seen))
    with matplotlib.rc_context(_STYLE):
        rows = [_HEIGHT, 22, 70] if image is not None else [22, 70]
        figure = Figure(figsize=(max(width, 40) / 72, sum(rows) / 72))
        *above, letters, plot = figure.subplots(
            len(rows), 1, sharex=True, gridspec_kw={"height_ratios": rows, "hspace": 0}
        )
        figure.subplots_adjust(left=0, right=1, bottom=0, top=1)
        for axes in (*above, letters, plot):
            axes.set_axis_off()
        if image is not None:
            above[0].imshow(image, extent=(0, size, 0, 1), aspect="auto", cmap="gray", interpolation="none")
        for text, start, end, confidence in characters:
            colour = _DOUBT if confidence < 0.5 else _INK
            shown = text if text.strip() else "␣"
            place = {"ha": "center", "va": "center", "fontsize": 11}
            letters.text((start + end) / 2, 0.5, shown, color=colour, parse_math=False, **place)
            plot.axvline(start, color=_INK, alpha=0.15, linewidth=0.8)
        steps = (np.arange(len(seen)) + 0.5) * size / max(1, len(seen))
        for symbol in range(1, seen.shape[1]):
            if seen[:, symbol].max(initial=0) >= 0.05:
                colour = f"C{symbol % 6}"
                plot.fill_between(steps, seen[:, symbol], color=colour, alpha=0.2, linewidth=0)
                plot.plot(steps, seen[:, symbol], color=colour, linewidth=1)
        plot.set(xlim=(0, max(size, 1)), ylim=(0, 1.05))
        return _svg(figure)


def _svg(figure: Figure) -> str:
    """Return a figure as an SVG element without a background."""
    written = io.StringIO()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")  # the reader's browser has its own
        figure.savefig(written, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    svg = written.getvalue()
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"(?s)<metadata>.*?</metadata>\s*", "", svg)
    svg = re.sub(r'<g id="\w+"', "<g", svg)  # many drawings share a page
    return svg.replace(_DOUBT, "var(--bad, #c62828)").replace(_INK, "currentColor")
