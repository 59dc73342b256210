"""Pieces of words, learnt and applied by SentencePiece (Kudo & Richardson 2018).

A space is written as `▁` at the beginning of the piece that follows it.
"""

from __future__ import annotations

import io
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

from lstmapps.errors import UserError

SPACE = "▁"
UNKNOWN = SPACE + "⁇"
"""The symbol, in a vocabulary of whole words, of every word that it has not."""


@dataclass(frozen=True)
class Units:
    """What a text is cut into.

    count: about how many kinds of pieces there are; 0 stands for single characters, without SentencePiece.
    kind: pieces of a unigram model (Kudo 2018), of byte-pair encoding (Sennrich et al. 2016), or whole words.
    joint: one vocabulary for the texts that are read and those that are written.
    sampling: in training, how evenly the ways to cut a text that is read are drawn from (Kudo 2018, alpha: 0.1 is
        usual; for byte pairs the share of merges left out, Provilkov et al. 2020); 0 takes the best one always.
    """

    count: int = 0
    kind: Literal["unigram", "bpe", "word"] = "unigram"
    joint: bool = False
    sampling: float = 0.0

    def __post_init__(self) -> None:
        if self.count < 0 or not 0.0 <= self.sampling <= 1.0:
            raise ValueError(f"units have a count from 0 up and a sampling of 0 to 1, unlike {self}")
        if self.sampling and (self.kind == "word" or not self.count):
            raise ValueError("whole words, and characters, can be cut in one way only; leave units.sampling at 0")


class Pieces:
    """A SentencePiece model, given by the content of its file."""

    def __init__(self, content: bytes) -> None:
        self.content = content

    @classmethod
    def learn(cls, texts: Iterable[str], units: Units) -> Pieces:
        """Learn a model from texts; every character of them is a piece, unless pieces are whole words.

        Raises UserError if the package sentencepiece is not there, or if `units.count` does not fit the texts.
        """
        sentencepiece, trained = _sentencepiece(), io.BytesIO()
        try:
            sentencepiece.SentencePieceTrainer.train(
                sentence_iterator=iter(texts),
                model_writer=trained,
                vocab_size=units.count,
                model_type=units.kind,
                character_coverage=1.0,
                normalization_rule_name="identity",
                hard_vocab_limit=units.kind == "bpe",
                user_defined_symbols=[UNKNOWN] if units.kind == "word" else [],
                max_sentence_length=1 << 16,
                bos_id=-1,
                eos_id=-1,
                minloglevel=2,
            )
        except (RuntimeError, OSError) as error:
            reason = str(error).strip().split("\n")[-1]
            raise UserError(f"data.units is {units.count}, which the training texts do not allow ({reason})") from None
        return cls(trained.getvalue())

    @cached_property
    def _model(self) -> Any:
        model = _sentencepiece().SentencePieceProcessor()
        try:
            model.LoadFromSerializedProto(self.content)
            if model.unk_id() != 0:
                raise ValueError("its number 0 is not the unknown piece")
        except (RuntimeError, OSError, ValueError) as error:
            raise ValueError(f"it holds no SentencePiece model ({error})") from None
        return model

    def symbols(self) -> list[str]:
        """Return the pieces at 1, 2, …; number 0 stands for what is unknown. Raises ValueError for a damaged model."""
        return [self._model.id_to_piece(i) for i in range(1, len(self._model))]

    def cut(self, text: str) -> list[str]:
        """Return the best way to put a text together from pieces; unknown stretches stand as they are."""
        pieces: list[str] = self._model.encode_as_pieces(text)
        return pieces

    def drawn(self, text: str, sampling: float, seed: int) -> list[str]:
        """Return a way to cut a text that is drawn at random; see `Units.sampling`."""
        _sentencepiece().set_random_generator_seed(seed % 2**32)
        pieces: list[str] = self._model.encode(text, out_type=str, enable_sampling=True, alpha=sampling, nbest_size=-1)
        return pieces


def _sentencepiece() -> Any:
    try:
        import sentencepiece
    except ImportError:
        raise UserError(
            "units of several characters need the package sentencepiece; pip install 'lstmapps[pieces]'"
        ) from None
    return sentencepiece
