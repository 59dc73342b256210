"""What prediction gives: a text, the places of its characters and words, and how sure they are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from lstmapps.data.samples import Sample


@dataclass(frozen=True)
class Piece:
    """A character or word of a reading: where it was seen, [start, end) in steps of the input, or in cells of its grid
    counted row by row, and how sure the model is, as a calibrated probability that it is right."""

    text: str
    start: float
    end: float
    confidence: float


@dataclass(frozen=True)
class Attended:
    """What a decoder looked at: weights (written, read) of the words, or steps, that were read for each word written.

    read is empty where inputs are no texts. grid: rows and columns, where what was read are the cells of a grid.
    """

    read: list[str]
    written: list[str]
    weights: list[list[float]]
    grid: tuple[int, int] | None = None

    def pairs(self) -> list[tuple[int, int]]:
        """Return `(read, written)`, the place of what was looked at most for each word written."""
        return [(max(range(len(row)), key=row.__getitem__), i) for i, row in enumerate(self.weights) if any(row)]


@dataclass(frozen=True)
class Prediction:
    """What was read in one input.

    confidence: the mean confidence of its characters, or of a decoder's symbols the geometric one; 0 for an empty
    reading. alternatives: other readings, best first, with the natural log of their probability, or the score of a
    decoder's search, as which `score` is that of the text itself.
    """

    sample: Sample
    text: str
    confidence: float
    characters: list[Piece] = field(default_factory=list)
    words: list[Piece] = field(default_factory=list)
    alternatives: list[tuple[str, float]] = field(default_factory=list)
    score: float | None = None
    attended: Attended | None = None


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


def prediction_of(
    sample: Sample, characters: list[Piece], alternatives: Sequence[tuple[str, float]] = ()
) -> Prediction:
    """Return the prediction that characters make up; it is as sure as they are on average."""
    text = "".join(piece.text for piece in characters)
    confidence = sum(piece.confidence for piece in characters) / max(1, len(characters))
    return Prediction(sample, text, confidence, characters, words_of(characters), list(alternatives))
