"""From a sample to what a network takes."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from lstmapps.data.chance import seeded
from lstmapps.data.disturbances import Disturbance
from lstmapps.data.domain import Domain
from lstmapps.data.features import FrozenFrontend
from lstmapps.data.samples import Sample
from lstmapps.text import Normalisation, Vocabulary


@dataclass(frozen=True)
class Inputs:
    """Loads samples as a network takes them; inputs that are texts become symbols of the vocabulary that is read.

    features: what a frozen frontend makes of inputs, which a network then takes in their place.
    sampling: how evenly the ways to cut a text are drawn from when it is varied (see `lstmapps.text.Units`).
    disturbance: what is done to inputs before anything else.
    """

    domain: Domain
    normalisation: Normalisation = Normalisation()
    vocabulary: Vocabulary | None = None
    sampling: float = 0.0
    features: FrozenFrontend | None = None
    disturbance: Disturbance | None = None

    def load(self, sample: Sample) -> Tensor:
        """Return what a network takes of a measured sample, (time, features)."""
        x = self.prepared(self.raw(sample))
        return x if self.features is None else self.features(x)

    def raw(self, sample: Sample) -> Tensor | str:
        """Return a sample as the domain loads it, or disturbed."""
        x = self.domain.load(sample)
        return x if self.disturbance is None else self.disturbance(x, sample.id)

    def prepared(self, raw: Tensor | str, seed: int | None = None) -> Tensor:
        """Return (time, features) as the frontend takes it; of a text, the numbers of its symbols, (time, 1).

        seed: of how a text is cut into symbols in training.
        """
        x = self.domain.prepare(raw)
        if isinstance(x, Tensor):
            return x
        assert self.vocabulary is not None, "a domain that loads texts has a vocabulary that is read"
        sampling = 0.0 if seed is None else self.sampling
        symbols = self.vocabulary.read_in(self.normalisation(x), sampling, seed or 0)
        return torch.tensor(symbols, dtype=torch.long).unsqueeze(1)

    def varied(self, sample: Sample, loaded: Tensor | None, seed: int) -> Tensor:
        """Return a sample as training takes it; what is drawn follows from the seed.

        loaded: as `raw` gave it, or the features of it, if it is at hand.
        """
        if self.vocabulary is None:
            if self.features is not None:  # of an input as it is
                return self.load(sample) if loaded is None else loaded
            x = self.raw(sample) if loaded is None else loaded
            assert isinstance(x, Tensor), "a text is read by a vocabulary"
            with seeded(seed):
                return self.prepared(self.domain.augment(x))
        return self.prepared(self.raw(sample), seed)
