"""How language models take part in the beam search over the symbols of a vocabulary.

A reading's score is ln p(symbols | input) + weight * ln p(text) + bonus * units (Hannun et al. 2014,
"First-pass large vocabulary continuous speech recognition using bi-directional recurrent DNNs", equation 3),
the units being what the language model counts: characters or words.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import torch
from torch import Tensor

from lstmapps.ctc import LanguageModel
from lstmapps.language_model.ngram import END, NEVER, Gram, NGramModel
from lstmapps.text import Vocabulary

SPACE_TOKEN = "\u2581"
"""What stands for a space in a model of characters, as SentencePiece writes it."""


def character_tokens(text: str) -> list[str]:
    """Cut a text into what a model of characters counts."""
    return [SPACE_TOKEN if character == " " else character for character in text]


class CharacterFusion:
    """A model of characters, asked at every symbol."""

    def __init__(self, model: NGramModel, vocabulary: Vocabulary, weight: float, bonus: float = 0.0) -> None:
        self.model, self.weight, self.bonus = model, weight, bonus
        self._tokens = [SPACE_TOKEN if symbol == " " else symbol for symbol in vocabulary.symbols]
        self._place = {token: i for i, token in enumerate(self._tokens, 1)}
        self._rows: dict[Gram, Tensor] = {}
        self._weighed: dict[Gram, Tensor] = {}

    def start(self) -> Gram:
        return self.model.start()

    def next(self, state: Gram, symbol: int) -> Gram:
        return self.model.shorten((*state, self.model.known(self._tokens[symbol - 1])))

    def scores(self, state: Gram) -> Tensor:
        if state not in self._weighed:
            self._weighed[state] = self._row(state) * self.weight + self.bonus
        return self._weighed[state]

    def finish(self, state: Gram) -> float:
        return self.weight * self.model.log_probability(END, state)

    def _row(self, context: Gram) -> Tensor:
        """Return (symbols,): ln p of each symbol after a context, the longest n-gram's before what it backs off to."""
        if context not in self._rows:
            if context:
                row = self._row(context[1:]) + self.model.backoffs.get(context, 0.0)
            else:
                row = torch.tensor([0.0, *(self.model.log_probability(token) for token in self._tokens)])
            for token, value in self.model.following.get(context, []):
                if token in self._place:
                    row[self._place[token]] = value
            self._rows[context] = row
        return self._rows[context]


class WordFusion:
    """A model of words, asked at the end of each word.

    unknown: added to the log-probability of a word that the model does not know.
    lexicon: the only words that may be read; without it any may.
    """

    def __init__(
        self,
        model: NGramModel,
        vocabulary: Vocabulary,
        weight: float,
        bonus: float = 0.0,
        *,
        unknown: float = -10.0,
        lexicon: Iterable[str] | None = None,
    ) -> None:
        self.model, self.weight, self.bonus, self.unknown = model, weight, bonus, unknown
        self._symbols = vocabulary.symbols
        self._words = None if lexicon is None else set(lexicon)
        self._beginnings = _beginnings(self._words or ())
        self._rows: dict[tuple[Gram, str], Tensor] = {}

    def start(self) -> tuple[Gram, str]:
        return self.model.start(), ""

    def next(self, state: tuple[Gram, str], symbol: int) -> tuple[Gram, str]:
        context, letters = state
        character = self._symbols[symbol - 1]
        return (self._after(context, letters), "") if character == " " else (context, letters + character)

    def scores(self, state: tuple[Gram, str]) -> Tensor:
        if state not in self._rows:
            context, letters = state
            row = torch.zeros(len(self._symbols) + 1)
            for place, character in enumerate(self._symbols, 1):
                if character == " ":
                    row[place] = self._word(context, letters)
                elif self._words is not None and letters + character not in self._beginnings:
                    row[place] = NEVER
            self._rows[state] = row
        return self._rows[state]

    def finish(self, state: tuple[Gram, str]) -> float:
        context, letters = state
        end = self.model.log_probability(END, self._after(context, letters))
        return self._word(context, letters) + self.weight * end

    def _after(self, context: Gram, letters: str) -> Gram:
        return self.model.shorten((*context, self.model.known(letters))) if letters else context

    def _word(self, context: Gram, letters: str) -> float:
        if not letters:
            return 0.0
        if self._words is not None and letters not in self._words:
            return NEVER
        penalty = 0.0 if (letters,) in self.model.probabilities else self.unknown
        return self.weight * (self.model.log_probability(letters, context) + penalty) + self.bonus


class HotWords:
    """Words that are expected: each that is read adds `weight` to the score.

    The weight is given letter by letter while a word may still become a hot one, and taken back where
    it does not, so that the search keeps it alive.
    """

    def __init__(self, words: Sequence[str], vocabulary: Vocabulary, weight: float = 5.0) -> None:
        self.weight = weight
        self._symbols = vocabulary.symbols
        self._words = set(words)
        self._shares: dict[str, float] = {}
        for word in words:
            for length in range(1, len(word) + 1):
                share = weight * length / len(word)
                self._shares[word[:length]] = max(share, self._shares.get(word[:length], 0.0))
        self._rows: dict[str, Tensor] = {}

    def start(self) -> str:
        return ""

    def next(self, state: str, symbol: int) -> str:
        character = self._symbols[symbol - 1]
        return "" if character == " " else state + character

    def scores(self, state: str) -> Tensor:
        if state not in self._rows:
            given = self._shares.get(state, 0.0)
            after = [
                self.finish(state) if c == " " else self._shares.get(state + c, 0.0) - given for c in self._symbols
            ]
            self._rows[state] = torch.tensor([0.0, *after])
        return self._rows[state]

    def finish(self, state: str) -> float:
        return (self.weight if state in self._words else 0.0) - self._shares.get(state, 0.0)


class Together:
    """Several models at once; their weights add up."""

    def __init__(self, models: Sequence[LanguageModel]) -> None:
        self.models = models

    def start(self) -> tuple[Any, ...]:
        return tuple(model.start() for model in self.models)

    def next(self, state: tuple[Any, ...], symbol: int) -> tuple[Any, ...]:
        return tuple(model.next(own, symbol) for model, own in zip(self.models, state, strict=True))

    def scores(self, state: tuple[Any, ...]) -> Tensor:
        return torch.stack([m.scores(own) for m, own in zip(self.models, state, strict=True)]).sum(dim=0)

    def finish(self, state: tuple[Any, ...]) -> float:
        return sum(model.finish(own) for model, own in zip(self.models, state, strict=True))


def _beginnings(words: Iterable[str]) -> set[str]:
    return {word[:length] for word in words for length in range(1, len(word) + 1)}
