"""The CTC loss, and how many steps a sequence of labels needs."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

from torch import Tensor
from torch.nn import functional


def ctc_loss(
    logits: Tensor,
    lengths: Tensor,
    targets: Tensor,
    target_lengths: Tensor,
    blank: int = 0,
    *,
    zero_infinity: bool = False,
) -> Tensor:
    """Return each sequence's -ln p(targets | logits), (batch,), in nats (Graves et al. 2006, eq. 12).

    logits (batch, time, symbols) are unnormalised; lengths (batch,); targets (batch, longest),
    padded with anything; target_lengths (batch,). Computed in float32 or better. A sequence that is
    too short for its targets has probability zero and loss infinity, or with `zero_infinity` loss 0 and no
    gradient: `steps_needed` tells before.
    """
    log_probabilities = logits.float() if logits.dtype.itemsize < 4 else logits
    return functional.ctc_loss(
        log_probabilities.log_softmax(dim=2).transpose(0, 1),
        targets,
        lengths,
        target_lengths,
        blank=blank,
        reduction="none",
        zero_infinity=zero_infinity,
    )


def steps_needed(symbols: Sequence[int]) -> int:
    """Return the shortest input that can carry these labels: one step each, and a blank between repeats."""
    return len(symbols) + sum(a == b for a, b in itertools.pairwise(symbols))
