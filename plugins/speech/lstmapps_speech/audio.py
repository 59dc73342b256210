"""Recordings as files: their header, their samples at one rate, whole or in blocks."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import soundfile
import torch
from torch import Tensor

from lstmapps.data import Sample
from lstmapps.errors import UserError
from lstmapps_speech.signal import resample

SUFFIXES = {".wav", ".flac", ".ogg", ".oga", ".opus", ".mp3", ".aif", ".aiff", ".au", ".sph"}
_MARGIN = 0.05  # seconds read on both sides of a block, so that resampling knows no borders
_BLOCK = 30.0  # seconds


@dataclass(frozen=True)
class Extent:
    """Which part of a recording is meant, in seconds; the duration is None up to its end."""

    start: float = 0.0
    duration: float | None = None


def measured(sample: Sample, rate: int) -> Sample:
    """Return the sample with its size at `rate` (samples a second) and its extent; reads the header alone."""
    if isinstance(sample.source, np.ndarray):
        return replace(sample, size=len(sample.source), region=Extent(0.0, len(sample.source) / rate))
    with _opened(sample.source) as file:
        begin, count = _frames(sample, file)
        size = math.ceil(count * _ratio(file.samplerate, rate))
        return replace(sample, size=size, region=Extent(begin / file.samplerate, count / file.samplerate))


def waveform(sample: Sample, rate: int) -> Tensor:
    """Return the sample's sound (samples, 1) at `rate`, its channels averaged."""
    if isinstance(sample.source, np.ndarray):
        return torch.from_numpy(sample.source).float().unsqueeze(1)
    with _opened(sample.source) as file:
        begin, count = _frames(sample, file)
        sound = _read(file, sample.source, begin, count)
        return _resampled(sound, _ratio(file.samplerate, rate)).unsqueeze(1)


def blocks(sample: Sample, rate: int) -> Iterator[Tensor]:
    """Yield what `waveform` returns in blocks of half a minute, for recordings that memory cannot hold."""
    if isinstance(sample.source, np.ndarray):
        yield waveform(sample, rate)
        return
    with _opened(sample.source) as file:
        begin, count = _frames(sample, file)
        ratio = _ratio(file.samplerate, rate)
        margin = ratio.denominator * math.ceil(_MARGIN * file.samplerate / ratio.denominator)
        step = ratio.denominator * math.ceil(_BLOCK * file.samplerate / ratio.denominator)
        for start in range(0, count, step):
            before, end = min(start, margin), min(start + step, count)
            after = min(count - end, margin)
            sound = _read(file, sample.source, begin + start - before, before + end - start + after)
            first = int(before * ratio)
            yield _resampled(sound, ratio)[first : first + math.ceil((end - start) * ratio)].unsqueeze(1)


def _ratio(given: int, wanted: int) -> Fraction:
    """Return wanted / given; odd rates are rounded, by less than a millionth, so that resampling stays cheap."""
    return Fraction(wanted, given).limit_denominator(1000)


def _resampled(sound: Tensor, ratio: Fraction) -> Tensor:
    return sound if ratio == 1 else resample(sound, ratio.denominator, ratio.numerator)


@contextmanager
def _opened(path: Path) -> Iterator[soundfile.SoundFile]:
    if not Path(path).is_file():
        raise UserError(f"{path} is not a file; check the path")
    try:
        file = soundfile.SoundFile(path)
    except (soundfile.SoundFileError, TypeError) as error:
        reason = str(error).rpartition(": ")[2].rstrip(".")
        raise UserError(f"{path} cannot be read as sound ({reason}); save it as WAV or FLAC") from None
    with file:
        yield file


def _frames(sample: Sample, file: soundfile.SoundFile) -> tuple[int, int]:
    """Return where the sample begins in its file, and how many frames it has."""
    extent = sample.region or Extent()
    begin = round(extent.start * file.samplerate)
    if extent.duration is None:
        count = file.frames - begin
    else:
        count = round(extent.duration * file.samplerate)
    if file.frames == 0:
        raise UserError(f"{sample.source} holds no sound (0 samples); record it again or remove it")
    if begin < 0 or count < 1 or begin + count > file.frames + file.samplerate // 10:
        length = file.frames / file.samplerate
        raise UserError(
            f"{sample.id}: {extent.start:g} s and {count / file.samplerate:g} s on lie outside {sample.source}, "
            f"which lasts {length:g} s; mend its offset and duration"
        )
    return begin, min(count, file.frames - begin)


def _read(file: soundfile.SoundFile, path: Path, begin: int, count: int) -> Tensor:
    try:
        file.seek(begin)
        sound = file.read(count, dtype="float32", always_2d=True)
    except soundfile.SoundFileError as error:
        reason = str(error).rpartition(": ")[2].rstrip(".")
        raise UserError(f"{path} is damaged ({reason}); copy it again") from None
    if len(sound) < count:
        raise UserError(
            f"{path} breaks off after {(begin + len(sound)) / file.samplerate:.2f} s of "
            f"{(begin + count) / file.samplerate:.2f} s; copy it again"
        )
    mono = sound.mean(axis=1)
    if not np.isfinite(mono).all():
        raise UserError(f"{path} holds samples that are not numbers (NaN or infinite); save it again")
    return torch.from_numpy(mono)
