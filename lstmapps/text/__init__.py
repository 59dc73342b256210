"""Text as the core sees it: vocabularies and normalisation. Nothing here imports torch."""

from lstmapps.text.lexicon import learn_lexicon
from lstmapps.text.normalisation import Normalisation
from lstmapps.text.pieces import Units
from lstmapps.text.vocabulary import BLANK, Vocabulary, VocabularyChange, pieces_path

__all__ = [
    "BLANK",
    "Normalisation",
    "Units",
    "Vocabulary",
    "VocabularyChange",
    "learn_lexicon",
    "pieces_path",
]
