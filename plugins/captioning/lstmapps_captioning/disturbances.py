"""What happens to pictures out there: x (rows, 3 * columns), 0 to 1."""

from __future__ import annotations

import numpy as np
import torch
from PIL import Image, ImageFilter
from torch import Tensor

from lstmapps import pictures
from lstmapps.data import Disturbance, tried

_GREY = (128, 128, 128)  # what lies beyond the edge of a picture that is turned


def disturbances_of() -> list[Disturbance]:
    """Return what happens to pictures."""
    return [
        *tried("darker", "%", lambda x, percent: x * (1 - percent / 100), 50, 80),
        *tried("brighter", "%", lambda x, percent: (x * (1 + percent / 100)).clamp(0, 1), 50, 100),
        *tried("noise", "%", noisy, 5, 20),
        *tried("blurred", "pixels", blurred, 1, 3),
        *tried("cropped", "%", cropped, 10, 30),
        *tried("turned", "degrees", turned, 5, 15),
        *tried("JPEG quality", "", compressed, 20, 5),
        Disturbance("grey", 1, "", lambda x, _: grey(x)),
    ]


def noisy(x: Tensor, percent: float) -> Tensor:
    """Add noise whose deviation is so many percent of the whole range."""
    return (x + percent / 100 * torch.randn_like(x)).clamp(0, 1)


def blurred(x: Tensor, pixels: float) -> Tensor:
    """Blur by a bell curve whose deviation is so many pixels."""
    return _loaded(_picture(x).filter(ImageFilter.GaussianBlur(pixels)))


def cropped(x: Tensor, percent: float) -> Tensor:
    """Cut off so many percent of the width and of the height, anywhere, and scale what is left to the size."""
    picture = _picture(x)
    left, top = (round(float(torch.rand(())) * percent / 100 * side) for side in picture.size)
    width, height = (round((1 - percent / 100) * side) for side in picture.size)
    return _loaded(picture.resize(picture.size, Image.Resampling.BICUBIC, (left, top, left + width, top + height)))


def turned(x: Tensor, degrees: float) -> Tensor:
    """Turn to either side."""
    side = 1 if float(torch.rand(())) < 0.5 else -1
    return _loaded(_picture(x).rotate(side * degrees, Image.Resampling.BICUBIC, fillcolor=_GREY))


def compressed(x: Tensor, quality: float) -> Tensor:
    """Keep as a JPEG file of a quality from 1 to 95."""
    return _loaded(pictures.as_jpeg(_picture(x), round(quality)))


def grey(x: Tensor) -> Tensor:
    """Take the colours away."""
    return _loaded(_picture(x).convert("L").convert("RGB"))


def _picture(x: Tensor) -> Image.Image:
    pixels = (x.unflatten(1, (-1, 3)) * 255).round().to(torch.uint8)
    return Image.fromarray(pixels.numpy(), "RGB")


def _loaded(picture: Image.Image) -> Tensor:
    return torch.from_numpy(np.asarray(picture, dtype=np.float32) / 255).flatten(1)
