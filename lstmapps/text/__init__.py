"""Text as the core sees it: vocabularies, normalisation, error rates. Nothing here imports torch."""

from lstmapps.text.normalisation import Normalisation
from lstmapps.text.rates import EditCounts, ErrorRate, edit_counts, error_rate
from lstmapps.text.vocabulary import BLANK, Vocabulary, VocabularyChange

__all__ = [
    "BLANK",
    "EditCounts",
    "ErrorRate",
    "Normalisation",
    "Vocabulary",
    "VocabularyChange",
    "edit_counts",
    "error_rate",
]
