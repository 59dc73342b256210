"""How well texts answer to their references: scores by name, and their intervals. Nothing here imports torch."""

from collections.abc import Sequence

from lstmapps.errors import UserError, did_you_mean
from lstmapps.scores.bleu import BLEU
from lstmapps.scores.captions import BLEUn, CIDEr, RougeL, distinct
from lstmapps.scores.chrf import ChrF
from lstmapps.scores.match import ExactMatch
from lstmapps.scores.rates import EditCounts, ErrorRate, edit_counts
from lstmapps.scores.score import Measured, Score, measure

SCORES: dict[str, Score] = {
    score.name: score
    for score in (
        ErrorRate("cer", "character"),
        ErrorRate("wer", "word"),
        ExactMatch(),
        BLEU("bleu"),
        BLEU("bleu_lc", lowercase=True),
        ChrF(),
        *(BLEUn(n) for n in (1, 2, 3, 4)),
        RougeL(),
        CIDEr(clipped=False),
        CIDEr(clipped=True),
    )
}
"""Every score that a recipe can name."""


def score_named(name: str) -> Score:
    """Return a score by its name; raises UserError with the nearest one."""
    if name not in SCORES:
        hint = did_you_mean(name, list(SCORES)) or f"; choose from {', '.join(SCORES)}"
        raise UserError(f"there is no score {name!r}{hint}")
    return SCORES[name]


def scores_named(names: Sequence[str]) -> list[Score]:
    """Return scores by their names, the first of which decides; raises UserError if there is none."""
    if not names:
        raise UserError(f"no score is named; name one or more of {', '.join(SCORES)}")
    return [score_named(name) for name in names]


__all__ = [
    "BLEU",
    "SCORES",
    "BLEUn",
    "CIDEr",
    "ChrF",
    "EditCounts",
    "ErrorRate",
    "ExactMatch",
    "Measured",
    "RougeL",
    "Score",
    "distinct",
    "edit_counts",
    "measure",
    "score_named",
    "scores_named",
]
