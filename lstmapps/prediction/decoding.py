"""What is asked of a prediction, whatever the kind of network."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Decoding:
    """How a network's output is read.

    decoder: by its name; None is the package's own. n_best: how many readings are given. hot_words: words that are
    expected, which the beam search of a CTC network favours.
    search, must, must_not, prefix: of a network that writes by a decoder: settings of `lstmapps.search.Search`, texts
    that must or must not stand in what is written, as the pieces that they are cut into, and how it begins.
    shortlist: search only the symbols that may stand for what is read, if the network has noted them: faster, and
    nearly the same. ensemble: further networks of the same vocabularies, which write together with the first.
    """

    decoder: str | None = None
    n_best: int = 1
    hot_words: Sequence[str] = ()
    search: Mapping[str, Any] = field(default_factory=dict)
    must: Sequence[str] = ()
    must_not: Sequence[str] = ()
    prefix: str = ""
    shortlist: bool = False
    ensemble: Sequence[Any] = ()
