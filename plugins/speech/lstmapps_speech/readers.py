"""Where recordings and their texts are listed: tables, manifests, and the layouts of well-known sets."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from lstmapps.data import Sample, read_json_lines, read_lines, read_table
from lstmapps.errors import UserError
from lstmapps_speech.audio import SUFFIXES, Extent
from lstmapps_speech.timit import read_timit

_AUDIO_COLUMNS = ("audio_filepath", "audio", "path", "file", "filename", "wav", "wav_filename")
_TEXT_COLUMNS = ("text", "transcript", "transcription", "sentence")


def read_source(source: str) -> Iterator[Sample]:
    """Yield the recordings of a source; its kind is told by its ending, a folder's by what is in it.

    - `.tsv`, `.txt`: lines of `audio<TAB>text`; a first line with `path` and `sentence` makes it Common
      Voice's, whose recordings lie in `clips/`;
    - `.csv`: a first line names the columns, one of the audio and, if known, one of the text;
    - `.jsonl`, `.json`: objects with `audio_filepath` and, if known, `text`, `offset`, `duration` (seconds);
    - `.transcription`: AN4 as it is published, with `.fileids` beside it;
    - a folder: a Kaldi data folder (`wav.scp`, `text`, `segments`), a LibriSpeech tree (`*.trans.txt`), TIMIT
      (`*.PHN`), or else its recordings, with the text of `name.txt` if that lies beside `name.wav`;
    - anything else: one recording.

    Paths are relative to the list that names them.
    """
    path = Path(source)
    suffix = path.suffix.lower()
    if path.is_dir():
        yield from _folder(path)
    elif suffix in {".tsv", ".txt", ".csv", ".jsonl", ".json", ".transcription"} and not path.exists():
        raise UserError(f"{path} does not exist; check the path")
    elif suffix in {".tsv", ".txt"}:
        yield from _table(path)
    elif suffix == ".csv":
        yield from _columns(path, ",")
    elif suffix in {".jsonl", ".json"}:
        yield from _manifest(path)
    elif suffix == ".transcription":
        yield from _an4(path)
    else:
        yield Sample(str(path), path)


def _table(path: Path) -> Iterator[Sample]:
    first = next(read_lines(path), (0, ""))[1].split("\t")
    if "path" in first and "sentence" in first:
        yield from _common_voice(path)
        return
    for _, name, text in read_table(path):
        yield Sample(name, path.parent / name, text)


def _common_voice(path: Path) -> Iterator[Sample]:
    """Yield what a table of Common Voice lists; an id is `speaker/file`."""
    for _, row in _rows(path, "\t"):
        yield Sample(
            f"{row.get('client_id') or ''}/{row['path']}", path.parent / "clips" / row["path"], row["sentence"]
        )


def _columns(path: Path, delimiter: str) -> Iterator[Sample]:
    for number, row in _rows(path, delimiter):
        audio = next((row[name] for name in _AUDIO_COLUMNS if row.get(name)), None)
        if audio is None:
            columns = ", ".join(_AUDIO_COLUMNS)
            raise UserError(f"{path}:{number} names no recording; the first line needs one of {columns}")
        text = next((row[name] for name in _TEXT_COLUMNS if row.get(name) is not None), None)
        yield Sample(audio, path.parent / audio, text)


def _rows(path: Path, delimiter: str) -> Iterator[tuple[int, dict[str, str]]]:
    """Yield `(line number, row)` of a table whose first line names its columns."""
    lines = [line for _, line in read_lines(path)]
    quoting = csv.QUOTE_MINIMAL if delimiter == "," else csv.QUOTE_NONE
    reader = csv.DictReader(lines, delimiter=delimiter, quoting=quoting)
    for row in reader:
        if None in row or None in row.values():
            raise UserError(f"{path}:{reader.line_num} has not as many columns as the first line; mend it")
        yield reader.line_num, row


def _manifest(path: Path) -> Iterator[Sample]:
    for number, entry in read_json_lines(path, ("audio_filepath",)):
        place, text = entry["audio_filepath"], entry.get("text")
        if not isinstance(place, str) or not isinstance(text, str | None):
            raise UserError(f"{path}:{number}: `audio_filepath` and `text` must be strings; mend the line")
        offset = _seconds(entry, "offset", path, number)
        duration = _seconds(entry, "duration", path, number)
        if duration == 0:
            raise UserError(f"{path}:{number}: `duration` is 0; give the length in seconds, or leave it out")
        # NeMo's manifests give the duration of whole recordings too, rounded: without an offset it is not binding
        extent = None if offset is None else Extent(offset, duration)
        id_ = place if offset is None else f"{place}@{offset:g}"
        yield Sample(id_, path.parent / place, text, region=extent)


def _seconds(entry: dict[str, Any], key: str, path: Path, number: int) -> float | None:
    value = entry.get(key)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < float("inf"):
        raise UserError(f"{path}:{number}: `{key}` is {value!r}; give seconds, 0 or more")
    return float(value)


def _an4(path: Path) -> Iterator[Sample]:
    """Yield AN4 from `etc/an4_train.transcription`: `<s> TEXT </s> (name)`, recordings below `wav/`."""
    listed = path.with_suffix(".fileids")
    places = {line.rpartition("/")[2]: line for _, line in read_lines(listed)}
    for number, line in read_lines(path):
        match = re.fullmatch(r"\s*(?:<s>)?(.*?)(?:</s>)?\s*\(([^()]+)\)\s*", line)
        if match is None or match[2] not in places:
            raise UserError(f"{path}:{number} is not `TEXT (name)` with a name out of {listed.name}; mend it")
        base = path.parent.parent / "wav" / places[match[2]]
        found = [base.with_suffix(s) for s in (".sph", ".wav", ".flac") if base.with_suffix(s).exists()]
        yield Sample(match[2], found[0] if found else base.with_suffix(".sph"), match[1].strip())


def _folder(folder: Path) -> Iterator[Sample]:
    if (folder / "wav.scp").exists():
        yield from _kaldi(folder)
        return
    phones = sorted(path for path in folder.rglob("*") if path.suffix.lower() == ".phn")
    if phones:
        yield from read_timit(phones)
        return
    transcripts = sorted(folder.rglob("*.trans.txt"))
    for transcript in transcripts:
        yield from _librispeech(transcript)
    if transcripts:
        return
    recordings = sorted(path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES)
    if not recordings:
        raise UserError(f"{folder} holds no recordings ({', '.join(sorted(SUFFIXES))}); check the path")
    for recording in recordings:
        beside = recording.with_suffix(".txt")
        text = " ".join(line for _, line in read_lines(beside)) if beside.exists() else None
        yield Sample(str(recording.relative_to(folder)), recording, text)


def _librispeech(transcript: Path) -> Iterator[Sample]:
    for number, line in read_lines(transcript):
        name, space, text = line.partition(" ")
        if not space:
            raise UserError(f"{transcript}:{number} has no text; each line is `utterance TEXT`")
        yield Sample(name, transcript.parent / f"{name}.flac", text)


def _kaldi(folder: Path) -> Iterator[Sample]:
    """Yield a Kaldi data folder; an id is `speaker/utterance` where `utt2spk` names one."""
    recordings = _pairs(folder / "wav.scp")
    texts = _pairs(folder / "text") if (folder / "text").exists() else {}
    speakers = _pairs(folder / "utt2spk") if (folder / "utt2spk").exists() else {}
    parts: dict[str, tuple[str, Extent | None]] = {name: (name, None) for name in recordings}
    segments = folder / "segments"
    if segments.exists():
        parts = {}
        for number, line in read_lines(segments):
            try:
                name, recording, start, end = line.split()
                parts[name] = (recording, Extent(float(start), float(end) - float(start)))
            except ValueError:
                raise UserError(f"{segments}:{number} is not `utterance recording start end`; mend it") from None
    for name, (recording, extent) in parts.items():
        if recording not in recordings:
            raise UserError(f"{segments}: {name} is cut from {recording}, which {folder / 'wav.scp'} does not list")
        place = recordings[recording]
        if place.endswith("|"):
            raise UserError(f"{folder / 'wav.scp'}: {recording} is made by a command; convert it to a file first")
        id_ = f"{speakers[name]}/{name}" if name in speakers else name
        found = folder / place if (folder / place).exists() else Path(place)  # Kaldi's paths start where it runs
        yield Sample(id_, found, texts.get(name), region=extent)


def _pairs(path: Path) -> dict[str, str]:
    return {key: value.strip() for _, line in read_lines(path) for key, _, value in [line.strip().partition(" ")]}
