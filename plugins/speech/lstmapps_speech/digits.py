"""Strings of spoken digits, made by a synthesiser: a data set that needs no download."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Literal

from lstmapps.data import Sample, Source
from lstmapps_speech.synthesis import Voice, speak

_WORDS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
_ACCENTS = ("en-us", "en-gb-x-rp", "en-gb-scotland", "en-029", "en-gb-x-gbclan", "en-gb-x-gbcwmd")
_VOICES = {
    "train": "f1 f2 f4 m1 m2 m3 m5 m7 m8 Alex Andrea Annie Denis Gene Lee Mario adam anika antonio belinda caleb "
    "david ed grandma ian linda max michel paul quincy steph travis zac",
    "validation": "f3 m4 Alicia edward robert shelby",
    "test": "f5 m6 Andy Michael victor aunty Hugo benjamin",
}


class SpokenDigits(Source):
    """Strings of digits spoken by eSpeak NG: the voices are synthetic, those of one part in no other.

    count: how many strings. Each has `shortest` to `longest` digits, and a voice, an accent, a pitch
    and a speed of its own.
    """

    def __init__(
        self,
        part: Literal["train", "validation", "test"],
        count: int,
        shortest: int = 3,
        longest: int = 7,
        sample_rate: int = 16_000,
        seed: int = 0,
    ) -> None:
        self.part, self.count = part, count
        self.shortest, self.longest = shortest, longest
        self.sample_rate, self.seed = sample_rate, seed

    def samples(self) -> Iterator[Sample]:
        generator = random.Random(f"{self.part} {self.seed}")
        voices = _VOICES[self.part].split()
        asked: list[tuple[str, Voice]] = []
        for _ in range(self.count):
            words = generator.choices(_WORDS, k=generator.randint(self.shortest, self.longest))
            voice = Voice(
                f"{generator.choice(_ACCENTS)}+{generator.choice(voices)}",
                rate=generator.randint(120, 180),
                pitch=generator.randint(30, 70),
                range=generator.randint(20, 80),
            )
            asked.append((" ".join(words), voice))
        sounds = speak(asked, self.sample_rate)
        for number, ((text, voice), sound) in enumerate(zip(asked, sounds, strict=True)):
            yield Sample(f"{self.part}-{number:05d}-{voice.name.partition('+')[2]}", sound, text)
