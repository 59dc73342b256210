"""What happens to lines of writing out there: x (width, height), 1 for ink."""

from __future__ import annotations

import numpy as np
import torch
from PIL import Image, ImageFilter
from torch import Tensor

from lstmapps import pictures
from lstmapps.data import Disturbance, tried

_RULE = 0.5  # darkness of a ruled line


def disturbances_of() -> list[Disturbance]:
    """Return what happens to lines."""
    return [
        Disturbance("inverted", 1, "", lambda x, _: 1 - x),
        *tried("two tones", "%", two_toned, 50),
        *tried("uneven light", "%", unevenly_lit, 25, 50),
        *tried("grey paper", "%", lambda x, percent: percent / 100 + (1 - percent / 100) * x, 20, 50),
        *tried("margins", "%", with_margins, 10, 25),
        *tried("turned", "degrees", turned, 1, 2, 3),
        *tried("resolution", "%", coarser, 75, 50),
        *tried("JPEG quality", "", compressed, 30, 10),
        *tried("noise", "%", noisy, 5, 10),
        *tried("blurred", "pixels", blurred, 1, 2),
        *tried("ruled", "lines", ruled, 1, 3),
        *tried("squared", "lines", squared, 2),
    ]


def unevenly_lit(x: Tensor, percent: float) -> Tensor:
    """Let the light fall by so many percent along the line, from either end."""
    light = 1 - percent / 100 * torch.linspace(0, 1, len(x)).unsqueeze(1)
    light = light.flip(0) if float(torch.rand(())) < 0.5 else light
    return 1 - (1 - x) * light


def two_toned(x: Tensor, percent: float) -> Tensor:
    """Make black what is darker than so many percent of the whole range, and white what is not."""
    return (x > percent / 100).float()


def with_margins(x: Tensor, percent: float) -> Tensor:
    """Leave paper around, so many percent of the height, at the height that the line had."""
    picture = _picture(x)
    margin = round(percent / 100 * picture.height)
    wider = Image.new("L", (picture.width + 2 * margin, picture.height + 2 * margin), _paper(picture))
    wider.paste(picture, (margin, margin))
    return _loaded(wider, picture.height)


def turned(x: Tensor, degrees: float) -> Tensor:
    """Turn to either side, at the height that the line had."""
    picture = _picture(x)
    side = 1 if float(torch.rand(())) < 0.5 else -1
    whole = picture.rotate(side * degrees, Image.Resampling.BICUBIC, expand=True, fillcolor=_paper(picture))
    return _loaded(whole, picture.height)


def coarser(x: Tensor, percent: float) -> Tensor:
    """Lose resolution: scale to so many percent, and back."""
    picture = _picture(x)
    size = (max(1, round(percent / 100 * picture.width)), max(1, round(percent / 100 * picture.height)))
    return _loaded(picture.resize(size, Image.Resampling.BILINEAR).resize(picture.size, Image.Resampling.BILINEAR))


def compressed(x: Tensor, quality: float) -> Tensor:
    """Keep as a JPEG file of a quality from 1 to 95."""
    return _loaded(pictures.as_jpeg(_picture(x), round(quality)))


def noisy(x: Tensor, percent: float) -> Tensor:
    """Add noise whose deviation is so many percent of the whole range."""
    return (x + percent / 100 * torch.randn_like(x)).clamp(0, 1)


def blurred(x: Tensor, pixels: float) -> Tensor:
    """Blur by a bell curve whose deviation is so many pixels of a line 64 high."""
    return _loaded(_picture(x).filter(ImageFilter.GaussianBlur(pixels * x.shape[1] / 64)))


def ruled(x: Tensor, count: float) -> Tensor:
    """Rule the paper with so many lines."""
    height = x.shape[1]
    thickness = max(1, height // 40)
    lines = torch.zeros(height)
    for number in range(round(count)):
        start = round((number + 1) / (count + 1) * height + (float(torch.rand(())) - 0.5) * height / (2 * count + 2))
        lines[start : start + thickness] = _RULE
    return torch.maximum(x, lines)


def squared(x: Tensor, count: float) -> Tensor:
    """Rule the paper in squares, so many to the height of the line."""
    side = x.shape[1] / count
    thickness = max(1, x.shape[1] // 60)
    dark = _RULE * float(torch.rand(()))
    across, down = ((torch.arange(size) + float(torch.rand(())) * side).remainder(side) < thickness for size in x.shape)
    return torch.maximum(x, dark * (across.unsqueeze(1) | down))


def _paper(picture: Image.Image) -> int:
    return int(np.median(np.asarray(picture)))


def _picture(x: Tensor) -> Image.Image:
    return Image.fromarray(((1 - x.T) * 255).round().to(torch.uint8).numpy(), "L")


def _loaded(picture: Image.Image, height: int | None = None) -> Tensor:
    if height is not None and picture.height != height:
        width = max(1, round(picture.width * height / picture.height))
        picture = picture.resize((width, height), Image.Resampling.BILINEAR)
    return 1 - torch.from_numpy(np.asarray(picture, dtype=np.float32).T.copy()) / 255
