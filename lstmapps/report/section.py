"""A part of the report that one kind of network has."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Section:
    """A title, what is to be said, short lines in columns, and drawings (SVG) by the names of their files."""

    title: str
    text: str = ""
    lines: Sequence[str] = ()
    drawings: dict[str, str] = field(default_factory=dict)
