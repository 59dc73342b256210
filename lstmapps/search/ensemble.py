"""Several decoders that write one text together."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor


class Ensemble:
    """A decoder whose probabilities, and attention, are the mean of those of several, see `lstmapps.nn.StepDecoder`.

    They write the same symbols and read inputs of the same number of steps; its memory is a list, one for each.
    """

    def __init__(self, decoders: Sequence[Any]) -> None:
        if not decoders:
            raise ValueError("an ensemble has one decoder or more")
        self.decoders = list(decoders)

    def init_state(self, memory: Sequence[Tensor], lengths: Tensor) -> tuple[Any, ...]:
        return tuple(d.init_state(each, lengths) for d, each in zip(self.decoders, memory, strict=True))

    def step(self, tokens: Tensor, state: tuple[Any, ...]) -> tuple[Tensor, tuple[Any, ...], Tensor]:
        """Return the log of the mean probability as logits; of one decoder alone, its own logits."""
        if len(self.decoders) == 1:
            logits, after, attention = self.decoders[0].step(tokens, state[0])
            return logits, (after,), attention
        results = [decoder.step(tokens, each) for decoder, each in zip(self.decoders, state, strict=True)]
        logs = torch.stack([logits.float().log_softmax(dim=1) for logits, _, _ in results])
        attention = torch.stack([attended for _, _, attended in results]).mean(dim=0)
        return logs.logsumexp(dim=0) - math.log(len(self.decoders)), tuple(after for _, after, _ in results), attention

    def reorder(self, state: tuple[Any, ...], index: Tensor) -> tuple[Any, ...]:
        return tuple(decoder.reorder(each, index) for decoder, each in zip(self.decoders, state, strict=True))
