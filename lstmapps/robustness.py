"""How well a model reads what happens to inputs out there, and what it reads where there is nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from lstmapps.data import Disturbance, Sample
from lstmapps.errors import UserError
from lstmapps.evaluation import Evaluation, Watch, evaluate
from lstmapps.model import Model
from lstmapps.prediction import Prediction


def disturbed(
    model: Model, samples: Sequence[Sample], decoder: str | None = None, watch: Watch | None = None
) -> dict[Disturbance, Evaluation]:
    """Score a model on samples under each disturbance of its domain; raises UserError if that has none."""
    disturbances = model.domain.disturbances()
    if not disturbances:
        raise UserError(f"the domain of {model.name} names no disturbances; leave --disturbed out")
    each = watch(disturbances, len(disturbances)) if watch else disturbances
    found = {one: evaluate(replace(model, disturbance=one), samples, decoder) for one in each}
    return {one: evaluation for one, evaluation in found.items() if evaluation.cases}


def read_in_blanks(model: Model, decoder: str | None = None) -> dict[str, str]:
    """Return what a model reads in inputs that hold nothing, by their names; an empty text is right."""
    results = model.predict(model.domain.blanks(), decoder=decoder)
    return {result.sample.id: result.text for result in results if isinstance(result, Prediction)}
