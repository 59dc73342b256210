"""TIMIT: its phone transcripts, folded to the 39 classes that results are published in."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from lstmapps.data import Sample, read_lines
from lstmapps.errors import UserError

# One letter for each class: the one-letter ARPAbet (Shoup 1980). Classes as in Lee & Hon 1989, table 3.
_LETTERS = {
    "a": "aa ao", "@": "ae", "A": "ah ax ax-h", "W": "aw", "Y": "ay", "b": "b", "C": "ch", "d": "d", "D": "dh",
    "F": "dx", "E": "eh", "R": "er axr", "e": "ey", "f": "f", "g": "g", "h": "hh hv", "I": "ih ix", "i": "iy",
    "J": "jh", "k": "k", "l": "l el", "m": "m em", "n": "n en nx", "G": "ng eng", "o": "ow", "O": "oy", "p": "p",
    "r": "r", "s": "s", "S": "sh zh", "t": "t", "T": "th", "U": "uh", "u": "uw ux", "v": "v", "w": "w", "y": "y",
    "z": "z", "-": "bcl dcl gcl pcl tcl kcl h# pau epi",
}  # fmt: skip
LETTER_OF = {phone: letter for letter, phones in _LETTERS.items() for phone in phones.split()} | {"q": ""}
"""The letter of each of TIMIT's 61 phones; the glottal stop q is left out, as it is in published results."""

CORE_TEST = frozenset(
    """
    mdab0 mwbt0 felc0 mtas1 mwew0 fpas0 mjmp0 mlnt0 fpkt0 mlll0 mtls0 fjlm0
    mbpm0 mklt0 fnlp0 mcmj0 mjdh0 fmgd0 mgrt0 mnjm0 fdhc0 mjln0 mpam0 fmld0
    """.split()  # noqa: SIM905
)
"""The speakers of the core test set, which published results are measured on."""


def read_timit(transcripts: Sequence[Path]) -> Iterator[Sample]:
    """Yield utterances from their phone transcripts; an id is `speaker/utterance`, lower case.

    A text is a string of phones, one letter each, runs of one class joined: its CER is the phone error
    rate. Sentences SA1 and SA2, which every speaker reads, are left out; below a folder named TEST
    only the speakers of the core test set are taken, as results are published.
    """
    for path in transcripts:
        speaker, utterance = path.parent.name.lower(), path.stem.lower()
        test = any(part.lower() == "test" for part in path.parts)
        if utterance.startswith("sa") or (test and speaker not in CORE_TEST):
            continue
        yield Sample(f"{speaker}/{utterance}", _recording(path), _phones(path))


def _recording(path: Path) -> Path:
    candidates = [path.with_suffix(suffix) for suffix in (".WAV", ".wav", ".flac")]
    return next((candidate for candidate in candidates if candidate.exists()), candidates[0])


def _phones(path: Path) -> str:
    letters: list[str] = []
    for number, line in read_lines(path):
        phone = line.split()[-1].lower()
        if phone not in LETTER_OF:
            raise UserError(f"{path}:{number}: {phone!r} is not one of TIMIT's phones; mend the line")
        letter = LETTER_OF[phone]
        if letter and letters[-1:] != [letter]:
            letters.append(letter)
    return "".join(letters)
