"""Scripts written from right to left: between the order in which a text is read and that in which it stands on a line.

Texts are kept in logical order, as they are typed and read. On a line they stand in visual order, from left to
right (Unicode Standard Annex 9, the bidirectional algorithm, as python-bidi has it; brackets are mirrored). A text
without letters of such a script is the same in both.
"""

from __future__ import annotations

import re
import unicodedata

from lstmapps.errors import UserError


def visual_order(text: str) -> tuple[str, list[int]]:
    """Return a logical text as it stands on the line, and for each of its characters the place in `text`.

    The line begins at the side of its first letter. Raises UserError if python-bidi is needed and not there.
    """
    return _reordered(text, _first_direction(text)) if _from_right(text) else (text, list(range(len(text))))


def logical_order(text: str) -> tuple[str, list[int]]:
    """Return a visual text as it is read, and for each of its characters the place in `text`.

    Of the texts that would stand on the line in this way one is returned: several may, as the line does not show
    whether a Latin word at its left end begins or ends it.
    """
    if not _from_right(text):
        return text, list(range(len(text)))
    candidates = [_reordered(text, "R"), _by_runs(text), _reordered(text, "L")]
    return next((candidate for candidate in candidates if visual_order(candidate[0])[0] == text), candidates[1])


def _from_right(text: str) -> bool:
    return any(unicodedata.bidirectional(character) in ("R", "AL") for character in text)


def _first_direction(text: str) -> str:
    kinds = (unicodedata.bidirectional(character) for character in text)
    return next(("L" if kind == "L" else "R" for kind in kinds if kind in ("L", "R", "AL")), "L")


def _reordered(text: str, base: str) -> tuple[str, list[int]]:
    """Apply the bidirectional algorithm, which is nearly its own inverse, to one line."""
    try:
        from bidi import algorithm
    except ImportError:
        raise UserError(
            "texts written from right to left need the package python-bidi; pip install python-bidi"
        ) from None
    storage = algorithm.get_empty_storage()
    storage["base_dir"], storage["base_level"] = base, int(base == "R")
    algorithm.get_embedding_levels(text, storage)
    for place, character in enumerate(storage["chars"]):
        character["place"] = place
    algorithm.explicit_embed_and_overrides(storage, False)
    algorithm.resolve_weak_types(storage, False)
    algorithm.resolve_neutral_types(storage, False)
    algorithm.resolve_implicit_levels(storage, False)
    algorithm.reorder_resolved_levels(storage, False)
    algorithm.apply_mirroring(storage, False)
    characters = storage["chars"]
    return "".join(c["ch"] for c in characters), [c["place"] for c in characters]


def _by_runs(text: str) -> tuple[str, list[int]]:
    """Read a visual line from right to left, but each Latin word and each number in it from left to right."""
    runs = re.finditer(r"[^\W\d_\u0590-\u08ff\ufb1d-\ufdff\ufe70-\ufeff]+|\d+(?:[.,:/+-]\d+)*|.", text, re.DOTALL)
    places = [place for run in reversed(list(runs)) for place in range(run.start(), run.end())]
    mirrored = {"(": ")", ")": "(", "[": "]", "]": "[", "{": "}", "}": "{", "<": ">", ">": "<", "«": "»", "»": "«"}
    return "".join(mirrored.get(text[place], text[place]) for place in places), places
