"""What happens to sentences out there: they are typed in haste."""

from __future__ import annotations

import unicodedata

import torch

from lstmapps.data import Disturbance, tried

_ROWS = ("qwertyuiop", "asdfghjkl", "zxcvbnm")  # of a keyboard
_KEYS = "".join(_ROWS)
_ENDS = ".!?…。"


def disturbances_of() -> list[Disturbance]:
    """Return what happens to sentences."""
    return [
        *tried("typing errors", "%", mistyped, 1, 3, 10),
        Disturbance("small letters only", 1, "", lambda text, _: text.lower()),
        Disturbance("capitals only", 1, "", lambda text, _: text.upper()),
        Disturbance("no accents", 1, "", lambda text, _: without_accents(text)),
        Disturbance("no full stop", 1, "", lambda text, _: text.rstrip().rstrip(_ENDS)),
    ]


def mistyped(text: str, percent: float) -> str:
    """Return a text in which so many percent of the letters are left out, doubled, swapped with the next, or struck
    beside their key."""
    characters = list(text)
    typed: list[str] = []
    place = 0
    while place < len(characters):
        character = characters[place]
        place += 1
        if not character.isalpha() or float(torch.rand(())) * 100 >= percent:
            typed.append(character)
            continue
        mistake = int(torch.randint(4, ()))
        if mistake == 0:
            continue
        if mistake == 1 or (mistake == 3 and character.lower() not in _KEYS):
            typed.append(2 * character)
        elif mistake == 2 and place < len(characters):
            typed += [characters[place], character]
            place += 1
        else:
            typed.append(_beside(character))
    return "".join(typed)


def without_accents(text: str) -> str:
    """Return a text whose letters have lost what stands above and below them."""
    parts = unicodedata.normalize("NFD", text)
    return unicodedata.normalize("NFC", "".join(part for part in parts if not unicodedata.combining(part)))


def _beside(character: str) -> str:
    row = next(row for row in _ROWS if character.lower() in row)
    place = row.index(character.lower())
    near = row[max(0, place - 1) : place] + row[place + 1 : place + 2]
    struck = near[int(torch.randint(len(near), ()))]
    return struck.upper() if character.isupper() else struck
