"""A page of pictures with their captions, and what was looked at for each word."""

from __future__ import annotations

import base64
import io
from collections.abc import Callable, Iterable, Sequence
from html import escape
from typing import TextIO

import numpy as np
from PIL import Image

from lstmapps.data import Sample
from lstmapps.prediction import Attended, Prediction

_LARGE, _SMALL = 320, 112  # pixels
_STYLE = """body { font: 16px/1.5 system-ui, sans-serif; max-width: 72em; margin: 2em auto; padding: 0 1em;
  color-scheme: light dark }
article { display: flex; align-items: flex-start; gap: 1.5em; margin: 0 0 3em; flex-wrap: wrap }
article > div { flex: 1; min-width: 20em }
h2 { font-size: 1.3em; margin: 0 } .soft { opacity: .7; margin: .2em 0 } ol { margin: .5em 0; padding-left: 1.5em }
.words { display: flex; flex-wrap: wrap; gap: .5em; margin-top: 1em } figure { margin: 0; width: 112px }
figcaption { text-align: center; font-size: .85em; line-height: 1.2; overflow-wrap: anywhere }
.over { position: relative } .over img { display: block; width: 112px; height: 112px }
.over img + img { position: absolute; top: 0; left: 0 }"""


def write_gallery(
    predictions: Iterable[Prediction], file: TextIO, open_picture: Callable[[Sample], Image.Image]
) -> None:
    """Write a page that needs no other file; what was looked at less is darker."""
    file.write(
        f'<!doctype html>\n<html lang="en">\n<meta charset="utf-8">\n<title>Captions</title>\n<style>{_STYLE}</style>\n'
    )
    for prediction in predictions:
        picture = open_picture(prediction.sample)
        shown = picture.copy()
        shown.thumbnail((_LARGE, _LARGE))
        name = escape(str(prediction.sample.id).encode("utf-8", "backslashreplace").decode())
        file.write(f'<article>\n<img src="{_url(shown, "JPEG")}" alt="">\n<div>\n<h2>{escape(prediction.text)}</h2>\n')
        file.write(f'<p class="soft">{name} · {100 * prediction.confidence:.0f} % sure</p>\n')
        if prediction.alternatives:
            items = "".join(f"<li>{escape(text)}" for text, _ in prediction.alternatives)
            file.write(f'<ol start="2">{items}</ol>\n')
        if prediction.attended is not None and prediction.attended.grid is not None:
            _write_words(prediction.attended, prediction.attended.grid, picture.resize((_SMALL, _SMALL)), file)
        file.write("</div>\n</article>\n")
    file.write("</html>\n")


def _write_words(attended: Attended, grid: tuple[int, int], picture: Image.Image, file: TextIO) -> None:
    below = _url(picture, "JPEG")
    file.write('<div class="words">\n')
    for word, weights in zip(attended.written, attended.weights, strict=True):
        shade = _url(_shade(weights, grid), "PNG")
        file.write(f'<figure><div class="over"><img src="{below}" alt=""><img src="{shade}" alt=""></div>')
        file.write(f"<figcaption>{escape(word)}</figcaption></figure>\n")
    file.write("</div>\n")


def _shade(weights: Sequence[float], grid: tuple[int, int]) -> Image.Image:
    """Return black, the less of it the more was looked at a place."""
    cells = np.array(weights, dtype=np.float32).reshape(grid)
    dark = 0.85 * (1.0 - cells / max(float(cells.max()), 1e-9))
    alpha = Image.fromarray((255 * dark).astype(np.uint8)).resize((_SMALL, _SMALL), Image.Resampling.BICUBIC)
    shade = Image.new("LA", alpha.size)
    shade.putalpha(alpha)
    return shade


def _url(picture: Image.Image, form: str) -> str:
    buffer = io.BytesIO()
    picture.save(buffer, form)
    return f"data:image/{form.lower()};base64,{base64.b64encode(buffer.getvalue()).decode()}"
