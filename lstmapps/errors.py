"""What a user is told when something they gave cannot be used."""

from __future__ import annotations


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
