"""From CTC logits to symbols: the best path, and prefix beam search."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor

from lstmapps.ctc.alignment import Span
from lstmapps.ctc.loss import ctc_loss
from lstmapps.lengths import padding_mask, refuse_nan

Rescorer = Callable[[int, Sequence[tuple[int, ...]]], Tensor]
"""Another model of the same inputs: ln p, (readings,), of a row's readings."""


@dataclass(frozen=True)
class Hypothesis:
    """A reading: its symbols, and the natural log of its probability (a language model's share included)."""

    symbols: tuple[int, ...]
    score: float


class LanguageModel(Protocol):
    """What prefix beam search asks of a language model; a state is what it remembers of a prefix."""

    def start(self) -> Any:
        """Return the state of the empty prefix."""

    def next(self, state: Any, symbol: int) -> Any:
        """Return the state after one more symbol."""

    def scores(self, state: Any) -> Tensor:
        """Return (symbols,): the log-weight of adding each symbol; that of the blank is not used."""

    def finish(self, state: Any) -> float:
        """Return the log-weight of ending there."""


def greedy_decode(logits: Tensor, lengths: Tensor, blank: int = 0) -> list[Hypothesis]:
    """Return for each sequence the labels of its most probable path (Graves et al. 2006, section 3.2).

    logits (batch, time, symbols), lengths (batch,). The score is the path's log-probability.
    """
    log_probabilities = logits.float().log_softmax(dim=2)
    best, path = log_probabilities.max(dim=2)
    padding = padding_mask(lengths, logits.shape[1])
    keep = (path != blank) & ~padding
    keep[:, 1:] &= path[:, 1:] != path[:, :-1]
    scores = best.masked_fill(padding, 0.0).sum(dim=1).tolist()
    return [Hypothesis(tuple(p[k].tolist()), s) for p, k, s in zip(path.cpu(), keep.cpu(), scores, strict=True)]


def greedy_spans(logits: Tensor, lengths: Tensor, blank: int = 0) -> list[list[Span]]:
    """Return the symbols of `greedy_decode` with their places and scores.

    A symbol spans the steps on which it is the most probable one without a break; its score is the
    highest probability it reaches there.
    """
    best, path = logits.float().softmax(dim=2).max(dim=2)
    results = []
    for probabilities, symbols, length in zip(best.tolist(), path.tolist(), lengths.tolist(), strict=True):
        spans: list[Span] = []
        previous = blank
        for step in range(length):
            symbol = symbols[step]
            if symbol != blank:
                if symbol == previous:
                    last = spans[-1]
                    spans[-1] = Span(symbol, last.start, step + 1, max(last.score, probabilities[step]))
                else:
                    spans.append(Span(symbol, step, step + 1, probabilities[step]))
            previous = symbol
        results.append(spans)
    return results


def beam_search(
    logits: Tensor,
    lengths: Tensor,
    beam: int = 16,
    n_best: int = 1,
    blank: int = 0,
    language_model: LanguageModel | None = None,
    rescorer: Rescorer | None = None,
) -> list[list[Hypothesis]]:
    """Return for each sequence its `n_best` most probable readings, best first.

    Prefix beam search (Hannun et al. 2014, algorithm 1; the search of Graves 2012, section 7.5) over
    the whole batch at once, no symbol cut off. The prefixes that are left are scored exactly, by the
    sum over all their paths; with a `rescorer`, the mean of its log-probability and that sum's
    counts. logits (batch, time, symbols), lengths (batch,).
    """
    if not 1 <= n_best <= beam:
        raise ValueError(f"n_best must lie between 1 and the beam of {beam}, not {n_best}")
    refuse_nan("logits", logits, lengths)
    log_probabilities = logits.float().log_softmax(dim=2) if logits.dtype.itemsize < 8 else logits.log_softmax(dim=2)
    batch, time, symbols = log_probabilities.shape
    beams = _Beams.empty(batch, beam, log_probabilities)
    memory = _Memory(language_model, batch, beam, symbols) if language_model else None
    for step in range(time):
        weights = memory.weights(log_probabilities) if memory else None
        beams.advance(log_probabilities[:, step], step < lengths.to(logits.device), blank, weights)
        if memory:
            memory.follow(*beams.history[-1])
    if memory:
        beams.language_score += memory.ends(log_probabilities)
    rows = enumerate(lengths.tolist())
    return [_rescored(beams, row, logits[row, :length], blank, rescorer)[:n_best] for row, length in rows]


