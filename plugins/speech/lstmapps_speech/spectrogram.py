"""Pictures and sounds of recordings, for the report."""

from __future__ import annotations

import io

import numpy as np
import soundfile
import torch
from PIL import Image
from torch import Tensor

from lstmapps_speech.frontend import SpeechFrontend

_LONGEST = 60  # seconds that are shown or played
_COLOURS = np.array([(255, 255, 255), (205, 225, 240), (110, 160, 205), (35, 85, 150), (8, 20, 60)], dtype=np.float32)


def spectrogram(x: Tensor, rate: int) -> bytes:
    """Return a PNG of the sound x (samples, 1): 80 mel bands, low ones below, and a column every 10 ms."""
    frontend = SpeechFrontend(bands=80, sample_rate=rate, normalisation="none").eval()
    x = x[: _LONGEST * rate]
    frames, _ = frontend(x.unsqueeze(0), torch.tensor([len(x)]))
    y = frames[0].T.flip(0).numpy()
    low, high = np.percentile(y, (20, 99.5))
    place = np.clip((y - low) / max(high - low, 1e-3), 0, 1) * (len(_COLOURS) - 1)
    below = np.minimum(place.astype(int), len(_COLOURS) - 2)
    share = (place - below)[..., None]
    pixels = _COLOURS[below] * (1 - share) + _COLOURS[below + 1] * share
    buffer = io.BytesIO()
    Image.fromarray(pixels.astype(np.uint8)).save(buffer, "PNG", optimize=True)
    return buffer.getvalue()


def flac(x: Tensor, rate: int) -> bytes:
    """Return the sound x (samples, 1) as a FLAC file."""
    buffer = io.BytesIO()
    soundfile.write(buffer, x[: _LONGEST * rate].clamp(-1, 1).numpy(), rate, format="FLAC", subtype="PCM_16")
    return buffer.getvalue()
