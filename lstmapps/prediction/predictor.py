"""What predicts with a network of each kind."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from torch import Tensor

from lstmapps.data import Inputs, Sample
from lstmapps.errors import UserError
from lstmapps.package import Package
from lstmapps.prediction.ctc import CTCPredictor
from lstmapps.prediction.results import Prediction
from lstmapps.prediction.seq2seq import Seq2SeqPredictor


@dataclass(frozen=True)
class Decoding:
    """How a network's output is read.

    decoder: by its name; None is the package's own. n_best: how many readings are given. hot_words: words that are
    expected, which the beam search of a CTC network favours.
    search, must, must_not, prefix: of a network that writes by a decoder: settings of `lstmapps.search.Search`, texts
    that must or must not stand in what is written, as the pieces that they are cut into, and how it begins.
    shortlist: search only the symbols that may stand for what is read, if the network has noted them: faster, and
    nearly the same. ensemble: further networks of the same vocabularies, which write together with the first.
    """

    decoder: str | None = None
    n_best: int = 1
    hot_words: Sequence[str] = ()
    search: Mapping[str, Any] = field(default_factory=dict)
    must: Sequence[str] = ()
    must_not: Sequence[str] = ()
    prefix: str = ""
    shortlist: bool = False
    ensemble: Sequence[Any] = ()


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
    return _KINDS[network.kind](package, network, decoding)


def _ctc(package: Package, network: Any, decoding: Decoding) -> Predictor:
    asked = (decoding.search, decoding.must, decoding.must_not, decoding.prefix, decoding.shortlist, decoding.ensemble)
    if any(asked):
        raise UserError(f"{package.config['name']} reads by CTC, which has no such search; leave its settings out")
    return CTCPredictor.of(package, network, decoding.decoder, decoding.n_best, decoding.hot_words)


def _seq2seq(package: Package, network: Any, decoding: Decoding) -> Predictor:
    if decoding.hot_words:
        raise UserError(f"{package.config['name']} has no hot words; name texts that must come instead")
    asked = dict(decoding.search)
    if decoding.n_best > 1:
        asked |= {"n_best": decoding.n_best}
        if decoding.decoder != "sample":
            asked.setdefault("beam", max(decoding.n_best, package.config["decoder"].get("beam", 1)))
    return Seq2SeqPredictor.of(
        package,
        network,
        decoding.decoder,
        asked,
        decoding.must,
        decoding.must_not,
        decoding.prefix,
        decoding.shortlist,
        decoding.ensemble,
    )


_KINDS: dict[str, Callable[[Package, Any, Decoding], Predictor]] = {"ctc": _ctc, "seq2seq": _seq2seq}
