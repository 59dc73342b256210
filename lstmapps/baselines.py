"""What a score is worth: the same score of texts that need no network, beside it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from contextlib import nullcontext

import torch
from torch import Tensor
from torch.nn import functional

from lstmapps.data import Inputs, Sample, SequenceData, merged
from lstmapps.data.features import FrozenFrontend
from lstmapps.errors import UserError
from lstmapps.evaluation import Evaluation, Watch
from lstmapps.model import Model
from lstmapps.scores import Measured, distinct, measure

MOST_FREQUENT, NEAREST = "most frequent text", "nearest input"


def baselines(
    model: Model, data: SequenceData, evaluation: Evaluation, watch: Watch = lambda items, count: items
) -> dict[str, dict[str, Measured]]:
    """Score the most frequent text of the training part, and the text of the training input that is nearest.

    Inputs are compared by the cosine of the mean over the steps of what the network's frontend, if it is frozen, or
    else its encoder gives. The frontend's outputs are kept in `data.cache`. Training inputs that cannot be used are
    left out; raises UserError if none can.
    """
    train = [sample for sample in merged(s for s in data.samples("train") if not s.fault) if sample.text]
    tests = [case.prediction.sample for case in evaluation.cases]
    known, there = _pooled(model, data, train, watch)
    asked, _ = _pooled(model, data, tests, watch)
    train = [train[place] for place in there]
    if not train:
        raise UserError("no sample of the training part can be used for baselines; check `data.train`")
    frequent = Counter(text for sample in train for text in sample.references).most_common(1)[0][0]
    nearest = [train[int(row.argmax())].references[0] for row in asked @ known.T]
    written = {MOST_FREQUENT: [frequent] * len(tests), NEAREST: nearest}
    references = [case.references for case in evaluation.cases]
    return {
        name: {score: measure(each.score, references, texts) for score, each in evaluation.scores.items()}
        for name, texts in written.items()
    }


def variety(data: SequenceData, evaluation: Evaluation) -> dict[str, float]:
    """Return how many 1-grams and 2-grams of what was written are different ones, how many of the texts are, and how
    many stand in the training part, in percent."""
    texts = [case.hypothesis for case in evaluation.cases]
    known = {text for sample in data.samples("train") for text in sample.references}
    shares = {f"distinct_{n}": distinct(texts, n) for n in (1, 2)}
    shares["different"] = 100.0 * len(set(texts)) / max(1, len(texts))
    shares["seen"] = 100.0 * sum(text in known for text in texts) / max(1, len(texts))
    return {name: round(share, 2) for name, share in shares.items()}


@torch.inference_mode()
def _pooled(model: Model, data: SequenceData, samples: Sequence[Sample], watch: Watch) -> tuple[Tensor, list[int]]:
    """Return the mean over the steps of each sample that can be loaded, (samples, size), of length 1, and its place."""
    network = model.network
    frozen = getattr(network.frontend, "frozen", False)
    device = next(network.parameters()).device
    features = FrozenFrontend(network.frontend, data.cache, device) if frozen else None
    inputs = Inputs(model.domain, model.normalisation, model.inputs.vocabulary, features=features)
    means, there = [], []
    with features.kept() if features else nullcontext():
        for place, sample in enumerate(watch(samples, len(samples))):
            try:
                x = inputs.prepared(inputs.raw(model.domain.measure(sample)))
            except UserError:
                continue
            if not len(x):
                continue
            if features is not None:
                steps = features(x)
            else:
                encoded, lengths = network.encode(x.unsqueeze(0).to(device), torch.tensor([len(x)], device=device))
                steps = encoded[0, : int(lengths[0])]
            means.append(steps.float().mean(dim=0).cpu())
            there.append(place)
    return functional.normalize(torch.stack(means) if means else torch.zeros(0, 1), dim=1), there
