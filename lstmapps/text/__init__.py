"""Text as the core sees it: vocabularies and normalisation. Nothing here imports torch."""

from lstmapps.text.normalisation import Normalisation
from lstmapps.text.vocabulary import BLANK, Vocabulary, VocabularyChange

__all__ = [
    "BLANK",
    "Normalisation",
    "Vocabulary",
    "VocabularyChange",
]
