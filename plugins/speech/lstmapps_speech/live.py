"""Sound that is still arriving: raw PCM on standard input, and the microphone."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from lstmapps.errors import UserError

_PIECE = 0.1  # seconds


def standard_input() -> Iterator[Tensor]:
    """Yield sound (samples, 1) as it comes: 16-bit signed little-endian PCM, one channel, at the model's rate."""
    rest = b""
    while data := sys.stdin.buffer.read1(1 << 16):
        data = rest + data
        even = len(data) // 2 * 2
        rest = data[even:]
        if even:
            yield torch.from_numpy(np.frombuffer(data[:even], "<i2").astype(np.float32) / 32768).unsqueeze(1)


def microphone(rate: int) -> Iterator[Tensor]:
    """Yield what the microphone hears until the user presses Ctrl-C."""
    try:
        import sounddevice
    except (ImportError, OSError) as error:
        raise UserError(
            f"the microphone cannot be used ({error}); pip install 'lstmapps-speech[microphone]' and PortAudio"
        ) from None
    try:
        with sounddevice.InputStream(samplerate=rate, channels=1, dtype="float32") as stream:
            while True:
                heard, _ = stream.read(int(_PIECE * rate))
                yield torch.from_numpy(heard.copy())
    except KeyboardInterrupt:
        return
    except sounddevice.PortAudioError as error:
        raise UserError(f"the microphone cannot be opened ({error}); check that one is connected") from None
