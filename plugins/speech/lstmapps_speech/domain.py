"""Speech for lstmapps: what a recording is, how it is loaded, varied and written."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from torch import Tensor

from lstmapps.data import Disturbance, Domain, Sample
from lstmapps.prediction import Format
from lstmapps_speech.audio import Channel, blocks, measured, sound_of, waveform
from lstmapps_speech.augmentation import Variation, vary_recording
from lstmapps_speech.blanks import blank_minutes
from lstmapps_speech.disturbances import disturbances_of
from lstmapps_speech.live import microphone, standard_input
from lstmapps_speech.readers import read_source
from lstmapps_speech.spectrogram import flac, spectrogram
from lstmapps_speech.writers import write_ctm, write_srt, write_textgrid, write_webvtt


class Speech(Domain):
    """Recordings, resampled to one rate, of one channel.

    A loaded recording is (samples, 1), amplitudes within [-1, 1].

    sample_rate: in samples a second. variation: how recordings are varied in training; None leaves
    them as they are. channel: the one that is heard, from 0, or "mix", the mean of all (the loudest, where they
    cancel each other); a list may name another for a recording.
    """

    def __init__(self, sample_rate: int = 16_000, variation: Variation | None = None, channel: Channel = "mix") -> None:
        if channel != "mix" and (not isinstance(channel, int) or channel < 0):
            raise ValueError(f"a channel is a number from 0, or mix, not {channel!r}")
        if not 1_000 <= sample_rate <= 400_000:
            raise ValueError(f"a recording has 1,000 to 400,000 samples a second, not {sample_rate}")
        self.sample_rate = sample_rate
        self.channel = channel
        self.variation = Variation(**variation) if isinstance(variation, dict) else variation
        self.batch_steps = 60 * sample_rate

    def read(self, source: str) -> Iterator[Sample]:
        return read_source(source)

    def measure(self, sample: Sample) -> Sample:
        return measured(sample, self.sample_rate)

    def load(self, sample: Sample) -> Tensor:
        return waveform(sample, self.sample_rate, self.channel)

    def load_blocks(self, sample: Sample) -> Iterator[Tensor]:
        return blocks(sample, self.sample_rate, self.channel)

    def from_array(self, array: Any) -> Tensor:
        return sound_of(array)

    def augment(self, x: Tensor) -> Tensor:
        return vary_recording(x, self.variation, self.sample_rate) if self.variation else x

    def disturbances(self) -> list[Disturbance]:
        return disturbances_of(self.sample_rate)

    def blanks(self) -> Iterator[Sample]:
        return blank_minutes(self.sample_rate)

    def live(self, source: str) -> Iterator[Tensor] | None:
        if source == "-":
            return standard_input()
        return microphone(self.sample_rate) if source == "microphone" else None

    def formats(self) -> dict[str, Format]:
        return {
            "srt": Format(write_srt, ".srt", document=True),
            "webvtt": Format(write_webvtt, ".vtt", document=True),
            "ctm": Format(write_ctm, ".ctm"),
            "textgrid": Format(write_textgrid, ".TextGrid", document=True),
        }

    def picture(self, sample: Sample) -> bytes:
        return spectrogram(self.load(sample), self.sample_rate)

    def sound(self, sample: Sample) -> bytes:
        return flac(self.load(sample), self.sample_rate)
