"""Texts spoken by a synthesiser."""

from __future__ import annotations

import json
import struct
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from lstmapps.errors import UserError
from lstmapps_speech.signal import resample


@dataclass(frozen=True)
class Voice:
    """A voice and how it speaks.

    name: as eSpeak NG names it, `en-us+f3` being a language and a variant. rate: words a minute.
    pitch, range: of the pitch, 0 to 100.
    """

    name: str
    rate: int = 170
    pitch: int = 50
    range: int = 50


def speak(utterances: Sequence[tuple[str, Voice]], rate: int) -> list[NDArray[np.float32]]:
    """Return each text as its voice speaks it, at `rate` samples a second, amplitudes within [-1, 1].

    The same list gives the same sounds. Raises UserError if a voice is unknown or eSpeak NG cannot be run.
    """
    asked = json.dumps([{"text": text} | asdict(voice) for text, voice in utterances])
    command = [sys.executable, "-m", "lstmapps_speech.speaker"]
    done = subprocess.run(command, input=asked.encode(), capture_output=True, check=False)
    if done.returncode != 0:
        reason = done.stderr.decode(errors="replace").strip().rpartition("\n")[2]
        raise UserError(f"nothing could be spoken ({reason}); choose another voice, or reinstall espeakng-loader")
    (native_rate,) = struct.unpack_from("<i", done.stdout)
    place, sounds = 4, []
    for _ in utterances:
        (size,) = struct.unpack_from("<i", done.stdout, place)
        sound = np.frombuffer(done.stdout, "<i2", size // 2, place + 4).astype(np.float32) / 32768
        sounds.append(np.asarray(resample(torch.from_numpy(sound), native_rate, rate).numpy()))
        place += 4 + size
    return sounds