def _rescored(beams: _Beams, row: int, logits: Tensor, blank: int, rescorer: Rescorer | None) -> list[Hypothesis]:
    """Return a row's prefixes with their exact probabilities, those of paths that left the beam included."""
    alive = [k for k, score in enumerate(beams.totals()[row].tolist()) if score > float("-inf")]
    readings = [beams.prefix(row, k) for k in alive]
    if not len(logits):
        return [Hypothesis((), 0.0)]
    count = len(readings)
    targets = torch.nn.utils.rnn.pad_sequence([torch.tensor(r, dtype=torch.long) for r in readings], batch_first=True)
    target_lengths = torch.tensor([len(reading) for reading in readings], device=logits.device)
    lengths = torch.full((count,), len(logits), device=logits.device)
    scores = -ctc_loss(logits.expand(count, -1, -1), lengths, targets.to(logits.device), target_lengths, blank)
    if rescorer is not None:
        scores = (scores + rescorer(row, readings)) / 2
    scores = scores + beams.language_score[row, alive]
    found = [Hypothesis(reading, score) for reading, score in zip(readings, scores.tolist(), strict=True)]
    return sorted(found, key=lambda hypothesis: -hypothesis.score)


@dataclass
class _Beams:
    """The prefixes alive after a step; all tensors (batch, beam)."""

    blank_score: Tensor  # log-probability of the paths that end in a blank
    symbol_score: Tensor  # of the paths that end in the prefix's last symbol
    language_score: Tensor
    last: Tensor  # last symbol, -1 for the empty prefix
    key: Tensor  # a hash that tells prefixes apart
    history: list[tuple[Tensor, Tensor]]  # at each step: the beam it came from, the symbol added or -1

    @classmethod
    def empty(cls, batch: int, beam: int, like: Tensor) -> _Beams:
        nothing = like.new_full((batch, beam), float("-inf"))
        blank_score = nothing.clone()
        blank_score[:, 0] = 0.0
        integers = torch.full((batch, beam), -1, dtype=torch.long, device=like.device)
        key = torch.arange(beam, device=like.device).expand(batch, beam) + 1
        return cls(blank_score, nothing, torch.zeros_like(nothing), integers, key, [])

    def totals(self) -> Tensor:
        return torch.logaddexp(self.blank_score, self.symbol_score) + self.language_score

    def advance(self, scores: Tensor, active: Tensor, blank: int, language: Tensor | None) -> None:
        """Take one step with the symbols' log-probabilities (batch, symbols) for the active rows."""
        batch, beam = self.last.shape
        symbols = scores.shape[1]
        both = torch.logaddexp(self.blank_score, self.symbol_score)
        known = self.last.clamp(min=0)
        stay_blank = both + scores[:, blank, None]
        stay_symbol = self.symbol_score + scores.gather(1, known)
        extend = both.unsqueeze(2) + scores.unsqueeze(1)
        repeated = self.blank_score.unsqueeze(2) + scores.gather(1, known).unsqueeze(2)
        extend = extend.scatter(2, known.unsqueeze(2), repeated.where((self.last >= 0).unsqueeze(2), extend[..., :1]))
        extend[..., blank] = float("-inf")

        # An extension that equals another prefix of the beam joins it instead of standing twice.
        joins = _extended_key(self.key.unsqueeze(2), known.unsqueeze(1)) == self.key.unsqueeze(1)
        joins &= (self.last >= 0).unsqueeze(1)
        places = known.unsqueeze(1).expand(batch, beam, beam)
        onto = extend.gather(2, places)
        arriving = onto.masked_fill(~joins, float("-inf")).amax(dim=1)
        stay_symbol = torch.logaddexp(stay_symbol, arriving)
        extend = extend.scatter_reduce(2, places, onto.masked_fill(joins, float("-inf")), "amin")

        stay_rank = torch.logaddexp(stay_blank, stay_symbol) + self.language_score
        extend_rank = extend + self.language_score.unsqueeze(2)
        if language is not None:
            extend_rank = extend_rank + language
        rank, chosen = torch.cat([stay_rank, extend_rank.flatten(1)], dim=1).topk(beam, dim=1)
        stays = chosen < beam
        place = (chosen - beam).clamp(min=0)
        parent = torch.where(stays, chosen, torch.div(place, symbols, rounding_mode="floor"))
        symbol = torch.where(stays, -1, place % symbols)

        nothing = float("-inf")
        new_blank = stay_blank.gather(1, parent).masked_fill(~stays, nothing)
        new_symbol = torch.where(stays, stay_symbol.gather(1, parent), extend.flatten(1).gather(1, place))
        new_language = self.language_score.gather(1, parent)
        if language is not None:
            new_language = new_language + language.flatten(1).gather(1, place).masked_fill(stays, 0.0)
        new_key = self.key.gather(1, parent)
        new_key = torch.where(stays, new_key, _extended_key(new_key, symbol))
        new_last = torch.where(stays, self.last.gather(1, parent), symbol)
        new_last = new_last.masked_fill(rank == nothing, -1)  # an impossible prefix is never joined

        rows = active.unsqueeze(1)
        here = torch.arange(beam, device=scores.device).expand(batch, beam)
        self.history.append((torch.where(rows, parent, here), torch.where(rows, symbol, -1)))
        self.blank_score = torch.where(rows, new_blank, self.blank_score)
        self.symbol_score = torch.where(rows, new_symbol, self.symbol_score)
        self.language_score = torch.where(rows, new_language, self.language_score)
        self.key = torch.where(rows, new_key, self.key)
        self.last = torch.where(rows, new_last, self.last)

    def prefix(self, row: int, k: int) -> tuple[int, ...]:
        symbols = []
        for parent, symbol in reversed(self.history):
            added = int(symbol[row, k])
            if added >= 0:
                symbols.append(added)
            k = int(parent[row, k])
        return tuple(reversed(symbols))


