"""Recordings as files: their header, their samples at one rate, whole or in blocks."""

from __future__ import annotations

import io
import math
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

import numpy as np
import soundfile
import torch
from numpy.typing import NDArray
from torch import Tensor

from lstmapps.data import Sample
from lstmapps.errors import UserError
from lstmapps_speech.signal import resample

SUFFIXES = {".wav", ".flac", ".ogg", ".oga", ".opus", ".mp3", ".aif", ".aiff", ".au", ".sph"}
_MARGIN = 0.05  # seconds read on both sides of a block, so that resampling knows no borders
_BLOCK = 30.0  # seconds
_MOST_CHANNELS = 64  # of an array; more columns are rather one that lies on its side
_LOUDEST = 8.0  # 18 dB over full scale, which no float recording reaches; numbers beyond have another full scale
_INT16 = 32768.0
_CANCELLED = 1e-3  # of the energy of the loudest channel: 30 dB less are left of the mix


Channel = int | Literal["mix"]
"""A channel's number, from 0, or all of them averaged."""


@dataclass(frozen=True)
class Extent:
    """Which part of a recording is meant, in seconds; the duration is None up to its end.

    channel: which of its channels; None leaves it to the domain.
    """

    start: float = 0.0
    duration: float | None = None
    channel: int | None = None


def measured(sample: Sample, rate: int) -> Sample:
    """Return the sample with its size at `rate` (samples a second) and its extent; reads the header alone."""
    if not is_file(sample):
        x = sound_of(sample.source, sample.id)
        return replace(sample, size=len(x), region=Extent(0.0, len(x) / rate))
    channel = None if sample.region is None else sample.region.channel
    with _opened(sample.source) as file:
        begin, count = _frames(sample, file)
        size = math.ceil(count * _ratio(file.samplerate, rate))
        return replace(sample, size=size, region=Extent(begin / file.samplerate, count / file.samplerate, channel))


def waveform(sample: Sample, rate: int, channel: Channel = "mix") -> Tensor:
    """Return the sample's sound (samples, 1) at `rate`: its own channel, or else `channel`."""
    if not is_file(sample):
        return sound_of(sample.source, sample.id)
    with _opened(sample.source) as file:
        begin, count = _frames(sample, file)
        sound = _read(file, sample, begin, count, _mixing(sample, file, channel))
        return _resampled(sound, _ratio(file.samplerate, rate)).unsqueeze(1)


def blocks(sample: Sample, rate: int, channel: Channel = "mix") -> Iterator[Tensor]:
    """Yield what `waveform` returns in blocks of half a minute, for recordings that memory cannot hold."""
    if not is_file(sample):
        yield waveform(sample, rate)
        return
    with _opened(sample.source) as file:
        begin, count = _frames(sample, file)
        mixing = _mixing(sample, file, channel)
        ratio = _ratio(file.samplerate, rate)
        margin = ratio.denominator * math.ceil(_MARGIN * file.samplerate / ratio.denominator)
        step = ratio.denominator * math.ceil(_BLOCK * file.samplerate / ratio.denominator)
        for start in range(0, count, step):
            before, end = min(start, margin), min(start + step, count)
            after = min(count - end, margin)
            sound = _read(file, sample, begin + start - before, before + end - start + after, mixing)
            first = int(before * ratio)
            yield _resampled(sound, ratio)[first : first + math.ceil((end - start) * ratio)].unsqueeze(1)


def _ratio(given: int, wanted: int) -> Fraction:
    """Return wanted / given; odd rates are rounded, by less than a millionth, so that resampling stays cheap."""
    return Fraction(wanted, given).limit_denominator(1000)


def _resampled(sound: Tensor, ratio: Fraction) -> Tensor:
    return sound if ratio == 1 else resample(sound, ratio.denominator, ratio.numerator)


def is_file(sample: Sample) -> bool:
    """Tell whether a sample lies in a file, and is no array."""
    return isinstance(sample.source, str | os.PathLike)


def sound_of(array: Any, name: str = "the sound") -> Tensor:
    """Return an array or tensor given in Python as a sound (samples, 1) within [-1, 1].

    It is (samples,), or (samples, channels), which are averaged; floating-point numbers with a full scale
    of 1, or integers of 8, 16 or 32 bits with that of their type. Raises UserError for anything else.
    """
    x = array.detach().cpu().float().numpy() if isinstance(array, Tensor) and array.dtype == torch.bfloat16 else array
    x = np.asarray(x.detach().cpu() if isinstance(x, Tensor) else x)
    if x.dtype.kind == "u" and x.dtype.itemsize == 1:
        sound = (x.astype(np.float32) - 128) / 128
    elif x.dtype.kind == "i" and x.dtype.itemsize in (1, 2, 4):
        sound = (x.astype(np.float64) / 2.0 ** (8 * x.dtype.itemsize - 1)).astype(np.float32)
    elif x.dtype.kind == "f":
        sound = x.astype(np.float32)
    else:
        raise UserError(f"{name} holds {x.dtype}; give floating-point numbers within [-1, 1], or int16")
    if sound.ndim not in (1, 2) or sound.size == 0 or (sound.ndim == 2 and sound.shape[1] > _MOST_CHANNELS):
        raise UserError(f"{name} has the shape {sound.shape}; a sound is (samples,) or (samples, channels), not empty")
    if not np.isfinite(sound).all():
        raise UserError(f"{name} holds samples that are not numbers (NaN or infinite); replace them")
    if np.abs(sound).max() > _LOUDEST:
        raise UserError(f"{name} reaches {np.abs(sound).max():g}; full scale is 1, divide by that of your numbers")
    mono = sound if sound.ndim == 1 else sound.mean(axis=1)
    return torch.from_numpy(np.ascontiguousarray(mono)).unsqueeze(1)


