"""Variations of a picture, as other cameras would have taken it."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional


def vary_picture(x: Tensor, strength: float) -> Tensor:
    """Return a varied copy of x (rows, 3 * columns) in [0, 1].

    A part of the picture is cut out and scaled to its size, and brightness, contrast and colours change a little.
    Nothing is mirrored: a description may tell left from right. `strength` scales all of them.
    """
    rows = x.shape[0]
    image = x.view(rows, -1, 3).permute(2, 0, 1)
    share = 1.0 - 0.25 * strength * float(torch.rand(()))
    cut = image
    for axis in (1, 2):
        length = max(1, round(share * image.shape[axis]))
        cut = cut.narrow(axis, int(torch.randint(0, image.shape[axis] - length + 1, ())), length)
    image = functional.interpolate(cut[None], size=image.shape[1:], mode="bilinear", antialias=True)[0]
    gain = torch.exp(0.1 * strength * torch.randn(3, 1, 1)) * math.exp(0.2 * strength * float(torch.randn(())))
    mean = image.mean()
    image = (image - mean) * math.exp(0.2 * strength * float(torch.randn(()))) + mean
    return (image * gain).clamp(0, 1).permute(1, 2, 0).flatten(1).contiguous()
