"""Puts a report together: scores, learning curves, confusions, worst lines, alignments."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from datetime import date
from html import escape
from importlib import resources
from pathlib import Path

from rapidfuzz.distance import Levenshtein

from lstmapps.data import EACH
from lstmapps.evaluation import Case, Evaluation, stream_difference
from lstmapps.model import Model
from lstmapps.report.drawings import alignment, curves

_WORST = 20
_ALIGNED = 4
_STREAMED = 20


def write_report(
    path: Path,
    model: Model,
    part: str,
    evaluation: Evaluation,
    history: Sequence[dict[str, float]] = (),
    group: str = EACH,
) -> None:
    """Write the report of a model's readings of a part.

    history: adds the learning curves. group: as in SequenceData; adds the scores of each speaker or page.
    """
    training = model.results.get("training", {})
    facts = f"{len(evaluation.cases)} samples of the {part} part"
    if training:
        facts += f"; trained on {training['train_samples']} samples for {training['epochs']} epochs"
    sections = [
        f"<h1>{escape(model.name)}</h1><p class=soft>{facts}, {date.today().isoformat()}</p>",
        _scores(evaluation),
        _learning(history),
        _groups(evaluation, group),
        _confusions(evaluation),
        _streaming(model, evaluation),
        _worst(model, evaluation),
        _alignments(model, evaluation),
    ]
    style = resources.files("lstmapps.report").joinpath("style.css").read_text(encoding="utf-8")
    page = (
        f"<!doctype html><html lang=en><meta charset=utf-8><title>{escape(model.name)}</title>"
        f'<meta name=viewport content="width=device-width"><style>{style}</style>{"".join(sections)}</html>\n'
    )
    partial = path.with_name(path.name + ".partial")
    partial.write_text(page, encoding="utf-8")
    partial.replace(path)


def _scores(evaluation: Evaluation) -> str:
    rows = "".join(
        f"<tr><td>{name.upper()}<td class=n>{rate.value:.2f} %<td class=n>{rate.low:.2f} to {rate.high:.2f} %"
        f"<td class=n>{rate.substitutions}<td class=n>{rate.deletions}<td class=n>{rate.insertions}"
        f"<td class=n>{rate.length}"
        for name, rate in evaluation.scores.items()
    )
    head = "<tr><th>score<th class=n>value<th class=n>95 % interval<th class=n>substituted<th class=n>deleted"
    head += "<th class=n>inserted<th class=n>of"
    note = "<p class=soft>CER counts characters, WER words; intervals by bootstrap over samples.</p>"
    return f"<h2>Scores</h2><table>{head}{rows}</table>{note}"


def _learning(history: Sequence[dict[str, float]]) -> str:
    if not history:
        return ""
    loss = [(row["epoch"], row["train_loss"]) for row in history if "train_loss" in row]
    cer = [(row["epoch"], row["validation_cer"]) for row in history if "validation_cer" in row]
    wer = [(row["epoch"], row["validation_wer"]) for row in history if "validation_wer" in row]
    first = curves("loss, nats a symbol", {"train": loss})
    second = curves("errors on validation, %", {"CER": cer, "WER": wer})
    return f"<h2>Learning</h2>{first}{second}"


def _confusions(evaluation: Evaluation) -> str:
    names = {" ": "space", "": "nothing"}
    rows = "".join(
        f"<div><b>{escape(names.get(old, old))}</b> read as <b>{escape(names.get(new, new))}</b>: {count}</div>"
        for (old, new), count in evaluation.confusions().most_common(30)
    )
    return f"<h2>Confusions</h2><div class=columns>{rows or 'none'}</div>"


def _groups(evaluation: Evaluation, group: str) -> str:
    """Return the scores of each group of samples, the worst first."""
    if group == EACH:
        return ""
    rates = sorted(evaluation.by_group(group).items(), key=lambda item: -item[1]["wer"].value)
    rows = "".join(
        f"<tr><td>{escape(name)}<td class=n>{scores['cer'].value:.2f} %<td class=n>{scores['wer'].value:.2f} %"
        f"<td class=n>{scores['wer'].substitutions}<td class=n>{scores['wer'].deletions}"
        f"<td class=n>{scores['wer'].insertions}<td class=n>{scores['wer'].length}"
        for name, scores in rates
    )
    head = "<tr><th>group<th class=n>CER<th class=n>WER<th class=n>words substituted<th class=n>deleted"
    return f"<h2>Groups</h2><table>{head}<th class=n>inserted<th class=n>of</tr>{rows}</table>"


def _streaming(model: Model, evaluation: Evaluation) -> str:
    """Return how far the readings of streamed inputs are those of whole ones, for models that stream exactly."""
    if not model.streams_exactly:
        return ""
    shown = evaluation.cases[:_STREAMED]
    differences = [stream_difference(model, case.prediction.sample) for case in shown]
    same = sum(text for text, _ in differences)
    greatest = max((difference for _, difference in differences), default=0.0)
    return (
        f"<h2>Streaming against offline</h2><p>Of {len(shown)} inputs, taken in pieces, {same} were read exactly as "
        f"whole ones; their posteriors differed by at most {greatest:.1e}. Look-ahead: "
        f"{model.look_ahead} steps of the input.</p>"
    )


def _worst(model: Model, evaluation: Evaluation) -> str:
    worst = sorted((c for c in evaluation.cases if c.errors), key=lambda c: -c.errors / max(1, len(c.reference)))
    lines = "".join(_line(model, case) for case in worst[:_WORST])
    return f"<h2>Worst samples</h2>{lines or '<p>Every sample was read without a fault.</p>'}"


def _line(model: Model, case: Case) -> str:
    reference, hypothesis = _marked(case.reference, case.hypothesis)
    rate = 100 * case.errors / max(1, len(case.reference))
    return (
        f"<div class=line>{_picture(model, case)}{_player(model, case)}"
        f"<div class=text>{reference}</div><div class=text>{hypothesis}</div>"
        f"<div class=soft>{escape(case.prediction.sample.id)}: {rate:.0f} % wrong, "
        f"confidence {100 * case.prediction.confidence:.0f} %</div></div>"
    )


def _picture(model: Model, case: Case) -> str:
    picture = model.domain.picture(case.prediction.sample)
    return f'<img alt="" src="{_data_url(picture)}">' if picture else ""


def _player(model: Model, case: Case) -> str:
    sound = model.domain.sound(case.prediction.sample)
    return f'<audio controls preload=none src="{_data_url(sound, "audio/flac")}"></audio>' if sound else ""


def _data_url(data: bytes, kind: str = "image/png") -> str:
    return f"data:{kind};base64," + base64.b64encode(data).decode()


def _png_size(png: bytes) -> tuple[int, int]:
    """Return width and height, which every PNG has at the same place."""
    return int.from_bytes(png[16:20], "big"), int.from_bytes(png[20:24], "big")


def _marked(reference: str, hypothesis: str) -> tuple[str, str]:
    """Return both texts as HTML, what differs marked."""
    old, new = [], []
    for block in Levenshtein.opcodes(reference, hypothesis):
        left = escape(reference[block.src_start : block.src_end])
        right = escape(hypothesis[block.dest_start : block.dest_end])
        same = block.tag == "equal"
        old.append(left if same or not left else f"<del>{left}</del>")
        new.append(right if same or not right else f"<ins>{right}</ins>")
    return "".join(old), "".join(new)


def _alignments(model: Model, evaluation: Evaluation) -> str:
    step = max(1, len(evaluation.cases) // _ALIGNED)
    drawings = []
    for case in evaluation.cases[::step][:_ALIGNED]:
        probabilities, size = model.posteriors(case.prediction.sample)
        picture = model.domain.picture(case.prediction.sample)
        characters = [(c.text, c.start, c.end, c.confidence) for c in case.prediction.characters]
        image = (_data_url(picture), *_png_size(picture)) if picture else None
        drawings.append(f"<div class='line scroll'>{alignment(probabilities, size, characters, image)}</div>")
    note = "Each curve is the probability of one symbol at each step; the letters stand where they were read."
    return f"<h2>Alignments</h2><p class=soft>{note}</p>{''.join(drawings)}"
