"""N-gram language models: learnt, stored as ARPA files, and used in the CTC beam search."""

from lstmapps.language_model.arpa import ArpaFile, parse_arpa, read_arpa, write_arpa
from lstmapps.language_model.fusion import CharacterFusion, HotWords, Together, WordFusion, character_tokens
from lstmapps.language_model.ngram import NGramModel, estimate

__all__ = [
    "ArpaFile",
    "CharacterFusion",
    "HotWords",
    "NGramModel",
    "Together",
    "WordFusion",
    "character_tokens",
    "estimate",
    "parse_arpa",
    "read_arpa",
    "write_arpa",
]
