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
    disturbances = disturbances_of(model)
    each = watch(disturbances, len(disturbances)) if watch else disturbances
    return {one: evaluate(replace(model, disturbance=one), samples, decoder) for one in each}


def disturbances_of(model: Model) -> Sequence[Disturbance]:
    """Return the disturbances of a model's domain; raises UserError if it has none."""
    if found := model.domain.disturbances():
        return found
    raise UserError(f"the domain of {model.name} names no disturbances; leave --disturbed out")


def read_in_blanks(model: Model, decoder: str | None = None) -> dict[str, str | None]:
    """Return what a model reads in inputs that hold nothing, by their names: nothing is right, None tells a failure."""
    results = model.predict(model.domain.blanks(), decoder=decoder)
    return {result.sample.id: result.text if isinstance(result, Prediction) else None for result in results}
