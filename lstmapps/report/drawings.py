"""Drawings of a report, as SVG."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from html import escape

_COLOURS = ("#1f6feb", "#d1242f", "#1a7f37", "#9a6700", "#8250df", "#bf3989")


def curves(title: str, series: Mapping[str, Sequence[tuple[float, float]]]) -> str:
    """Draw curves over epochs from zero up, with a grid and a legend."""
    width, height, left, top, bottom = 480, 240, 46, 28, 26
    points = [point for line in series.values() for point in line]
    if not points:
        return ""
    last = max(x for x, _ in points)
    step = _round_step(max(y for _, y in points) / 4)
    highest = 4 * step

    def at(x: float, y: float) -> tuple[float, float]:
        across = left + (width - left - 12) * (x / max(last, 1))
        return across, height - bottom - (height - top - bottom) * (y / highest)

    parts = [f'<text x="{left}" y="16" font-size="13" fill="currentColor">{escape(title)}</text>']
    for i in range(5):
        value = step * i
        _, y = at(0, value)
        parts.append(f'<path d="M{left} {y:.1f}H{width - 12}" stroke="currentColor" opacity=".15"/>')
        parts.append(_label(left - 6, y + 4, f"{value:.3g}", "end"))
    for i in (0, 1, 2):
        x, _ = at(last * i / 2, 0)
        parts.append(_label(x, height - 8, f"{last * i / 2:.3g}", "middle"))
    for number, (name, line) in enumerate(series.items()):
        colour = _COLOURS[number % len(_COLOURS)]
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in (at(*point) for point in line))
        parts.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>')
        place = width - 12 - 60 * (len(series) - 1 - number)
        parts.append(f'<text x="{place}" y="16" font-size="12" text-anchor="end" fill="{colour}">{escape(name)}</text>')
    return f'<svg width="{width}" height="{height}" viewBox="0 0 {width} {height}">{"".join(parts)}</svg>'


def alignment(
    probabilities: Sequence[Sequence[float]],
    size: int,
    characters: Sequence[tuple[str, float, float, float]],
    picture: tuple[str, int, int] | None,
) -> str:
    """Draw what a CTC network saw over its input.

    probabilities (steps, symbols) with the blank first; `size` is the input's number of steps;
    characters are (text, start, end, confidence); `picture` is the address, the width and the height
    of an image of the whole input, which is drawn 64 high, everything else in proportion.
    """
    image_height, gap, plot = 64, 22, 70
    height = image_height + gap + plot + 8
    width = round(picture[1] * image_height / picture[2]) if picture else min(size, 20 * len(probabilities))
    zoom = width / size
    parts = []
    if picture:
        parts.append(f'<image href="{picture[0]}" width="{width}" height="{image_height}" preserveAspectRatio="none"/>')
    for text, start, end, confidence in characters:
        start, end = start * zoom, end * zoom
        shade = "var(--bad)" if confidence < 0.5 else "currentColor"
        parts.append(f'<path d="M{start:.1f} 0V{height - 8}" stroke="currentColor" opacity=".12"/>')
        shown = escape(text if text.strip() else "␣")
        middle = (start + end) / 2
        parts.append(f'<text x="{middle:.1f}" y="{image_height + 16}" font-size="14" text-anchor="middle"')
        parts.append(f' fill="{shade}">{shown}</text>')
    scale, base = width / max(1, len(probabilities)), height - 8
    for symbol in range(1, len(probabilities[0]) if probabilities else 0):
        line = [row[symbol] for row in probabilities]
        if max(line) < 0.05:
            continue
        path = " ".join(f"{(i + 0.5) * scale:.1f},{base - plot * p:.1f}" for i, p in enumerate(line))
        colour = _COLOURS[symbol % len(_COLOURS)]
        parts.append(f'<polyline points="0,{base} {path} {width},{base}" fill="{colour}" fill-opacity=".2"')
        parts.append(f' stroke="{colour}" stroke-width="1"/>')
    return f'<svg width="{width}" height="{height}" viewBox="0 0 {width} {height}">{"".join(parts)}</svg>'


def _round_step(least: float) -> float:
    """Return the smallest of 1, 2, 2.5, 5 times a power of ten that is not below `least`."""
    power = 10.0 ** math.floor(math.log10(least)) if least > 0 else 0.25
    return next(factor * power for factor in (1, 2, 2.5, 5, 10) if factor * power >= least)


def _label(x: float, y: float, text: str, anchor: str) -> str:
    style = f'font-size="11" text-anchor="{anchor}" fill="currentColor" opacity=".7"'
    return f'<text x="{x:.1f}" y="{y:.1f}" {style}>{escape(text)}</text>'
