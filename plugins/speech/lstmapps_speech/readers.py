"""Where recordings and their texts are listed: tables, manifests, and the layouts of well-known sets."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

from lstmapps.data import (
    Sample,
    distinct,
    read_columns,
    read_json_lines,
    read_lines,
    read_samples,
    read_table,
    tolerant,
)
from lstmapps.errors import UserError
from lstmapps_speech.audio import SUFFIXES, Extent
from lstmapps_speech.timit import read_timit

_AUDIO_COLUMNS = ("audio_filepath", "audio", "path", "file", "filename", "wav", "wav_filename")
_TEXT_COLUMNS = ("text", "transcript", "transcription", "sentence")


def read_source(source: str) -> Iterator[Sample]:
    """Yield the recordings of a source, no two with one id; its kind is told by its ending, a folder's by its files.

    - `.tsv`, `.txt`: lines of `audio<TAB>text`; a first line with `path` and `sentence` makes it Common
      Voice's, whose recordings lie in `clips/`;
    - `.csv`: a first line names the columns, one of the audio and, if known, one of the text;
    - `.jsonl`, `.json`: objects with `audio_filepath` and, if known, `text`, `offset`, `duration` (seconds), and
      `channel` (from 0);
    - `.transcription`: AN4 as it is published, with `.fileids` beside it;
    - a folder: a Kaldi data folder (`wav.scp`, `text`, `segments`, `reco2file_and_channel`), a LibriSpeech tree
      (`*.trans.txt`), TIMIT (`*.PHN`), or else its recordings, with the text of `name.txt` if that lies beside
      `name.wav`;
    - anything else: one recording.

    Paths are relative to the list that names them.
    """
    return distinct(_read(Path(source)))


def _read(path: Path) -> Iterator[Sample]:
    suffix = path.suffix.lower()
    if path.is_dir():
        yield from _folder(path)
    elif suffix in {".tsv", ".txt", ".csv", ".jsonl", ".json", ".transcription"} and not path.exists():
        raise UserError(f"{path} does not exist; check the path")
    elif suffix in {".tsv", ".txt"}:
        yield from _table(path)
    elif suffix == ".csv":
        yield from read_columns(path, ",", partial(_column_sample, path.parent))
    elif suffix in {".jsonl", ".json"}:
        yield from read_json_lines(path, ("audio_filepath",), partial(_manifest_sample, path.parent))
    elif suffix == ".transcription":
        yield from _an4(path)
    else:
        yield Sample(str(path), path)


def _table(path: Path) -> Iterator[Sample]:
    first = next((line for _, line in read_lines(path)), "").split("\t")
    if "path" in first and "sentence" in first:
        return read_columns(path, "\t", partial(_common_voice_sample, path.parent))
    return read_table(path)


def _common_voice_sample(folder: Path, place: str, row: dict[str, str]) -> Sample:
    """Return what a row of a table of Common Voice lists; an id is `speaker/file`."""
    return Sample(f"{row.get('client_id') or ''}/{row['path']}", folder / "clips" / row["path"], row["sentence"])


def _column_sample(folder: Path, place: str, row: dict[str, str]) -> Sample:
    audio = next((row[name] for name in _AUDIO_COLUMNS if row.get(name)), None)
    if audio is None:
        raise UserError(f"{place} names no recording; the first line needs one of {', '.join(_AUDIO_COLUMNS)}")
    text = next((row[name] for name in _TEXT_COLUMNS if row.get(name) is not None), None)
    return Sample(audio, folder / audio, text)


def _manifest_sample(folder: Path, place: str, entry: dict[str, Any]) -> Sample:
    recording = entry["audio_filepath"]
    offset, duration = _seconds(entry, "offset", place), _seconds(entry, "duration", place)
    if duration == 0:
        raise UserError(f"{place}: `duration` is 0; give the length in seconds, or leave it out")
    channel = entry.get("channel")
    if channel is not None and (isinstance(channel, bool) or not isinstance(channel, int) or channel < 0):
        raise UserError(f"{place}: `channel` is {channel!r}; give its number, from 0")
    # NeMo's manifests give the duration of whole recordings too, rounded: without an offset it is not binding
    part = Extent(offset or 0.0, None if offset is None else duration, channel)
    id_ = recording + ("" if offset is None else f"@{offset:.12g}") + ("" if channel is None else f":{channel}")
    return Sample(id_, folder / recording, entry["text"], region=None if part == Extent() else part)


def _seconds(entry: dict[str, Any], key: str, place: str) -> float | None:
    value = entry.get(key)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < float("inf"):
        raise UserError(f"{place}: `{key}` is {value!r}; give seconds, 0 or more")
    return float(value)


def _an4(path: Path) -> Iterator[Sample]:
    """Yield AN4 from `etc/an4_train.transcription`: `<s> TEXT </s> (name)`, recordings below `wav/`."""
    listed = path.with_suffix(".fileids")
    places = {line.rpartition("/")[2]: line for _, line in read_lines(listed)}

    def make(place: str, line: str) -> Sample:
        match = re.fullmatch(r"\s*(?:<s>)?(.*?)(?:</s>)?\s*\(([^()]+)\)\s*", line)
        if match is None or match[2] not in places:
            raise UserError(f"{place} is not `TEXT (name)` with a name out of {listed.name}; mend it")
        base = path.parent.parent / "wav" / places[match[2]]
        found = [base.with_suffix(s) for s in (".sph", ".wav", ".flac") if base.with_suffix(s).exists()]
        return Sample(match[2], found[0] if found else base.with_suffix(".sph"), match[1].strip())

    return read_samples(path, make)


def _folder(folder: Path) -> Iterator[Sample]:
    if (folder / "wav.scp").exists():
        yield from _kaldi(folder)
        return
    phones = sorted(path for path in folder.rglob("*") if path.suffix.lower() == ".phn")
    if phones:
        for transcript in phones:
            yield from tolerant(str(transcript), read_timit([transcript]))
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
        id_ = str(recording.relative_to(folder))
        yield from tolerant(id_, _recording(id_, recording))


def _recording(id_: str, recording: Path) -> Iterator[Sample]:
    """Yield a recording with the text beside it."""
    beside = recording.with_suffix(".txt")
    yield Sample(id_, recording, " ".join(line for _, line in read_lines(beside)) if beside.exists() else None)


def _librispeech(transcript: Path) -> Iterator[Sample]:
    def make(place: str, line: str) -> Sample:
        name, space, text = line.partition(" ")
        if not space:
            raise UserError(f"{place} has no text; each line is `utterance TEXT`")
        return Sample(name, transcript.parent / f"{name}.flac", text)

    return read_samples(transcript, make)


def _kaldi(folder: Path) -> Iterator[Sample]:
    """Yield a Kaldi data folder; an id is `speaker/utterance` where `utt2spk` names one."""
    places = _pairs(folder / "wav.scp")
    texts, speakers = _pairs(folder / "text"), _pairs(folder / "utt2spk")
    channels = {name: fields.split()[-1:] for name, fields in _pairs(folder / "reco2file_and_channel").items()}
    segments = folder / "segments"

    def sample(place: str, name: str, recording: str, start: float, duration: float | None, channel: str) -> Sample:
        if recording not in places:
            raise UserError(f"{place}: {name} is cut from {recording}, which {folder / 'wav.scp'} does not list")
        where = places[recording]
        if not where or where.endswith("|"):
            raise UserError(
                f"{folder / 'wav.scp'}: {recording} is made by a command, or names no file; convert it to a file first"
            )
        part = Extent(start, duration, _kaldi_channel(place, channel or "".join(channels.get(recording, []))))
        id_ = f"{speakers[name]}/{name}" if name in speakers else name
        found = folder / where if (folder / where).exists() else Path(where)  # Kaldi's paths start where it runs
        return Sample(id_, found, texts.get(name), region=None if part == Extent() else part)

    def segment(place: str, line: str) -> Sample:
        fields = line.split()
        try:
            if len(fields) not in (4, 5):
                raise ValueError
            start, end = float(fields[2]), float(fields[3])
        except ValueError:
            raise UserError(f"{place} is not `utterance recording start end [channel]`; mend it") from None
        return sample(place, fields[0], fields[1], start, None if end == -1 else end - start, "".join(fields[4:]))

    if segments.exists():
        yield from read_samples(segments, segment)
        return
    for name in places:
        try:
            yield sample(str(folder / "wav.scp"), name, name, 0.0, None, "")
        except UserError as error:
            yield Sample(name, None, fault=str(error))


def _kaldi_channel(place: str, channel: str) -> int | None:
    """Return the number of a channel, which Kaldi calls 0, 1, … or, as the NIST did, A, B; None if it is not given."""
    if channel in ("", "A", "B"):
        return {"": None, "A": 0, "B": 1}[channel]
    if not channel.isdecimal():
        raise UserError(f"{place}: the channel {channel!r} is none; give its number, from 0, or A or B")
    return int(channel)


def _pairs(path: Path) -> dict[str, str]:
    """Return the table `key value …` of a file, which need not be there."""
    if not path.exists():
        return {}
    lines = (line.strip().split(maxsplit=1) for _, line in read_lines(path))
    return {fields[0]: fields[1] if len(fields) > 1 else "" for fields in lines}
