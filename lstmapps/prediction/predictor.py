"""What predicts with a network of each kind."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from torch import Tensor

from lstmapps.data import Inputs, Sample
from lstmapps.package import Package
from lstmapps.prediction.ctc import CTCPredictor
from lstmapps.prediction.decoding import Decoding
from lstmapps.prediction.results import Prediction
from lstmapps.prediction.seq2seq import Seq2SeqPredictor


class Predictor(Protocol):
    """What predicts with a network."""

    def predict(self, x: Tensor, lengths: Tensor, samples: Sequence[Sample]) -> list[Prediction]:
        """Return what raw inputs x (batch, time, features) of measured samples say."""

    def known(self, x: Tensor, lengths: Tensor, samples: Sequence[Sample]) -> list[Prediction]:
        """Return what raw inputs of measured samples say of the texts that are known, and the scores of these."""

    def align(self, sample: Sample, inputs: Inputs) -> Prediction:
        """Return what `known` gives for one sample, however long it is; raises UserError."""


def predictor(package: Package, network: Any, decoding: Decoding = Decoding()) -> Predictor:
    """Return what predicts with a package's network; raises UserError if it cannot be read in this way."""
    kinds: dict[str, type[CTCPredictor] | type[Seq2SeqPredictor]] = {"ctc": CTCPredictor, "seq2seq": Seq2SeqPredictor}
    return kinds[network.kind].of(package, network, decoding)
