"""Sounds for the tests: tones whose pitch tells their letter."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import soundfile

RATE = 16_000
_PITCH = {letter: 300 * 1.5**i for i, letter in enumerate("abcd")}


def tones(text: str, rate: int = RATE, seed: int = 0) -> np.ndarray:
    """Return a tone of 80 ms for each letter, with 40 ms of near silence between them, float32 in [-1, 1]."""
    generator = np.random.default_rng(seed)
    time = np.arange(int(0.08 * rate)) / rate
    parts = []
    for letter in text:
        tone = np.sin(2 * np.pi * _PITCH[letter] * time) if letter in _PITCH else np.zeros(len(time))
        parts += [0.5 * tone, np.zeros(int(0.04 * rate))]
    sound = np.concatenate([np.zeros(int(0.05 * rate)), *parts])
    return (sound + generator.normal(0, 0.001, len(sound))).astype(np.float32)


def write_tones(folder: Path, count: int, seed: int = 0) -> Path:
    """Write `count` recordings of 3 to 5 letters, of three speakers, and `train.tsv`, which lists them."""
    generator = random.Random(seed)
    folder.mkdir(parents=True, exist_ok=True)
    rows = []
    for number in range(count):
        text = "".join(generator.choices("abcd", k=generator.randint(3, 5)))
        name = f"s{number % 3}-{number:03}.wav"
        soundfile.write(folder / name, tones(text, seed=number), RATE)
        rows.append(f"{name}\t{text}\n")
    (folder / "train.tsv").write_text("".join(rows))
    return folder
