"""What a user is told when something they gave cannot be used."""

from __future__ import annotations

import unicodedata


class UserError(Exception):
    """A mistake that its reader can mend: one sentence that names the file and the remedy.

    The command line prints it without a traceback and exits with 1; everything else that is raised
    is a defect of the program.
    """


def did_you_mean(name: str, known: list[str]) -> str:
    """Return `` (did you mean 'x'?)`` for the closest of `known`, or nothing."""
    from difflib import get_close_matches

    close = get_close_matches(name, known, n=1)
    return f" (did you mean {close[0]!r}?)" if close else ""


def cause(error: Exception, name: str) -> str:
    """Return one sentence on an error that the input `name` caused, whatever it is.

    Running out of memory is no fault of an input: it is raised again.
    """
    if isinstance(error, UserError):
        return str(error)
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError" or "t allocate" in str(error):
        raise error
    reason = " ".join(str(error).split())[:200]
    return f"{name} cannot be used ({type(error).__name__}: {reason}); replace or remove it, --debug shows more"


def escaped(text: str) -> str:
    """Return a text as one line that can be printed: control characters, line ends and undecodable bytes escaped."""
    return "".join(_escape(c) if unicodedata.category(c) in ("Cc", "Cs", "Zl", "Zp") else c for c in text)


def _escape(character: str) -> str:
    code = ord(character)
    if 0xDC80 <= code <= 0xDCFF:  # a byte that could not be decoded (PEP 383)
        return f"\\x{code - 0xDC00:02x}"
    return character.encode("unicode_escape").decode("ascii")
