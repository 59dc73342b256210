"""What a search is asked for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from torch import Tensor

LengthPenalty = Literal["none", "average", "wu"]

_WIDEST, _LONGEST = 1000, 10_000


@dataclass(frozen=True)
class Search:
    """How a decoder's outputs are searched; the defaults are a beam search.

    beam: how many texts are followed at a time; 1 is greedy. n_best: how many are returned, at most the beam.
    length_penalty: what a text's log-probability is divided by: nothing; "average", its length to the power of `alpha`;
        "wu", ((5 + length) / 6) ** alpha (Wu et al. 2016, eq. 14). The end counts in a length.
    coverage: weight of what the attention left out, beta of the same equation.
    block_ngrams: no sequence of so many symbols comes twice; 0 allows all.
    repetition: what the logits of symbols that have come are divided by, or multiplied if they are negative (Keskar
        et al. 2019, section 4.1); 1 leaves them.
    shortest, longest: bounds of a text's length, without the end; `longest` 0 is twice the memory's steps and 10.
    sample: draw instead of searching: `n_best` texts, of the logits divided by `temperature`, from the `top_k` most
        probable symbols (0: all), and those that make up `top_p` of the probability (Holtzman et al. 2020).
    groups: of the beam, each kept from what the groups before it chose at the same step by `diversity` for each
        (Vijayakumar et al. 2018).
    seed: of what is drawn.
    """

    beam: int = 5
    n_best: int = 1
    length_penalty: LengthPenalty = "average"
    alpha: float = 1.0
    coverage: float = 0.0
    block_ngrams: int = 0
    repetition: float = 1.0
    shortest: int = 0
    longest: int = 0
    sample: bool = False
    temperature: float = 1.0
    top_k: int = 0
    top_p: float = 1.0
    groups: int = 1
    diversity: float = 0.5
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("beam", "n_best", "block_ngrams", "shortest", "longest", "top_k", "groups", "seed"):
            if not isinstance(getattr(self, name), int):
                raise ValueError(f"{name} is a whole number, not {getattr(self, name)!r}")
        if not 1 <= self.beam <= _WIDEST:
            raise ValueError(f"a beam is 1 to {_WIDEST} wide, not {self.beam}")
        if not 1 <= self.n_best <= (_WIDEST if self.sample else self.beam):
            raise ValueError(f"n_best must lie between 1 and the beam of {self.beam}, not {self.n_best}")
        if self.length_penalty not in ("none", "average", "wu"):
            raise ValueError(f"there is no length penalty {self.length_penalty!r}; choose none, average or wu")
        for name in ("block_ngrams", "shortest", "longest", "top_k", "coverage", "diversity"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name} is 0 or more, not {getattr(self, name)}")
        if max(self.shortest, self.longest) > _LONGEST:
            raise ValueError(f"a text has at most {_LONGEST} symbols, not {max(self.shortest, self.longest)}")
        if self.longest and self.shortest > self.longest:
            raise ValueError(f"the shortest text, {self.shortest}, is longer than the longest, {self.longest}")
        for name in ("temperature", "repetition", "top_p"):
            if getattr(self, name) <= 0.0:
                raise ValueError(f"{name} is above 0, not {getattr(self, name)}")
        if self.top_p > 1.0:
            raise ValueError(f"top_p is at most 1, not {self.top_p}")
        if not 1 <= self.groups <= self.beam or self.beam % self.groups:
            raise ValueError(f"{self.groups} groups do not divide a beam of {self.beam}")

    @property
    def width(self) -> int:
        """How many texts are followed at a time."""
        return self.n_best if self.sample else self.beam

    def left_out(self, attention: Tensor) -> float:
        """Return what the attention (symbols, steps) left out, as a logarithm; 0 where it does not count."""
        return float(attention.sum(dim=0).clamp(1e-9, 1.0).log().sum()) if self.coverage else 0.0

    def penalised(self, log_probability: float, length: int, left_out: float = 0.0) -> float:
        """Return the score of a text of `length` symbols, its end counted; left_out: see `coverage`."""
        score = log_probability
        if self.length_penalty == "average":
            score /= float(length**self.alpha)
        elif self.length_penalty == "wu":
            score /= ((5.0 + length) / 6.0) ** self.alpha
        return score + self.coverage * left_out
