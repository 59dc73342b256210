"""Translations as lines of text, and as a page that shows what each word was translated from."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape
from typing import TextIO

from lstmapps.prediction import Attended, Prediction

_STYLE = """body { font: 16px/1.5 system-ui, sans-serif; max-width: 60em; margin: 2em auto; padding: 0 1em;
  color-scheme: light dark }
table { border-collapse: collapse; margin: 0 0 2em } th { font-weight: normal; text-align: left; padding: 0 .4em }
thead th { writing-mode: vertical-rl; transform: rotate(180deg); vertical-align: top; padding: .4em 0 }
td { width: 1.5em; height: 1.5em; border: 1px solid #8883 } .soft { opacity: .7 }"""


def write_lines(predictions: Iterable[Prediction], file: TextIO) -> None:
    """Write a translation a line, and nothing else."""
    for prediction in predictions:
        file.write(" ".join(prediction.text.split()) + "\n")


def write_html(predictions: Iterable[Prediction], file: TextIO) -> None:
    """Write a page of tables: the darker a cell, the more its row's word was looked up at its column's."""
    file.write(
        f'<!doctype html>\n<html>\n<meta charset="utf-8">\n<title>Translations</title>\n<style>{_STYLE}</style>\n'
    )
    for prediction in predictions:
        if not prediction.text:
            continue
        attended = prediction.attended or Attended([], [], [])
        file.write(f"<h2>{escape(prediction.text)}</h2>\n")
        file.write(f'<p class="soft">{escape(str(prediction.sample.source))} ')
        file.write(f"({100 * prediction.confidence:.0f} % sure)</p>\n")
        if not attended.read:
            continue
        file.write("<table>\n<thead><tr><th>" + "".join(f"<th>{escape(word)}" for word in attended.read) + "</thead>\n")
        for word, weights in zip(attended.written, attended.weights, strict=True):
            cells = "".join(
                f'<td style="background: rgb(31 111 235 / {weight:.2f})" title="{weight:.2f}">' for weight in weights
            )
            file.write(f"<tr><th>{escape(word)}{cells}\n")
        file.write("</table>\n")
    file.write("</html>\n")
