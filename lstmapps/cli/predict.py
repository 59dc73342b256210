"""`lstmapps predict`: read inputs with a model."""

from __future__ import annotations

import argparse
import json
import os
import sys
import traceback
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from lstmapps.cli.lines import arriving
from lstmapps.cli.progress import watch
from lstmapps.errors import UserError, did_you_mean, escaped
from lstmapps.plugins import installed

TAKES_OVERRIDES = True

if TYPE_CHECKING:
    from torch import Tensor

    from lstmapps.data import Sample
    from lstmapps.model import Model
    from lstmapps.prediction import Failure, Format, Prediction


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("model", help="a model's name or folder")
    parser.add_argument("inputs", nargs="*", metavar="INPUT", help="files, folders or tables; - reads standard input")
    parser.add_argument("--microphone", action="store_true", help="listen to the microphone, until Ctrl-C")
    parser.add_argument("--format", default="text", help="text, jsonl, or one of the domain's formats (see `info`)")
    parser.add_argument("--output", help="write to this file, or into this folder (with / at its end) a file a source")
    parser.add_argument(
        "--decoder", help="how the network's output is read: greedy, beam, or another that the model has"
    )
    parser.add_argument("--n-best", type=int, default=1, help="give this many readings; jsonl shows them all")
    parser.add_argument("--hot-word", action="append", default=[], help="favour this word (CTC; repeatable)")
    parser.add_argument("--beam", type=int, help="how many texts a decoder's search follows at a time")
    parser.add_argument("--must", action="append", default=[], help="these pieces must be written (repeatable)")
    parser.add_argument("--must-not", action="append", default=[], help="these must not (repeatable)")
    parser.add_argument("--prefix", default="", help="what is written begins so")
    parser.add_argument("--int8", action="store_true", help="weights of eight bits: a decoder writes faster on a CPU")
    parser.add_argument("--shortlist", action="store_true", help="search only what may stand for the input: faster")
    parser.add_argument("--ensemble", action="append", default=[], metavar="MODEL", help="write together with this one")
    parser.add_argument("--device", help="where to run, such as cpu or cuda:1")
    for name, summary in _settings().items():
        parser.add_argument(f"--{name}", help=summary)
    parser.add_argument("--json", action="store_true", help="print a summary as one JSON object on the last line")
    parser.epilog = "Settings of a decoder's search can follow, as in --search.length_penalty wu (see lstmapps.search)."


def run(arguments: argparse.Namespace) -> int:
    from lstmapps.model import Model

    model = Model.load(arguments.model, arguments.device, int8=arguments.int8)
    form = choose_format(model, arguments.format)
    for name in _settings():
        if getattr(arguments, name) is not None:
            model.set(name, getattr(arguments, name))
    if arguments.microphone:
        if model.domain.live("microphone") is None:
            raise UserError(f"{model.name} has no use for a microphone; leave --microphone out")
        arguments.inputs.append("microphone")
    if not arguments.inputs:
        raise UserError("there is nothing to read; name files, folders or tables")
    pieces = model.domain.live(arguments.inputs[0]) if len(arguments.inputs) == 1 else None
    if pieces is not None:
        _follow(model, pieces, sys.stdout)
        return 0
    counts = {"inputs": 0, "failed": 0}
    decoding = {
        "decoder": arguments.decoder,
        "n_best": arguments.n_best,
        "hot_words": arguments.hot_word,
        "search": _search(arguments.overrides, arguments.beam),
        "must": arguments.must,
        "must_not": arguments.must_not,
        "prefix": arguments.prefix,
        "shortlist": arguments.shortlist,
        "ensemble": [Model.load(name, arguments.device, int8=arguments.int8) for name in arguments.ensemble],
    }
    if model.domain.reads_text and arguments.inputs == ["-"] and arguments.output is None and not form.document:
        for samples in arriving(sys.stdin.buffer):
            results = model.predict(samples, **decoding)
            form.write(_report_failures(results, counts, arguments.debug, keep=True), sys.stdout)
            sys.stdout.flush()
        return _done(model, counts, arguments.json)
    inputs, shown = model.samples(arguments.inputs), arguments.output is not None or not sys.stdout.isatty()
    total = None
    if shown and sys.stderr.isatty() and "-" not in arguments.inputs:
        inputs = iter(listed := list(inputs))
        total = len(listed)
    found = model.predict(inputs, **decoding)
    watched = watch(found, total, "predict") if shown else found
    kept = _report_failures(watched, counts, arguments.debug, keep=model.domain.reads_text)
    write(kept, form, arguments.output, model.domain.origin)
    return _done(model, counts, arguments.json)


