"""Drawing symbols at random."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from lstmapps.search.settings import Search


def draw(logs: Tensor, settings: Search, generators: Sequence[torch.Generator]) -> Tensor:
    """Draw a symbol for each row of log-probabilities (rows, symbols), by that row's generator; return (rows,).

    The temperature comes first, then what `top_k` and `top_p` leave.
    """
    logs = (logs / settings.temperature).log_softmax(dim=1)
    ordered, symbols = logs.sort(dim=1, descending=True)
    before = ordered.exp().cumsum(dim=1) - ordered.exp()
    out = before >= settings.top_p
    if settings.top_k:
        out[:, settings.top_k :] = True
    noise = torch.stack([torch.rand(logs.shape[1], generator=generator) for generator in generators])
    gumbel = -(-noise.clamp(min=1e-20).log()).log()
    best = (ordered + gumbel.to(ordered)).masked_fill(out, float("-inf")).argmax(dim=1)
    return symbols.gather(1, best.unsqueeze(1)).squeeze(1)
