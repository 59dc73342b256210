"""Reading inputs that are still arriving, or are too long to hold: step by step, by the network's own head."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from itertools import chain
from typing import Any

import torch
from torch import Tensor

from lstmapps import streaming
from lstmapps.ctc import Span
from lstmapps.data import Domain, Sample
from lstmapps.prediction.blocks import encoded_blocks
from lstmapps.prediction.ctc import CTCPredictor
from lstmapps.prediction.predictor import Predictor
from lstmapps.prediction.results import Piece, Prediction, prediction_of
from lstmapps.text import BLANK

_PART = 3000  # steps of a long input that are decoded together, about


@dataclass(frozen=True)
class Heard:
    """What a step of a stream has added: text that stays, and text after it that more input may change."""

    stable: str
    tentative: str
    characters: list[Piece]


@dataclass(frozen=True)
class Listening:
    """How far a stream has come: the states of the network and of its head, the steps read so far, and
    whether anything was said in them."""

    network: streaming.StreamState
    head: Any = None
    steps: int = 0
    begun: bool = False


class Listener:
    """Reads a network's inputs as they arrive; the network is one that can be run in steps.

    state = listener.init_state()
    heard, state = listener.step(chunk, state)
    rest = listener.finish(state)
    """

    def __init__(self, predictor: CTCPredictor, domain: Domain) -> None:
        self.predictor, self.domain = predictor, domain
        self.network = predictor.network

    @property
    def exact(self) -> bool:
        """Whether an input that is streamed is read as it is whole: a unidirectional model, no look at the whole."""
        return streaming.streams_exactly(self.network)

    @property
    def look_ahead(self) -> int:
        """How many steps of the input come after the beginning of one of the network's steps before it is certain."""
        return streaming.delay(self.network)

    def init_state(self) -> Listening:
        """Return the state in which nothing has been heard."""
        return Listening(streaming.init_state(self.network))

    def step(self, chunk: Tensor, state: Listening, *, tentative: bool = True) -> tuple[Heard, Listening]:
        """Take the next piece of an input, chunk (time, features), of any length; return what is read now.

        The stable texts of all steps and of `finish`, one after the other, are the reading; however the
        input was cut, they come out the same, for a unidirectional model as from `predict`. `state` stays
        as it is, so a step can be taken back. Without `tentative` a step costs less, and tells what is stable only.
        """
        x = self.domain.from_array(chunk) if len(chunk) else chunk
        y, network = streaming.step(self.network, x, state.network)
        heard, after = self._hear(y, replace(state, network=network))
        if tentative:
            rest, _ = self._hear(streaming.preview(self.network, after.network), after)
            heard = replace(heard, tentative=rest.stable)
        return heard, after

    def finish(self, state: Listening) -> Heard:
        """Return what is read of the rest when the input ends here; nothing of it is tentative."""
        heard, _ = self._hear(streaming.finish(self.network, state.network), state)
        return heard

    @torch.inference_mode()
    def read_long(self, sample: Sample) -> Prediction:
        """Read a measured sample in blocks, in bounded memory."""
        heard = self.predictor.decoder == "transducer"
        return prediction_of(sample, self._hear_all(sample) if heard else self._read_parts(sample))

    def _hear_all(self, sample: Sample) -> list[Piece]:
        characters, state = [], self.init_state()
        for y in encoded_blocks(self.network, self.domain, sample):
            heard, state = self._hear(y, state)
            characters += heard.characters
        return characters

    def _read_parts(self, sample: Sample) -> list[Piece]:
        """Decode parts of a long sample, cut where nothing is said, each by itself."""
        characters: list[Piece] = []
        begin, scale = 0, self._scale
        waiting: list[Tensor] = []
        blocks: Iterable[Tensor | None] = chain(encoded_blocks(self.network, self.domain, sample), [None])
        for y in blocks:
            waiting += [] if y is None else [y]
            held = torch.cat(waiting)
            if y is not None and len(held) < _PART:
                continue
            cut = len(held) if y is None else _quiet_place(self.network.head(held))
            part = replace(sample, size=cut * scale)
            if cut:
                steps = torch.tensor([cut], device=held.device)
                (found,) = self.predictor.read(held[:cut].unsqueeze(0), steps, [part], within=bool(characters))
                offset = begin * scale
                characters += [replace(c, start=c.start + offset, end=c.end + offset) for c in found.characters]
            begin, waiting = begin + cut, [held[cut:]]
        return characters

    @torch.inference_mode()
    def _hear(self, y: Tensor, state: Listening) -> tuple[Heard, Listening]:
        """Read encoded steps (steps, output_size) symbol by symbol, as the continuation of those before."""
        if not len(y):
            return Heard("", "", []), state
        steps = torch.tensor([len(y)], device=y.device)
        found, head = self.network.reader.greedy(y.unsqueeze(0), steps, state.head)
        spans: list[Span] = found[0]
        scale = self._scale
        pieces = self.predictor.pieces(spans, scale, len(y) * scale, state.steps * scale, within=state.begun)
        after = replace(state, head=head, steps=state.steps + len(y), begun=state.begun or bool(spans))
        return Heard("".join(piece.text for piece in pieces), "", pieces), after

    @property
    def _scale(self) -> int:
        """How many steps of the input make one of the network."""
        return int(self.network.frontend.stride * self.network.encoder.geometry()[0])  # type: ignore[operator]


def listener(predictor: Predictor, domain: Domain) -> Listener:
    """Return the listener of a predictor whose network can be run in steps."""
    assert isinstance(predictor, CTCPredictor), "a network that streams has a CTC head"
    return Listener(predictor, domain)


def _quiet_place(logits: Tensor) -> int:
    """Return the middle of the longest run of blanks in the second half of logits (steps, symbols)."""
    half = len(logits) // 2
    best, length, run = len(logits), 0, 0
    for step, symbol in enumerate(logits[half:].argmax(dim=1).tolist(), start=half):
        run = run + 1 if symbol == BLANK else 0
        if run > length:
            best, length = step + 1 - run // 2, run
    return best
