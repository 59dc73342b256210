"""What is done to a text before it is learnt or scored: declared, and kept in the model package."""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass
from typing import Literal

UnicodeForm = Literal["NFC", "NFD", "NFKC", "NFKD"]


@dataclass(frozen=True)
class Normalisation:
    """Unicode form first, then lower case and no punctuation if asked for; runs of white space become one space.

    Without punctuation, apostrophes within words stay, and every other mark becomes a space.

    Readings are compared with references after the same treatment.
    """

    unicode_form: UnicodeForm = "NFC"
    lowercase: bool = False
    punctuation: bool = True

    def __call__(self, text: str) -> str:
        text = unicodedata.normalize(self.unicode_form, text)
        if self.lowercase:
            text = text.lower()
        if not self.punctuation:
            text = "".join(_unmarked(text, place) for place in range(len(text)))
        return " ".join(text.split())


def _unmarked(text: str, place: int) -> str:
    character = text[place]
    if unicodedata.category(character)[0] not in "PS":
        return character
    within = text[place - 1 : place].isalnum() and text[place + 1 : place + 2].isalnum()
    return "'" if character in "'’" and within else " "