def _done(model: Model, counts: dict[str, int], as_json: bool) -> int:
    """Tell how many inputs failed; return the exit code."""
    if as_json:
        print(json.dumps({"model": model.name, **counts}))
    if counts["failed"]:
        print(f"{counts['failed']} of {counts['inputs']} inputs could not be read", file=sys.stderr)
    return 1 if counts["failed"] else 0


def _search(overrides: list[str], beam: int | None) -> dict[str, Any]:
    """Return the settings of a decoder's search, given as `--search.NAME=VALUE` or `--search.NAME VALUE`."""
    import yaml

    settings: dict[str, Any] = {} if beam is None else {"beam": beam}
    rest = iter(overrides)
    for argument in rest:
        key, equals, value = argument.partition("=")
        if not key.startswith("--search."):
            raise UserError(f"unrecognised argument: {key}; --search.… are the settings that can be given")
        settings[key.removeprefix("--search.")] = yaml.safe_load(value if equals else next(rest, ""))
    return settings


def _settings() -> dict[str, str]:
    """Return what can be set of the installed plugins' domains, and what it is."""
    plugins, _ = installed()
    return {name: summary for plugin in plugins.values() for name, summary in plugin.settings.items()}


def _follow(model: Model, pieces: Iterable[Tensor], file: TextIO) -> None:
    """Read an input that is still arriving: write what is certain, and show what is not if anybody watches."""
    watched = file.isatty()
    listener = model.listen()
    state = listener.init_state()
    line = ""
    for piece in pieces:
        heard, state = listener.step(piece, state, tentative=watched)
        line += heard.stable
        file.write(f"\r{line}\x1b[2m{heard.tentative}\x1b[0m\x1b[K" if watched else heard.stable)
        file.flush()
    rest = listener.finish(state).stable
    file.write(f"\r{line}{rest}\x1b[K\n" if watched else f"{rest}\n")


def _report_failures(
    results: Iterable[Prediction | Failure], counts: dict[str, int], debug: bool, keep: bool = False
) -> Iterator[Prediction]:
    """Yield what could be read, and tell of the others; with `keep` each of them is an empty text in its place."""
    from lstmapps.prediction import Failure, Prediction

    for result in results:
        counts["inputs"] += 1
        if isinstance(result, Failure):
            counts["failed"] += 1
            print(escaped(result.reason), file=sys.stderr)
            if debug and result.error is not None:
                traceback.print_exception(result.error)
            if keep:
                yield Prediction(result.sample, "", 0.0)
        else:
            yield result


def choose_format(model: Model, name: str) -> Format:
    """Return one of the formats that every domain writes, or that the model's domain adds; raises UserError."""
    from lstmapps.prediction import FORMATS

    formats = FORMATS | model.domain.formats()
    if name not in formats:
        hint = did_you_mean(name, list(formats)) or f"; choose from {', '.join(formats)}"
        raise UserError(f"there is no format {name!r}{hint}")
    return formats[name]


def write(predictions: Iterator[Prediction], form: Format, output: str | None, origin: Callable[[Sample], str]) -> None:
    """Write predictions to a file, to standard output, or for each source, its `origin`, into a folder."""
    path = None if output is None else Path(output)
    folder = path if path and (str(output).endswith(os.sep) or path.is_dir()) else None
    if folder is None and not form.document:
        _write_whole(path, form, predictions)
        return
    stems: Counter[str] = Counter()
    for source, group in groupby(predictions, key=lambda prediction: origin(prediction.sample)):
        if folder is not None:
            stem = Path(source).stem
            stems[stem] += 1
            number = f"-{stems[stem]}" if stems[stem] > 1 else ""  # two sources of one name
            path = folder / f"{stem}{number}{form.suffix}"
        elif stems:
            raise UserError(f"{source} needs a document of its own; give a folder, --output FOLDER/")
        else:
            stems[source] += 1
        _write_whole(path, form, group)


def _write_whole(path: Path | None, form: Format, predictions: Iterable[Prediction]) -> None:
    """Write to a file, whole or not at all, or to standard output."""
    if path is None:
        form.write(predictions, sys.stdout)
        return
    partial = path.with_name(path.name + ".partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with partial.open("w", encoding="utf-8", errors="backslashreplace") as file:
            form.write(predictions, file)
        partial.replace(path)
    except OSError as error:
        raise UserError(f"{path} could not be written ({error.strerror}); choose another place") from None
    finally:
        with suppress(OSError):  # where the name itself could not be
            partial.unlink(missing_ok=True)