def _extended_key(key: Tensor, symbol: Tensor) -> Tensor:
    """Hash a prefix and one more symbol into 64 bits (a linear congruential step; overflow wraps)."""
    return (key ^ (symbol + 0x9E3779B9)) * 6364136223846793005 + 1442695040888963407


class _Memory:
    """What a language model remembers of each prefix of the beams."""

    def __init__(self, model: LanguageModel, batch: int, beam: int, symbols: int) -> None:
        self.model, self.symbols = model, symbols
        self.states = [[model.start()] * beam for _ in range(batch)]

    def weights(self, like: Tensor) -> Tensor:
        """Return (batch, beam, symbols)."""
        rows = torch.stack([self.model.scores(state) for states in self.states for state in states])
        if rows.shape[1:] != (self.symbols,):
            raise ValueError(f"a language model must score {self.symbols} symbols, not {tuple(rows.shape[1:])}")
        return rows.to(like).view(len(self.states), -1, self.symbols)

    def follow(self, parents: Tensor, symbols: Tensor) -> None:
        """Take the step that `_Beams.advance` took; both (batch, beam)."""
        for row, (sources, added) in enumerate(zip(parents.tolist(), symbols.tolist(), strict=True)):
            before = self.states[row]
            self.states[row] = [
                before[source] if symbol < 0 else self.model.next(before[source], symbol)
                for source, symbol in zip(sources, added, strict=True)
            ]

    def ends(self, like: Tensor) -> Tensor:
        """Return (batch, beam): the weight of ending at each prefix."""
        return torch.tensor([[self.model.finish(state) for state in states] for states in self.states]).to(like)
