"""`lstmapps align`: tell when each word of a known text was seen or heard."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from lstmapps.errors import UserError, cause, escaped

if TYPE_CHECKING:
    from lstmapps.model import Model
    from lstmapps.prediction import Prediction


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("model", help="a model's name or folder")
    parser.add_argument("--input", "--audio", required=True, help="one input, or a table of inputs with their texts")
    parser.add_argument("--text", help="the text of the one input, or a file that holds it")
    parser.add_argument("--format", default="jsonl", help="text, jsonl, or one of the domain's formats (see `info`)")
    parser.add_argument("--output", help="write to this file, or into this folder (with / at its end) a file a source")


def run(arguments: argparse.Namespace) -> int:
    from lstmapps.cli.predict import choose_format, write
    from lstmapps.model import Model

    model = Model.load(arguments.model)
    form = choose_format(model, arguments.format)
    faults: list[str] = []
    write(_aligned(model, arguments.input, arguments.text, faults), form, arguments.output, model.domain.origin)
    return 1 if faults else 0


def _aligned(model: Model, source: str, text: str | None, faults: list[str]) -> Iterator[Prediction]:
    """Yield what could be aligned; the others are told on standard error."""
    samples = list(model.samples([source]))
    if text is not None:
        if len(samples) != 1:
            raise UserError(f"{source} holds {len(samples)} inputs, but --text is the text of one; leave it out")
        samples = [replace(samples[0], text=_text(text))]
    for sample in samples:
        try:
            yield model.align(sample)
        except Exception as error:
            faults.append(cause(error, sample.id))
            print(escaped(faults[-1]), file=sys.stderr)


def _text(given: str) -> str:
    """Return the text itself, or what stands in the file of that name."""
    try:
        path = Path(given)
        return " ".join(path.read_text(encoding="utf-8-sig").split()) if path.is_file() else given
    except UnicodeDecodeError:
        raise UserError(f"{given} is not UTF-8 text; save it as UTF-8") from None
    except OSError:  # a text that is no possible file name
        return given
