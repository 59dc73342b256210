"""Readings with their times: SRT and WebVTT subtitles, CTM, Praat TextGrids."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TextIO

from lstmapps.prediction import Piece, Prediction
from lstmapps_speech.audio import Extent

_LINE = 42  # characters of a subtitle, as broadcasters have it
_PAUSE = 0.8  # seconds of silence that end a subtitle
_LONGEST = 6.0  # seconds that a subtitle stays


def seconds(prediction: Prediction, steps: float) -> float:
    """Return the time in the recording of a place in the loaded sound, in seconds."""
    extent: Extent = prediction.sample.region
    return extent.start + steps * (extent.duration or 0.0) / (prediction.sample.size or 1)


def write_srt(predictions: Iterable[Prediction], file: TextIO) -> None:
    """Write a recording as SubRip subtitles."""
    for number, (start, end, text) in enumerate(_subtitles(predictions), start=1):
        file.write(f"{number}\n{_clock(start, ',')} --> {_clock(end, ',')}\n{text}\n\n")


def write_webvtt(predictions: Iterable[Prediction], file: TextIO) -> None:
    """Write a recording as WebVTT subtitles."""
    file.write("WEBVTT\n\n")
    for start, end, text in _subtitles(predictions):
        escaped = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
        file.write(f"{_clock(start, '.')} --> {_clock(end, '.')}\n{escaped}\n\n")


def write_ctm(predictions: Iterable[Prediction], file: TextIO) -> None:
    """Write a line for each word: recording, channel, start, duration, word, confidence (NIST)."""
    for prediction in predictions:
        source = prediction.sample.source
        name = "".join(Path(source if isinstance(source, str | Path) else prediction.sample.id).stem.split())
        for word in prediction.words:
            start, end = seconds(prediction, word.start), seconds(prediction, word.end)
            channel = (prediction.sample.region.channel or 0) + 1
            file.write(f"{name} {channel} {start:.2f} {max(0.01, end - start):.2f} {word.text} {word.confidence:.3f}\n")


def write_textgrid(predictions: Iterable[Prediction], file: TextIO) -> None:
    """Write a recording as a Praat TextGrid with a tier of words and one of characters."""
    predictions = list(predictions)
    end = max(seconds(p, p.sample.size or 1) for p in predictions)
    file.write('File type = "ooTextFile"\nObject class = "TextGrid"\n\n')
    file.write(f"xmin = 0\nxmax = {end:.4f}\ntiers? <exists>\nsize = 2\nitem []:\n")
    tiers = {
        "words": [(p, word) for p in predictions for word in p.words],
        "characters": [(p, c) for p in predictions for c in p.characters if c.text.strip()],
    }
    for number, (name, pieces) in enumerate(tiers.items(), start=1):
        intervals = _filled([(seconds(p, c.start), seconds(p, c.end), c.text) for p, c in pieces], end)
        file.write(f'    item [{number}]:\n        class = "IntervalTier"\n        name = "{name}"\n')
        file.write(f"        xmin = 0\n        xmax = {end:.4f}\n        intervals: size = {len(intervals)}\n")
        for place, (start, stop, text) in enumerate(intervals, start=1):
            quoted = text.replace('"', '""')
            file.write(f"        intervals [{place}]:\n            xmin = {start:.4f}\n            xmax = {stop:.4f}\n")
            file.write(f'            text = "{quoted}"\n')


def _filled(intervals: Sequence[tuple[float, float, str]], end: float) -> list[tuple[float, float, str]]:
    """Return intervals, in order, that cover the time from 0 to the end without a gap or an overlap."""
    filled: list[tuple[float, float, str]] = []
    now = 0.0
    for start, stop, text in sorted(intervals):
        start, stop = max(start, now), min(stop, end)
        if stop - start < 1e-4:
            continue
        if start - now > 1e-4:
            filled.append((now, start, ""))
        else:
            start = now
        filled.append((start, stop, text))
        now = stop
    if end - now > 1e-4 or not filled:
        filled.append((now, end, ""))
    return filled


def _subtitles(predictions: Iterable[Prediction]) -> Iterable[tuple[float, float, str]]:
    """Yield (start, end, text): words joined until a pause, a full line or the longest time."""
    for prediction in predictions:
        line: list[Piece] = []
        for word in prediction.words:
            if line and _ends(prediction, line, word):
                yield _subtitle(prediction, line)
                line = []
            line.append(word)
        if line:
            yield _subtitle(prediction, line)


def _ends(prediction: Prediction, line: list[Piece], word: Piece) -> bool:
    pause = seconds(prediction, word.start) - seconds(prediction, line[-1].end)
    whole = seconds(prediction, word.end) - seconds(prediction, line[0].start)
    width = sum(len(piece.text) + 1 for piece in line) + len(word.text)
    return pause > _PAUSE or whole > _LONGEST or width > _LINE


def _subtitle(prediction: Prediction, line: list[Piece]) -> tuple[float, float, str]:
    text = " ".join(piece.text for piece in line)
    return seconds(prediction, line[0].start), seconds(prediction, line[-1].end), text


def _clock(time: float, mark: str) -> str:
    milliseconds = round(time * 1000)
    minutes, rest = divmod(milliseconds, 60_000)
    return f"{minutes // 60:02}:{minutes % 60:02}:{rest // 1000:02}{mark}{rest % 1000:03}"
