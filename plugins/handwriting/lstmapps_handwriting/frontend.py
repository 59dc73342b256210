"""The first layer of a handwriting network: raw columns of pixels to standardised ones."""

from __future__ import annotations

from torch import Tensor, nn

from lstmapps.nn import padding_mask


class LineFrontend(nn.Module):
    """Bring each line to mean 0 and deviation 1 over its own pixels, whatever the pen and the paper.

    Takes and returns x (batch, width, height) and lengths (batch,); zero beyond the lengths.
    """

    floor = 0.02  # of the deviation, on the scale 0 to 1: an empty line stays near zero

    def forward(self, x: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        padding = padding_mask(lengths, x.shape[1]).unsqueeze(2)
        x = x.masked_fill(padding, 0.0)
        pixels = (lengths * x.shape[2]).clamp(min=1)[:, None, None]
        mean = x.sum(dim=(1, 2), keepdim=True) / pixels
        x = (x - mean).masked_fill(padding, 0.0)
        deviation = (x.square().sum(dim=(1, 2), keepdim=True) / pixels).sqrt()
        return x / (deviation + self.floor), lengths
