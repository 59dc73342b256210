"""Encoders shared by all domains: convolutions over time and features, then a recurrent stack."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from lstmapps.lengths import padding_mask
from lstmapps.nn.cells import NAMED, Cell
from lstmapps.nn.noise import RecurrentNoise
from lstmapps.nn.normalisation import SequenceBatchNorm
from lstmapps.nn.recurrent import layer_of


@dataclass(frozen=True)
class Convolution:
    """One convolution of an encoder: its channels, its square kernel, and what follows it.

    Every convolution is followed by normalisation, a rectifier and, where `pool` is not (1, 1), a
    maximum over blocks of (time, features). `stride` is (time, features). `residual` adds the input
    to the output, where their shapes agree.
    """

    channels: int
    kernel: int = 3
    stride: tuple[int, int] = (1, 1)
    pool: tuple[int, int] = (1, 1)
    residual: bool = False

    def __post_init__(self) -> None:
        if min(self.channels, self.kernel, *self.stride, *self.pool) < 1:
            raise ValueError(f"channels, kernel, stride and pool of a convolution are at least 1, unlike {self}")


class ConvRecurrentEncoder(nn.Module):
    """Turn (batch, time, input_size) into (batch, shorter time, output_size).

    The input is treated as an image of one channel with the axes time and feature: the columns and
    rows of a line of writing, or the frames and bands of a spectrogram. The convolutions shrink
    both axes; the features that are left are joined (`features="join"`) or reduced to their maximum
    (`"max"`); the recurrent stack reads them in order. Without convolutions it is that stack alone.

    Padding never changes a result: whatever lies beyond a length is zero after every layer, and does
    not count in the batch normalisation of the convolutions.

    recurrent: the usual cell of that name, or any of `lstmapps.nn.cells`. dropout, variational, residual, noise: see
    `lstmapps.nn.recurrent.RecurrentLayer`. layer_norm: its `input_layer_norm`.

    A stack of one direction sees `look_ahead` steps of the future through one more convolution above it.

    forward(x, lengths) returns `(y, features, lengths)`: the encoded steps, what the recurrent stack
    read (for an auxiliary head), and their lengths.
    """

    def __init__(
        self,
        input_size: int,
        convolutions: Sequence[Convolution],
        hidden_size: int,
        num_layers: int,
        *,
        recurrent: Literal["lstm", "gru", "rnn"] | Cell = "lstm",
        bidirectional: bool = True,
        dropout: float = 0.0,
        variational: bool = False,
        layer_norm: bool = False,
        residual: bool = False,
        noise: RecurrentNoise | Mapping[str, Any] = RecurrentNoise(),
        features: Literal["join", "max"] = "join",
        look_ahead: int = 0,
        projection: int | None = None,
    ) -> None:
        super().__init__()
        blocks, channels, height = [], 1, input_size
        for spec in _specifications(convolutions):
            block = _ConvolutionBlock(spec, channels, height)
            blocks.append(block)
            channels, height = spec.channels, block.output_height
        self.convolutions = nn.ModuleList(blocks)
        self.features = features
        self.feature_size = channels if features == "max" and blocks else channels * height
        self.dropout, self.variational = dropout, variational
        cell = recurrent if isinstance(recurrent, Cell) else NAMED[recurrent]
        self.recurrent = layer_of(cell)(
            self.feature_size,
            hidden_size,
            num_layers,
            cell=cell,
            bidirectional=bidirectional,
            dropout=dropout,
            variational=variational,
            input_layer_norm=layer_norm,
            residual=residual,
            noise=RecurrentNoise(**noise) if isinstance(noise, Mapping) else noise,
        )
        width = self.recurrent.stack.output_size
        self.look_ahead = LookAhead(width, look_ahead) if look_ahead else None
        self.projection = nn.Linear(width, projection) if projection else None
        self.output_size = projection or width

    def forward(self, x: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        features, lengths = self.convolve(x, lengths)
        y, _ = self.recurrent(_drop_features(features, self.dropout, self.training), lengths)
        if self.look_ahead is not None:
            y = self.look_ahead(functional.pad(y, (0, 0, 0, self.look_ahead.steps)))
        if self.projection is not None:
            y = self.projection(y)
        if self.look_ahead is not None or self.projection is not None:
            y = y.masked_fill(padding_mask(lengths, y.shape[1]).unsqueeze(2), 0.0)
        return y, features, lengths

    def convolve(self, x: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Return what the recurrent stack reads (batch, steps, feature_size), and its lengths."""
        if not self.convolutions:
            return x, lengths
        image = x.unsqueeze(1).contiguous(memory_format=torch.channels_last)
        for block in self.convolutions:
            image, lengths = block(image, lengths)
        y = image.amax(dim=3).transpose(1, 2) if self.features == "max" else image.permute(0, 2, 3, 1).flatten(2)
        return y, lengths

    def geometry(self) -> tuple[int, int, int]:
        """Return `(stride, before, after)`: step u of `convolve` sees u * stride - before to u * stride + after."""
        stride, before, after = 1, 0, 0
        for block in reversed(self.convolutions):
            spec: Convolution = block.spec  # type: ignore[assignment]
            pad, pool = spec.kernel // 2, spec.pool[0]
            before = before * pool * spec.stride[0] + pad
            after = (after * pool + pool - 1) * spec.stride[0] + spec.kernel - 1 - pad
            stride *= pool * spec.stride[0]
        return stride, before, after

    def levels(self) -> list[nn.Module]:
        """Return the parts from the input up, the last being what stands above the recurrent stack."""
        stack = self.recurrent.stack
        layers = [nn.ModuleList(stack.level(index)) for index in range(stack.num_layers)]
        above = [part for part in (self.look_ahead, self.projection) if part is not None]
        return [*self.convolutions, *layers, nn.ModuleList(above)]

    def output_lengths(self, lengths: Tensor) -> Tensor:
        """Return how many steps come out for inputs of these lengths."""
        for block in self.convolutions:
            lengths = block.output_lengths(lengths)  # type: ignore[operator]
        return lengths


