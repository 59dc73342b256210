"""What a layer over grids, or sequences, promises of inputs that come in two pieces."""

from functools import partial

import torch

exactly = partial(torch.testing.assert_close, atol=1e-10, rtol=1e-10)


def assert_cut_changes_nothing(layer, x, place=2):
    """Check that x (batch, *sizes, input), cut along its last dimension, gives what the whole gives, and its state."""
    whole, end = layer(x)
    first, state = layer(x[..., :place, :])
    second, last = layer(x[..., place:, :], state=state)
    exactly(torch.cat([first, second], dim=-2), whole)
    exactly(last, end)
