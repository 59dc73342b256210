"""Encoding inputs whole, or in blocks where they are too long to hold."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from lstmapps import streaming
from lstmapps.data import Domain, Inputs, Sample
from lstmapps.nn import CTCNetwork

_LONG = 5  # batches: inputs of more steps are read in blocks


def is_long(network: Any, domain: Domain, sample: Sample) -> bool:
    """Tell whether a measured sample is one to be read in blocks, by a network that can."""
    return (sample.size or 0) > _LONG * domain.batch_steps and streaming.streams(network)


@torch.inference_mode()
def encoded(network: CTCNetwork, domain: Domain, sample: Sample) -> Tensor:
    """Return the encoded steps (steps, output_size) of a measured sample; a long one is loaded in blocks."""
    if is_long(network, domain, sample):
        return torch.cat(list(encoded_blocks(network, domain, sample)))
    device = next(network.parameters()).device
    x = Inputs(domain).load(sample).unsqueeze(0).to(device)
    return network.encode(x, torch.tensor([x.shape[1]], device=device))[0][0]


@torch.inference_mode()
def encoded_blocks(network: CTCNetwork, domain: Domain, sample: Sample) -> Iterator[Tensor]:
    """Yield the encoded steps (steps, output_size) of a long sample, block by block."""
    state = streaming.init_state(network)
    for block in domain.load_blocks(sample):
        y, state = streaming.step(network, block, state)
        yield y
    yield streaming.finish(network, state)
