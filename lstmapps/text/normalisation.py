"""What is done to a text before it is learnt or scored: declared, and kept in the model package."""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass
from typing import Literal

UnicodeForm = Literal["NFC", "NFD", "NFKC", "NFKD"]


@dataclass(frozen=True)
class Normalisation:
    """Unicode form first, then lower case if asked for; runs of white space become one space.

    Readings are compared with references after the same treatment.
    """

    unicode_form: UnicodeForm = "NFC"
    lowercase: bool = False

    def __call__(self, text: str) -> str:
        text = unicodedata.normalize(self.unicode_form, text)
        if self.lowercase:
            text = text.lower()
        return " ".join(text.split())
