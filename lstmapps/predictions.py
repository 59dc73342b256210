"""What prediction gives, and the formats that every domain writes: text and JSON lines."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, TextIO

from lstmapps.data.samples import Sample
from lstmapps.errors import escaped


@dataclass(frozen=True)
class Piece:
    """A character or word of a reading: where it was seen, [start, end) in steps of the input, and how
    sure the model is, as a calibrated probability that it is right."""

    text: str
    start: float
    end: float
    confidence: float


@dataclass(frozen=True)
class Prediction:
    """What was read in one input.

    confidence: the mean confidence of its characters; 0 for an empty reading.
    alternatives: other readings, best first, with the natural log of their probability.
    """

    sample: Sample
    text: str
    confidence: float
    characters: list[Piece] = field(default_factory=list)
    words: list[Piece] = field(default_factory=list)
    alternatives: list[tuple[str, float]] = field(default_factory=list)


@dataclass(frozen=True)
class Failure:
    """An input that could not be read, and why, in one sentence; `error` is what was raised, if anything was."""

    sample: Sample
    reason: str
    error: Exception | None = None


def words_of(characters: list[Piece]) -> list[Piece]:
    """Join characters between spaces; a word is as sure as all its characters together."""
    words: list[Piece] = []
    begin = 0
    for i in range(len(characters) + 1):
        if i == len(characters) or characters[i].text.isspace():
            if i > begin:
                part = characters[begin:i]
                confidence = 1.0
                for character in part:
                    confidence *= character.confidence
                text = "".join(character.text for character in part)
                start, end = min(c.start for c in part), max(c.end for c in part)
                words.append(Piece(text, start, end, confidence))
            begin = i + 1
    return words


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
