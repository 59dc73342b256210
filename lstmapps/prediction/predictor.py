"""What predicts with a network of each kind."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from torch import Tensor

from lstmapps.data import Domain, Sample
from lstmapps.package import Package
from lstmapps.prediction.ctc import CTCPredictor
from lstmapps.prediction.results import Prediction


@dataclass(frozen=True)
class Decoding:
    """How a network's output is read.

    decoder: by its name; None is the package's own. n_best: how many readings are given. hot_words: words that are
    expected, which a search favours.
    """

    decoder: str | None = None
    n_best: int = 1
    hot_words: Sequence[str] = ()


class Predictor(Protocol):
    """What predicts with a network."""

    def predict(self, x: Tensor, lengths: Tensor, samples: Sequence[Sample]) -> list[Prediction]:
        """Return what raw inputs x (batch, time, features) of measured samples say."""

    def align(self, sample: Sample, domain: Domain) -> Prediction:
        """Return where and how surely each character of a measured sample's text was seen; raises UserError."""


def predictor(package: Package, network: Any, decoding: Decoding = Decoding()) -> Predictor:
    """Return what predicts with a package's network; raises UserError if it cannot be read in this way."""
    return CTCPredictor.of(package, network, decoding.decoder, decoding.n_best, decoding.hot_words)
