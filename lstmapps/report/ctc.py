"""What a report shows of a CTC network: confusions, streaming against offline, alignments."""

from __future__ import annotations

from typing import Any

import torch

from lstmapps import streaming
from lstmapps.data import Sample
from lstmapps.evaluation import Evaluation
from lstmapps.model import Model
from lstmapps.prediction import Prediction
from lstmapps.prediction.blocks import encoded
from lstmapps.report.drawings import alignment
from lstmapps.report.section import Section

_CONFUSED = 30
_ALIGNED = 4
_STREAMED = 20


def sections(model: Model, evaluation: Evaluation) -> list[Section]:
    """Return the sections in the order in which they stand."""
    found = [_confusions(evaluation)]
    if model.streams and model.listen().exact:
        found.append(_streaming(model, evaluation))
    return [*found, _alignments(model, evaluation)]


def _confusions(evaluation: Evaluation) -> Section:
    names = {" ": "space", "": "nothing"}
    lines = [
        f"{names.get(old, old)} read as {names.get(new, new)}: {count}"
        for (old, new), count in evaluation.confusions().most_common(_CONFUSED)
    ]
    return Section("Confusions", "" if lines else "none", lines)


def _streaming(model: Model, evaluation: Evaluation) -> Section:
    found = [stream_difference(model, case.prediction.sample) for case in evaluation.cases[:_STREAMED]]
    same, most = sum(same for same, _ in found), max((difference for _, difference in found), default=0.0)
    text = (
        f"Of {len(found)} inputs, taken in pieces, {same} were read exactly as whole ones; their posteriors differed "
        f"by at most {most:.1e}. Look-ahead: {model.listen().look_ahead} steps of the input."
    )
    return Section("Streaming against offline", text)


def _alignments(model: Model, evaluation: Evaluation) -> Section:
    """Draw a few samples, taken evenly from all."""
    step = max(1, len(evaluation.cases) // _ALIGNED)
    drawings = {}
    predictor: Any = model.predictor()
    for number, case in enumerate(evaluation.cases[::step][:_ALIGNED], start=1):
        sample = model.domain.measure(case.prediction.sample)
        probabilities = predictor.posteriors(sample, model.domain)
        characters = [(c.text, c.start, c.end, c.confidence) for c in case.prediction.characters]
        picture = model.domain.picture(case.prediction.sample)
        drawings[f"alignment-{number}"] = alignment(probabilities, sample.size or 1, characters, picture)
    text = "Each curve is the probability of one symbol at each step; the letters stand where they were read."
    return Section("Alignments", text, drawings=drawings)


@torch.inference_mode()
def stream_difference(model: Model, sample: Sample, pieces: int = 20) -> tuple[bool, float]:
    """Tell whether an input taken in `pieces` is read as the whole is, and how far posteriors differ at most."""
    sample = model.domain.measure(sample)
    listener = model.listen()
    state, network = listener.init_state(), streaming.init_state(model.network)
    text, streamed = "", []
    for chunk in model.inputs.load(sample).tensor_split(pieces):
        heard, state = listener.step(chunk, state, tentative=False)
        more, network = streaming.step(model.network, chunk, network)
        text += heard.stable
        streamed.append(more)
    text += listener.finish(state).stable
    streamed.append(streaming.finish(model.network, network))
    whole = encoded(model.network, model.domain, sample)
    parts, all_at_once = (model.network.head(y).softmax(dim=1) for y in (torch.cat(streamed), whole))
    (offline,) = model.predict([sample], decoder=list(model.network.heads)[-1])
    same = isinstance(offline, Prediction) and offline.text == text
    return same, float((parts - all_at_once).abs().max())
