"""Changing what a trained network can write."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from lstmapps.nn.networks import CTCNetwork


def change_symbols(network: CTCNetwork, sources: Sequence[int | None]) -> None:
    """Give a network new symbols in place: row i starts as a copy of the old row `sources[i]`.

    A row without a source starts from the mean of all rows, so that it is neither loud nor silent.
    """
    _change_rows(network.head, sources)
    if network.auxiliary_head is not None:
        _change_rows(network.auxiliary_head, sources)
    if network.transducer is not None:
        _change_rows(network.transducer.head, sources)
        embedding = network.transducer.embedding
        embedding.weight = nn.Parameter(_rows(embedding.weight.detach(), sources))
        embedding.num_embeddings = len(sources)


def _change_rows(layer: nn.Linear | nn.Conv1d, sources: Sequence[int | None]) -> None:
    layer.weight = nn.Parameter(_rows(layer.weight.detach(), sources))
    if layer.bias is not None:
        layer.bias = nn.Parameter(_rows(layer.bias.detach(), sources))
    if isinstance(layer, nn.Linear):
        layer.out_features = len(sources)
    else:
        layer.out_channels = len(sources)


def _rows(old: Tensor, sources: Sequence[int | None]) -> Tensor:
    mean = old.mean(dim=0)
    return torch.stack([mean if source is None else old[source] for source in sources])
