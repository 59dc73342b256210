"""Which symbols of one vocabulary stand for which of another: learnt from pairs of texts."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

_ROUNDS = 4
_CELLS = 10_000_000  # symbols read times symbols written, of all pairs: of more data every n-th pair is enough


def learn_lexicon(
    pairs: Sequence[tuple[Sequence[int], Sequence[int]]], read: int, written: int, size: int
) -> npt.NDArray[np.int32]:
    """Return (read, size): for each symbol that is read the `size` likeliest symbols to be written for it.

    pairs: texts in symbols; read, written: how many symbols there are of each kind, 0 included. By IBM's first model
    (Brown et al. 1993, "The mathematics of statistical machine translation", section 4.1). Row 0 has the most frequent
    symbols; where fewer are known a row goes on with 0.
    """
    lexicon = np.zeros((read, size), dtype=np.int32)
    cells = sum(len(a) * len(b) for a, b in pairs)
    some = pairs[:: -(-cells // _CELLS) or 1]
    together = [(np.unique(np.asarray(a, np.int64)), np.asarray(b, np.int64)) for a, b in some if len(a) and len(b)]
    if not together:
        return lexicon
    # every symbol written beside every symbol read of its pair, the same one written standing together
    keys = np.concatenate([(a * written + b[:, None]).ravel() for a, b in together])
    counts = np.concatenate([np.full(len(b), len(a)) for a, b in together])
    unique, places = np.unique(keys, return_inverse=True)
    begins = np.concatenate([[0], counts.cumsum()[:-1]])
    sources = unique // written
    probability = np.ones(len(unique))
    for _ in range(_ROUNDS):
        each = probability[places]
        share = each / np.repeat(np.add.reduceat(each, begins), counts)
        expected = np.bincount(places, weights=share, minlength=len(unique))
        probability = expected / np.bincount(sources, weights=expected, minlength=read)[sources]
    order = np.lexsort((-probability, sources))
    starts = np.searchsorted(sources[order], np.arange(read + 1))
    for source in range(1, read):
        best = (unique[order[starts[source] : starts[source + 1]]] % written)[:size]
        lexicon[source, : len(best)] = best
    frequency = np.bincount(np.concatenate([b for _, b in together]), minlength=written)
    frequency[0] = 0
    frequent = np.argsort(-frequency, kind="stable")[:size]
    lexicon[0, : len(frequent)] = np.where(frequency[frequent] > 0, frequent, 0)
    return lexicon
