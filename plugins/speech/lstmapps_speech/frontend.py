"""The first layer of a speech network: from a waveform to normalised frames of spectral features."""

from __future__ import annotations

import math
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from lstmapps.nn import padding_mask
from lstmapps_speech import loudness
from lstmapps_speech.signal import create_dct, melscale_fbanks

_FLOOR = 1e-6  # of the energy in a band before the logarithm, for sounds within [-1, 1]
_SILENCE = 1e-14  # the same where a relative floor follows: less than the rounding to 16 bits leaves
_LEARN = 100_000  # frames, 17 minutes, from which the global statistics are learnt
_PRIOR = 100  # frames, 1 second, that the global statistics weigh in the running ones


class SpeechFrontend(nn.Module):
    """Turn x (batch, samples, 1) and lengths (batch,) into frames (batch, frames, features) and lengths.

    kind: "log_mel", the logarithm of mel bands of a Hann window; "filter_bank", that of Kaldi, with
        the offset removed, pre-emphasis and Povey's window; "mfcc", `coefficients` cepstra of the
        first (Davis & Mermelstein 1980).
    window, hop: in seconds; frame t is centred on the middle of its hop, and beyond both ends lies silence, or for
        differences, which know no step there, nothing (`beyond`).
    normalisation: mean 0 and deviation 1 of each feature, "utterance" over each utterance, "global"
        over the beginning of training, "running" over what has been heard so far, "none" not at all. "relative" is
        "global" for energies against the loudest that was heard lately (`lstmapps_speech.loudness`), of differences
        from sample to sample: how loud a recording is makes no difference, and neither does a constant offset.
        All but the first can be streamed.
    """

    def __init__(
        self,
        kind: Literal["log_mel", "filter_bank", "mfcc"] = "log_mel",
        bands: int = 80,
        coefficients: int = 13,
        sample_rate: int = 16_000,
        window: float = 0.025,
        hop: float = 0.01,
        normalisation: Literal["utterance", "global", "running", "relative", "none"] = "utterance",
    ) -> None:
        super().__init__()
        if not (1_000 <= sample_rate <= 400_000 and 0 < hop <= window <= 1.0):
            raise ValueError("a frontend takes 1,000 to 400,000 samples a second, and hops within windows of a second")
        if not 1 <= coefficients <= bands <= 1_000:
            raise ValueError(
                f"{bands} bands and {coefficients} coefficients: give up to 1,000 bands, and no more cepstra"
            )
        self.kind, self.normalisation = kind, normalisation
        self.beyond = math.nan if normalisation == "relative" else 0.0
        self.stride = round(hop * sample_rate)
        self.window = round(window * sample_rate)
        self.context = (self.window - self.stride) // 2
        self.fft = 2 ** math.ceil(math.log2(self.window))
        self.features = coefficients if kind == "mfcc" else bands
        with torch.device("cpu"):  # wherever the network is built, torchaudio looks at what it computes
            shape = torch.hann_window(self.window, periodic=False)
            scale = melscale_fbanks(self.fft // 2 + 1, 20.0, sample_rate / 2, bands, sample_rate, None, "htk")
            cosine = create_dct(coefficients, bands, "ortho")
        self.register_buffer("shape", shape.pow(0.85) if kind == "filter_bank" else shape, persistent=False)
        self.register_buffer("scale", scale, persistent=False)
        self.register_buffer("cosine", cosine, persistent=False)
        self.register_buffer("mean", torch.zeros(self.features))
        self.register_buffer("variance", torch.ones(self.features))
        self.register_buffer("learnt", torch.zeros((), dtype=torch.long))
        self.shape: Tensor
        self.scale: Tensor
        self.cosine: Tensor
        self.mean: Tensor
        self.variance: Tensor
        self.learnt: Tensor

    def forward(self, x: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        x = x.masked_fill(padding_mask(lengths, x.shape[1]).unsqueeze(2), self.beyond)
        rest = -x.shape[1] % self.stride
        y = self.frames(functional.pad(x, (0, 0, self.context, self.context + rest), value=self.beyond))
        lengths = self.output_lengths(lengths)
        padding = padding_mask(lengths, y.shape[1]).unsqueeze(2)
        if self.normalisation == "relative":
            y, _ = self._relative(y, self.init_state(len(y)))
        if self.training and self.normalisation in ("global", "running", "relative"):
            self._learn(y[~padding.squeeze(2)])
        if self.normalisation == "utterance":
            y = _whole(y.masked_fill(padding, 0.0), padding, lengths)
        elif self.normalisation == "running":
            y, _ = self._running(y, self.init_state(len(y)))
        elif self.normalisation != "none":
            y = self._global(y)
        return y.masked_fill(padding, 0.0), lengths

    def output_lengths(self, lengths: Tensor) -> Tensor:
        """Return how many frames come out for this many samples."""
        return torch.div(lengths + self.stride - 1, self.stride, rounding_mode="floor")

    def frames(self, x: Tensor) -> Tensor:
        """Return features (batch, n, features) of x (batch, n * stride + 2 * context, 1), not normalised."""
        with torch.autocast(x.device.type, enabled=False):  # half precision is too coarse for a spectrum
            frames = x.squeeze(2).float().unfold(1, self.window, self.stride)
            relative = self.normalisation == "relative"
            if relative:
                frames = functional.pad(frames.diff(dim=2).nan_to_num(0.0), (1, 0))  # the window is 0 there
            elif self.kind == "filter_bank":
                frames = frames - frames.mean(dim=2, keepdim=True)
                frames = frames - 0.97 * torch.cat([frames[..., :1], frames[..., :-1]], dim=2)
            spectrum = torch.fft.rfft(frames * self.shape.float(), self.fft)
            energies = spectrum.real.square() + spectrum.imag.square()
            y = (energies @ self.scale.float() + (_SILENCE if relative else _FLOOR)).log()
            return y if relative else self._cepstra(y)

    def init_state(self, batch: int = 1) -> Any:
        """Return what `normalise` remembers before the first frame."""
        if self.normalisation == "relative":
            return loudness.init_state(batch, self.mean)
        zeros = self.mean.new_zeros(batch, 1, self.features, dtype=torch.float64)
        return zeros, zeros, 0

    def normalise(self, y: Tensor, state: Any) -> tuple[Tensor, Any]:
        """Normalise frames that follow those that `state` remembers; utterances whole go through `forward`."""
        if self.normalisation == "running":
            return self._running(y, state)
        if self.normalisation == "relative":
            y, state = self._relative(y, state)
        return (y if self.normalisation == "none" else self._global(y)), state

    def _cepstra(self, y: Tensor) -> Tensor:
        return y @ self.cosine.float() if self.kind == "mfcc" else y

    def _relative(self, y: Tensor, state: loudness.State) -> tuple[Tensor, loudness.State]:
        with torch.autocast(y.device.type, enabled=False):
            y, state = loudness.relative(y, state)
            return self._cepstra(y), state

    def _global(self, y: Tensor) -> Tensor:
        return (y - self.mean) * torch.rsqrt(self.variance + 1e-5)

    def _running(self, y: Tensor, state: tuple[Tensor, Tensor, int]) -> tuple[Tensor, tuple[Tensor, Tensor, int]]:
        """Remember sums, sums of squares, and a count."""
        sums, squares, count = state
        wide = y.double()
        sums = sums + wide.cumsum(dim=1)
        squares = squares + wide.square().cumsum(dim=1)
        counts = count + torch.arange(1, y.shape[1] + 1, device=y.device).double()[:, None]
        mean = (sums + _PRIOR * self.mean) / (counts + _PRIOR)
        second = (squares + _PRIOR * (self.variance + self.mean.square())) / (counts + _PRIOR)
        normalised = (wide - mean) * torch.rsqrt((second - mean.square()).clamp(min=0.0) + 1e-5)
        return normalised.to(y.dtype), (sums[:, -1:], squares[:, -1:], count + y.shape[1])

    @torch.no_grad()
    def _learn(self, y: Tensor) -> None:
        """Take frames (n, features), of all processes, into the global statistics until they are enough."""
        if int(self.learnt) >= _LEARN:
            return
        totals = torch.cat([y.double().sum(0), y.double().square().sum(0), y.new_tensor([len(y)]).double()])
        if torch.distributed.is_initialized():
            torch.distributed.all_reduce(totals)
        sums, squares = totals[:-1].chunk(2)
        before, count = float(self.learnt), float(totals[-1])
        second = (before * (self.variance + self.mean.square()) + squares) / (before + count)
        mean = (before * self.mean + sums) / (before + count)
        self.mean.copy_(mean)
        self.variance.copy_((second - mean.square()).clamp(min=0.0))
        self.learnt += int(count)


def _whole(y: Tensor, padding: Tensor, lengths: Tensor) -> Tensor:
    """Bring each utterance to mean 0 and deviation 1 in each feature; y is zero in the padding."""
    count = lengths.clamp(min=1)[:, None, None]
    y = (y - y.sum(dim=1, keepdim=True) / count).masked_fill(padding, 0.0)
    return y * torch.rsqrt(y.square().sum(dim=1, keepdim=True) / count + 1e-2)
