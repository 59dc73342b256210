"""Batch normalisation that counts real steps only, in one process as in many."""

from __future__ import annotations

import torch
import torch.distributed.nn
from torch import Tensor, nn
from torch.nn import functional

from lstmapps.lengths import padding_mask


class SequenceBatchNorm(nn.Module):
    """Batch normalisation (Ioffe & Szegedy 2015) over (batch, channels, time, height) within lengths.

    Mean and variance are those of the steps inside each sequence's length, over all processes: neither
    padding nor the number of processes changes them. The result is zero in the padding. In evaluation
    the running averages are used (momentum 0.1, unbiased variance, as in torch).
    """

    def __init__(self, channels: int, momentum: float = 0.1, eps: float = 1e-5) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))
        self.register_buffer("running_mean", torch.zeros(channels))
        self.register_buffer("running_var", torch.ones(channels))
        self.running_mean: Tensor
        self.running_var: Tensor
        self.momentum, self.eps = momentum, eps

    def forward(self, x: Tensor, lengths: Tensor) -> Tensor:
        padding = padding_mask(lengths, x.shape[2])
        if not self.training:
            y = functional.batch_norm(x, self.running_mean, self.running_var, self.weight, self.bias, eps=self.eps)
            return y.masked_fill_(padding[:, None, :, None], 0.0)
        batch, channels, time, height = x.shape
        steps = x.permute(0, 2, 3, 1).reshape(batch * time, height * channels)
        inside = (~padding).flatten().nonzero().squeeze(1)
        rows = steps.index_select(0, inside).view(-1, channels)
        if torch.distributed.is_initialized() and torch.distributed.get_world_size() > 1:
            y = self._normalise_together(rows)
        else:
            y = functional.batch_norm(
                rows, self.running_mean, self.running_var, self.weight, self.bias, True, self.momentum, self.eps
            )
        y = torch.zeros_like(steps).index_copy(0, inside, y.view(len(inside), -1).to(steps.dtype))
        return y.view(batch, time, height, channels).permute(0, 3, 1, 2)

    def _normalise_together(self, rows: Tensor) -> Tensor:
        """Normalise with the statistics of all processes; gradients flow through their sums."""
        rows = rows.float()
        sums = torch.cat([rows.sum(0), rows.square().sum(0), rows.new_tensor([len(rows)])])
        sums = torch.distributed.nn.functional.all_reduce(sums)  # type: ignore[no-untyped-call]
        (total, squares), count = sums[:-1].chunk(2), sums[-1]
        mean = total / count
        variance = (squares / count - mean.square()).clamp(min=0.0)
        with torch.no_grad():
            self.running_mean.lerp_(mean, self.momentum)
            self.running_var.lerp_(variance * count / (count - 1), self.momentum)
        y: Tensor = (rows - mean) * torch.rsqrt(variance + self.eps) * self.weight + self.bias
        return y
