"""Subword units: pieces of words with the probabilities of a unigram model (Kudo 2018, "Subword regularization").

A space is written as `▁` at the beginning of the piece that follows it, as SentencePiece has it.
"""

from __future__ import annotations

import io
import math
from collections.abc import Iterable, Mapping

from lstmapps.errors import UserError

SPACE = "▁"


def learn_pieces(texts: Iterable[str], size: int) -> dict[str, float]:
    """Return about `size` pieces of the texts with their log-probabilities, learnt by SentencePiece.

    Every character of the texts is a piece. Raises UserError if the package sentencepiece is not there, or if
    `size` is too small.
    """
    try:
        import sentencepiece
    except ImportError:
        raise UserError(
            "units of several characters need the package sentencepiece; pip install 'lstmapps[pieces]'"
        ) from None
    trained = io.BytesIO()
    texts = list(texts)
    try:
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=iter(texts),
            model_writer=trained,
            vocab_size=size,
            model_type="unigram",
            character_coverage=1.0,
            normalization_rule_name="identity",
            hard_vocab_limit=False,
            bos_id=-1,
            eos_id=-1,
            minloglevel=2,
        )
    except (RuntimeError, OSError) as error:
        raise UserError(f"data.units is {size}, which the training texts do not allow ({error})") from None
    model = sentencepiece.SentencePieceProcessor(model_proto=trained.getvalue())
    pieces = {model.id_to_piece(i): float(model.get_score(i)) for i in range(len(model)) if not model.is_unknown(i)}
    least = min(pieces.values(), default=0.0) - 10.0
    characters = {SPACE if c == " " else c for text in texts for c in text} | {SPACE}
    return pieces | {c: least for c in sorted(characters) if c not in pieces}


def split(text: str, pieces: Mapping[str, float]) -> list[str]:
    """Return the most probable way to put a text together from pieces; raises KeyError on an unknown character."""
    marked = SPACE + text.replace(" ", SPACE) if text else ""
    longest = max(map(len, pieces), default=0)
    best: list[tuple[float, int]] = [(0.0, 0)]  # up to each place: the best score, and where its last piece begins
    for end in range(1, len(marked) + 1):
        ways = [
            (best[begin][0] + pieces[marked[begin:end]], begin)
            for begin in range(max(0, end - longest), end)
            if marked[begin:end] in pieces
        ]
        best.append(max(ways, default=(-math.inf, end - 1)))
    if best[-1][0] == -math.inf:
        raise KeyError(next(character for character in marked if character not in pieces))
    found: list[str] = []
    end = len(marked)
    while end:
        begin = best[end][1]
        found.append(marked[begin:end])
        end = begin
    return found[::-1]