@dataclass(frozen=True)
class _Mixing:
    """How the channels of a file become one: weights (channels,), by which they are multiplied and added."""

    weights: NDArray[np.float32]


def _mixing(sample: Sample, file: soundfile.SoundFile, channel: Channel) -> _Mixing:
    own = None if sample.region is None else sample.region.channel
    chosen = channel if own is None else own
    count = file.channels
    if chosen != "mix" and not 0 <= chosen < count:
        has = "one channel, 0" if count == 1 else f"the channels 0 to {count - 1}"
        raise UserError(f"{sample.source} has {has}, but channel {chosen} is asked for; choose another")
    peak, cancelled, loudest = _survey(str(sample.source), Path(sample.source).stat().st_mtime_ns)
    if peak > _INT16:
        raise UserError(f"{sample.source} reaches {peak:g}, beyond every full scale; save it as WAV of 16 bits")
    weights = np.zeros(count, np.float32)
    if chosen != "mix":
        weights[chosen] = 1.0
    elif cancelled:
        weights[loudest] = 1.0
        _say(f"{sample.source}: its channels cancel each other; the loudest is heard, channel {loudest}")
    else:
        weights[:] = 1.0 / count
    return _Mixing(weights / (_INT16 if peak > _LOUDEST else 1.0))


@lru_cache(maxsize=10_000)
def _say(message: str) -> None:
    """Say something on standard error, once."""
    print(message, file=sys.stderr)


@lru_cache(maxsize=256)
def _survey(path: str, changed: int) -> tuple[float, bool, int]:
    """Return of a file its peak, whether its channels cancel each other, and which is the loudest.

    Only files that can hold such are gone through: floating-point ones, whose full scale is 1 but in some that of
    16 bits, and those of several channels.
    """
    with _opened(path) as file:
        if file.channels == 1 and file.subtype not in ("FLOAT", "DOUBLE"):
            return 1.0, False, 0
        peak, mixed, each = 0.0, 0.0, np.zeros(file.channels)
        try:
            for block in file.blocks(blocksize=1 << 18, dtype="float32", always_2d=True):
                block = np.nan_to_num(block, posinf=0.0, neginf=0.0)
                peak = max(peak, float(np.abs(block).max(initial=0.0)))
                each += np.square(block, dtype=np.float64).sum(axis=0)
                mixed += float(np.square(block.mean(axis=1, dtype=np.float64)).sum())
        except soundfile.SoundFileError:
            pass  # reading the sample itself tells what is wrong
    if file.subtype not in ("FLOAT", "DOUBLE"):
        peak = 1.0
    return peak, mixed < _CANCELLED * each.max(), int(each.argmax())


@contextmanager
def _opened(path: str | os.PathLike[str]) -> Iterator[soundfile.SoundFile]:
    """Open a recording so that it can be sought in."""
    if not Path(path).is_file():
        raise UserError(f"{path} is not a file; check the path")
    try:
        file = soundfile.SoundFile(_finished(Path(path)) or os.fsencode(path))
        if not file.seekable():
            with file:
                whole = io.BytesIO()
                soundfile.write(
                    whole, file.read(file.frames, dtype="int16"), file.samplerate, format="WAV", subtype="PCM_16"
                )
            whole.seek(0)
            file = soundfile.SoundFile(whole)
    except (soundfile.SoundFileError, TypeError) as error:
        reason = str(error).rpartition(": ")[2].rstrip(".")
        raise UserError(f"{path} cannot be read as sound ({reason}); save it as WAV or FLAC") from None
    with file:
        yield file


class _Finished(io.RawIOBase):
    """A file with some of its bytes replaced."""

    def __init__(self, path: Path, bytes_at: dict[int, bytes]) -> None:
        self._file = path.open("rb")
        self._bytes_at = bytes_at

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = 0) -> int:
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        return self._file.tell()

    def readinto(self, buffer: Any) -> int:
        begin = self._file.tell()
        count = self._file.readinto(buffer)
        for place, content in self._bytes_at.items():
            for offset, byte in enumerate(content, place - begin):
                if 0 <= offset < count:
                    buffer[offset : offset + 1] = bytes([byte])
        return count

    def close(self) -> None:
        self._file.close()
        super().close()


def _finished(path: Path) -> _Finished | None:
    """Return a WAV whose header was never finished, its sizes still 0, with those of the file; else None."""
    with path.open("rb") as file:
        head = file.read(4096)
    if head[:4] != b"RIFF" or head[8:12] != b"WAVE":
        return None
    place, size = 12, path.stat().st_size
    while place + 8 <= len(head):
        name, length = head[place : place + 4], int.from_bytes(head[place + 4 : place + 8], "little")
        if name == b"data":
            if length or place + 8 >= size:
                return None
            rest = min(size - place - 8, 2**32 - 1)
            whole = min(size - 8, 2**32 - 1)
            return _Finished(path, {4: whole.to_bytes(4, "little"), place + 4: rest.to_bytes(4, "little")})
        place += 8 + length + length % 2
    return None


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


def _read(file: soundfile.SoundFile, sample: Sample, begin: int, count: int, mixing: _Mixing) -> Tensor:
    path = sample.source
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
    mono = sound @ mixing.weights
    if not np.isfinite(mono).all():
        raise UserError(f"{path} holds samples that are not numbers (NaN or infinite); save it again")
    return torch.from_numpy(mono)
