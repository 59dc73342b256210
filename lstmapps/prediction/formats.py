"""The formats that every domain writes: text and JSON lines."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, TextIO

from lstmapps.errors import escaped
from lstmapps.prediction.results import Piece, Prediction


def write_text(predictions: Iterable[Prediction], file: TextIO) -> None:
    """Write `input<TAB>text` a line; control characters and undecodable bytes in a name are escaped."""
    for prediction in predictions:
        file.write(f"{escaped(prediction.sample.id)}\t{prediction.text}\n")


def write_jsonl(predictions: Iterable[Prediction], file: TextIO) -> None:
    """Write one JSON object a line, with everything a prediction holds; in ASCII where the file has no more."""
    encoding = (getattr(file, "encoding", None) or "utf-8").lower().replace("-", "")
    for prediction in predictions:
        line = json.dumps(as_json(prediction), ensure_ascii=not encoding.startswith("utf"))
        line = "".join(f"\\u{ord(c):04x}" if "\ud800" <= c <= "\udfff" else c for c in line)  # bytes of a file name
        file.write(line + "\n")


@dataclass(frozen=True)
class Format:
    """A way of writing predictions, as they come, to an open file.

    suffix: the ending of its files. document: a file holds the predictions of one source (a page, a
    recording) and no more.
    """

    write: Callable[[Iterable[Prediction], TextIO], None]
    suffix: str
    document: bool = False


FORMATS = {"text": Format(write_text, ".txt"), "jsonl": Format(write_jsonl, ".jsonl")}
"""What every domain writes."""


def as_json(prediction: Prediction) -> dict[str, Any]:
    result: dict[str, Any] = {
        "input": prediction.sample.id,
        "text": prediction.text,
        "confidence": round(prediction.confidence, 4),
        "characters": [_piece(piece) for piece in prediction.characters],
        "words": [_piece(piece) for piece in prediction.words],
    }
    if prediction.score is not None:
        result["score"] = round(prediction.score, 4)
    if prediction.attended is not None and prediction.attended.read:
        result["read"] = prediction.attended.read
        result["alignment"] = prediction.attended.pairs()
    if prediction.attended is not None and prediction.attended.grid is not None:
        result["grid"] = list(prediction.attended.grid)
    if prediction.alternatives:
        result["alternatives"] = [{"text": t, "score": round(s, 4)} for t, s in prediction.alternatives]
    return result


def _piece(piece: Piece) -> dict[str, Any]:
    return {
        "text": piece.text,
        "start": round(piece.start, 1),
        "end": round(piece.end, 1),
        "confidence": round(piece.confidence, 4),
    }