class LookAhead(nn.Module):
    """y_t = sum over j from 0 to `steps` of w_j * x_(t+j), for each feature apart (Wang et al. 2016,
    "Lookahead convolution layer for unidirectional recurrent neural networks", eq. 3).

    Takes x (batch, time + steps, features), returns y (batch, time, features).
    """

    def __init__(self, features: int, steps: int) -> None:
        super().__init__()
        self.steps = steps
        self.weight = nn.Parameter(torch.randn(features, 1, steps + 1) * 0.1)
        with torch.no_grad():
            self.weight[:, :, 0] += 1.0  # starts out near the identity

    def forward(self, x: Tensor) -> Tensor:
        return functional.conv1d(x.transpose(1, 2), self.weight, groups=len(self.weight)).transpose(1, 2)


class _ConvolutionBlock(nn.Module):
    """Convolution, batch normalisation, rectifier and pooling, on (batch, channels, time, height)."""

    def __init__(self, spec: Convolution, channels: int, height: int) -> None:
        super().__init__()
        self.spec = spec
        self.residual = spec.residual and channels == spec.channels and tuple(spec.stride) == (1, 1)
        stride, padding = (spec.stride[0], spec.stride[1]), spec.kernel // 2
        convolution = nn.Conv2d(channels, spec.channels, spec.kernel, stride, padding, bias=False)
        self.convolution = convolution.to(memory_format=torch.channels_last)
        nn.init.kaiming_normal_(self.convolution.weight, nonlinearity="relu")
        self.norm = SequenceBatchNorm(spec.channels)
        self.output_height = math.ceil(math.ceil(height / spec.stride[1]) / spec.pool[1])

    def forward(self, x: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        lengths = _shrink(lengths, self.spec.stride[0])
        y = functional.relu(self.norm(self.convolution(x), lengths))
        if self.residual:
            y = y + x
        if tuple(self.spec.pool) != (1, 1):
            y = functional.max_pool2d(y, tuple(self.spec.pool), ceil_mode=True)
            lengths = _shrink(lengths, self.spec.pool[0])
        return y, lengths

    def output_lengths(self, lengths: Tensor) -> Tensor:
        return _shrink(_shrink(lengths, self.spec.stride[0]), self.spec.pool[0])


def _shrink(lengths: Tensor, factor: int) -> Tensor:
    return torch.div(lengths + factor - 1, factor, rounding_mode="floor")


def _drop_features(x: Tensor, share: float, training: bool) -> Tensor:
    """Drop whole features of a sequence at all its steps."""
    if not training or not share:
        return x
    keep = x.new_empty(x.shape[0], 1, x.shape[2]).bernoulli_(1.0 - share)
    return x * (keep / (1.0 - share))


def _specifications(convolutions: Sequence[Convolution | Mapping[str, object]]) -> list[Convolution]:
    """Accept convolutions as a package's config.yaml holds them, as plain mappings."""
    return [c if isinstance(c, Convolution) else Convolution(**c) for c in convolutions]  # type: ignore[arg-type]
