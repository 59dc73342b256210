"""Beam search, and drawing, over any decoder that moves step by step, for a whole batch at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from lstmapps.search.constraints import END, NEVER, Constraints, Phrase, repeated, with_phrases
from lstmapps.search.drawing import draw
from lstmapps.search.settings import Search


@dataclass(frozen=True)
class Hypothesis:
    """A text that was found.

    symbols: without the end. score: by which hypotheses are sorted, see `Search`. log_probabilities: of each symbol,
    the end's last. attention (symbols and the end, steps): what was attended to when each was written.
    """

    symbols: Phrase
    score: float
    log_probabilities: tuple[float, ...]
    attention: Tensor = field(compare=False)


@torch.inference_mode()
def search(
    decoder: Any,
    memory: Any,
    lengths: Tensor,
    settings: Search = Search(),
    constraints: Sequence[Constraints] | None = None,
    seeds: Sequence[int] | None = None,
    never: Sequence[int] = (),
) -> list[list[Hypothesis]]:
    """Return for each row of a batch the best texts, best first, at most `settings.n_best`.

    decoder: see `lstmapps.nn.StepDecoder`; memory, lengths (batch,): what its `init_state` takes. constraints: of each
    row. seeds: of each row, for what is drawn, so that it does not depend on the other rows. never: symbols that no
    text has, such as that of an unknown word.
    Rows whose search is over leave the batch. Raises ValueError for constraints that no text within
    the longest length can keep; a row of them that the search did not meet is an empty list.
    """
    steps = lengths.tolist()
    if not steps:
        return []
    rows = [
        _Row(constraint, settings.longest or max(settings.shortest, 2 * count + 10), count, seed)
        for constraint, count, seed in zip(
            constraints or [Constraints()] * len(steps), steps, seeds or range(len(steps)), strict=True
        )
    ]
    for row in rows:
        row.constraints.refuse_impossible(row.longest)
        if settings.sample and row.constraints.must:
            raise ValueError("what must come can be searched for, not drawn")
    beams = _Beams(settings, rows, never, lengths.device)
    state = decoder.init_state(memory, lengths)
    index = torch.arange(len(rows), device=lengths.device).repeat_interleave(settings.width)
    while len(index):
        state = decoder.reorder(state, index)
        logits, state, attention = decoder.step(beams.last, state)
        index = beams.advance(logits.float(), attention.float())
    return [row.best(settings.n_best) for row in rows]


@dataclass
class _Row:
    """One row of the batch: what it may be, and what was found."""

    constraints: Constraints
    longest: int
    steps: int
    seed: int
    found: list[Hypothesis] = field(default_factory=list)

    def lacks(self, count: int) -> bool:
        """Tell whether fewer texts than that were found."""
        return len(self.found) < count

    def best(self, count: int) -> list[Hypothesis]:
        """Return the best texts, each once: groups of a beam may have found the same."""
        distinct = {each.symbols: each for each in sorted(self.found, key=lambda each: each.score)}
        return sorted(distinct.values(), key=lambda each: -each.score)[:count]


class _Beams:
    """The texts that are followed, `width` for each row that is still searched; tensors (rows, width, …)."""

    def __init__(self, settings: Search, rows: Sequence[_Row], never: Sequence[int], device: torch.device) -> None:
        self.settings, self.rows, self.never = settings, list(rows), list(never)
        width = settings.width
        self.score = torch.full((len(rows), width), NEVER, device=device)
        self.score[:, :: 1 if settings.sample else width // settings.groups] = 0.0  # all begin alike: one is enough
        self.symbols = torch.zeros(len(rows), width, 0, dtype=torch.long, device=device)
        self.logs = torch.zeros(len(rows), width, 0, device=device)
        self.attention: list[Tensor] = []  # of each step, (rows * width, steps)
        self.origins: list[list[int]] = []  # of each step's texts, their places in the step before
        self.generators = [
            [torch.Generator().manual_seed(_mixed(settings.seed, row.seed, k)) for k in range(width)]
            for row in (rows if settings.sample else ())
        ]

    @property
    def last(self) -> Tensor:
        """The last symbol of each text, (rows * width,)."""
        if not self.symbols.shape[2]:
            return torch.full((self.score.numel(),), END, device=self.score.device)
        return self.symbols[:, :, -1].flatten()

    def advance(self, logits: Tensor, attention: Tensor) -> Tensor:
        """Take a step by logits (rows * width, symbols), and write down what ends; return where what goes on is from.

        attention (rows * width, steps). The index (rows that go on * width,) is of places in what was given.
        """
        count, width = self.score.shape
        logs = self._allowed(logits).view(count, width, -1)
        self.attention.append(attention)
        parents, symbols, ends = self._choose(logs)
        for row, text in ends:
            self._finish(row, text, float(logs[row, text, END]))
        here = torch.arange(count, device=logs.device).unsqueeze(1)
        gained = logs[here, parents, symbols]
        score = (self.score[here, parents] + gained).masked_fill(symbols == END, NEVER)
        alive = (score > NEVER).any(dim=1).tolist()
        going = [row for row in range(count) if alive[row] and (self.settings.sample or self.rows[row].lacks(width))]
        chosen = torch.tensor(going, dtype=torch.long, device=logs.device)
        here, parents = chosen.unsqueeze(1), parents[chosen]
        self.rows = [self.rows[row] for row in going]
        self.generators = [self.generators[row] for row in going] if self.generators else []
        self.score = score[chosen]
        self.symbols = torch.cat([self.symbols[here, parents], symbols[chosen].unsqueeze(2)], dim=2)
        self.logs = torch.cat([self.logs[here, parents], gained[chosen].unsqueeze(2)], dim=2)
        index = (here * width + parents).flatten()
        self.origins.append(index.tolist())
        return index

    def _allowed(self, logits: Tensor) -> Tensor:
        """Return the log-probabilities of all symbols, minus infinity for those that must not come now."""
        settings, length, width = self.settings, self.symbols.shape[2], self.settings.width
        if settings.repetition != 1.0 and length:
            come = self.symbols.view(-1, length)
            given = logits.gather(1, come)
            less = torch.where(given > 0, given / settings.repetition, given * settings.repetition)
            logits = logits.scatter(1, come, less)
        logs = logits.log_softmax(dim=1)
        logs[:, self.never] = NEVER
        if length < settings.shortest:
            logs[:, END] = NEVER
        for number, row in enumerate(self.rows):
            mine = slice(number * width, (number + 1) * width)
            only = None
            if length >= row.longest:
                only = END
            elif length < len(row.constraints.prefix):
                only = row.constraints.prefix[length]
            if only is not None:
                kept = logs[mine, only].clone()
                logs[mine] = NEVER
                logs[mine, only] = kept
            if settings.block_ngrams or row.constraints.must_not or row.constraints.must:
                for place, text in enumerate(self._texts(number), start=number * width):
                    forced = length < len(row.constraints.prefix)
                    twice = () if forced else repeated(text, settings.block_ngrams)
                    logs[place, [*twice, *row.constraints.banned(text)]] = NEVER
        return logs

    def _choose(self, logs: Tensor) -> tuple[Tensor, Tensor, list[tuple[int, int]]]:
        """Return from which texts, and by which symbols, texts go on, (rows, width); and `(row, text)` that end."""
        if self.settings.sample:
            return self._drawn(logs)
        total = self.score.unsqueeze(2) + logs
        count, width, symbols = total.shape
        size = width // self.settings.groups
        parents: list[Tensor] = []
        chosen: list[Tensor] = []
        ends: list[tuple[int, int]] = []
        for begin in range(0, width, size):
            rank = total[:, begin : begin + size]
            for earlier in chosen:  # what the groups before have chosen is less worth
                times = torch.zeros(count, symbols, device=rank.device).scatter_add_(
                    1, earlier, torch.ones_like(earlier, dtype=rank.dtype)
                )
                rank = rank - self.settings.diversity * times.unsqueeze(1)
            values, places = rank.flatten(1).topk(min(2 * size, size * symbols), dim=1)
            parent = begin + torch.div(places, symbols, rounding_mode="floor")
            symbol = places % symbols
            ending = (symbol[:, :size] == END) & (values[:, :size] > NEVER)
            ends += [(row, int(parent[row, place])) for row, place in ending.nonzero().tolist()]
            on = (symbol == END).int().argsort(dim=1, stable=True)[:, :size]  # at most one end for each text
            parents.append(parent.gather(1, on))
            chosen.append(symbol.gather(1, on))
        parents_, chosen_ = torch.cat(parents, dim=1), torch.cat(chosen, dim=1)
        for number, row in enumerate(self.rows):
            if row.constraints.must:
                ends = [end for end in ends if end[0] != number]
                ends += self._with_phrases(number, total[number], parents_, chosen_)
        return parents_, chosen_, ends

    def _with_phrases(self, number: int, total: Tensor, parents: Tensor, chosen: Tensor) -> list[tuple[int, int]]:
        """Choose for a row with phrases that must come: fill its parents and symbols, return its ends."""
        pairs = with_phrases(total, self._texts(number), self.rows[number].constraints)
        going = [pair for pair in pairs if pair[1] != END]
        parents[number], chosen[number] = 0, END  # what is not filled goes on nowhere
        for place, (parent, symbol) in enumerate(going):
            parents[number, place], chosen[number, place] = parent, symbol
        return [(number, parent) for parent, symbol in pairs if symbol == END]

    def _drawn(self, logs: Tensor) -> tuple[Tensor, Tensor, list[tuple[int, int]]]:
        count, width = self.score.shape
        generators = [generator for row in self.generators for generator in row]
        symbols = draw(logs.flatten(0, 1), self.settings, generators).view(count, width)
        parents = torch.arange(width, device=logs.device).expand(count, width)
        ending = (symbols == END) & (self.score > NEVER)
        return parents, symbols, [(row, text) for row, text in ending.nonzero().tolist()]

    def _finish(self, number: int, text: int, end: float) -> None:
        """Write down a text that ends now, the log-probability of its end being `end`."""
        row, place = self.rows[number], number * self.settings.width + text
        looked = [self.attention[-1][place]]
        for attention, origins in zip(reversed(self.attention[:-1]), reversed(self.origins), strict=True):
            place = origins[place]
            looked.append(attention[place])
        symbols = tuple(self.symbols[number, text].tolist())
        logs = (*self.logs[number, text].tolist(), end)
        attended = torch.stack(looked[::-1])[:, : row.steps]
        score = self.settings.penalised(sum(logs), len(logs), self.settings.left_out(attended))
        row.found.append(Hypothesis(symbols, score, logs, attended))

    def _texts(self, number: int) -> list[Phrase]:
        """Return the texts of a row so far."""
        return [tuple(text) for text in self.symbols[number].tolist()]


def _mixed(*numbers: int) -> int:
    """Return a seed made of several numbers."""
    seed = 0
    for number in numbers:
        seed = (seed ^ number) * 6364136223846793005 + 1442695040888963407
        seed %= 2**63
    return seed
