"""Calibrated confidence: from a network's probabilities to the chance of being right."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from rapidfuzz.distance import Levenshtein

_LEAST = 1e-6  # certainty has no logit


@dataclass(frozen=True)
class Calibration:
    """p(right) = sigma(scale * logit(p) + offset) (Platt 1999); the default changes nothing."""

    scale: float = 1.0
    offset: float = 0.0

    def __call__(self, probability: float) -> float:
        p = min(max(probability, _LEAST), 1 - _LEAST)
        z = self.scale * (math.log(p) - math.log1p(-p)) + self.offset
        return 0.5 * (1.0 + math.tanh(0.5 * z))  # sigma(z), which no z overflows


def fit_calibration(probabilities: Sequence[float], right: Sequence[bool]) -> Calibration:
    """Fit by maximum likelihood (Newton's method with shortened steps, and a weak pull towards the default).

    Too few outcomes, or outcomes of one kind only, give the default nearly back.
    """
    x = _logit(np.asarray(probabilities, dtype=np.float64))
    y = np.asarray(right, dtype=np.float64)
    features = np.stack([x, np.ones_like(x)], axis=1)
    default = np.array([1.0, 0.0])

    def loss(weights: NDArray[np.float64]) -> float:
        z = features @ weights
        return float((np.logaddexp(0.0, z) - y * z).sum() + ((weights - default) ** 2).sum() / 2)

    weights = default.copy()
    for _ in range(100):
        p = 0.5 * (1.0 + np.tanh(0.5 * (features @ weights)))
        gradient = features.T @ (p - y) + (weights - default)
        hessian = (features * (p * (1 - p))[:, None]).T @ features + np.eye(2)
        step = np.linalg.solve(hessian, gradient)
        while np.abs(step).max() >= 1e-8 and loss(weights - step) > loss(weights) - 0.25 * gradient @ step:
            step /= 2  # the sure ones' curvature says nothing of how far it is to where they are not
        weights -= step
        if np.abs(step).max() < 1e-8:
            break
    return Calibration(float(weights[0]), float(weights[1]))


def pieces_right(reference: Sequence[str], hypothesis: Sequence[str]) -> list[bool]:
    """Return for each piece of the hypothesis, a character or a word, whether a shortest edit path keeps it."""
    right = [False] * len(hypothesis)
    for block in Levenshtein.opcodes(reference, hypothesis):
        if block.tag == "equal":
            right[block.dest_start : block.dest_end] = [True] * (block.dest_end - block.dest_start)
    return right


def calibration_error(probabilities: Sequence[float], right: Sequence[bool], bins: int = 10) -> float:
    """Return the expected calibration error over bins of equal width (Guo et al. 2017, eq. 3), in [0, 1]."""
    p, y = np.asarray(probabilities, dtype=np.float64), np.asarray(right, dtype=np.float64)
    if not len(p):
        return 0.0
    place = np.minimum((p * bins).astype(int), bins - 1)
    gaps = [abs(p[place == b].mean() - y[place == b].mean()) * (place == b).sum() for b in np.unique(place)]
    return float(sum(gaps) / len(p))


def _logit(p: NDArray[np.float64]) -> NDArray[np.float64]:
    p = np.clip(p, _LEAST, 1 - _LEAST)
    return np.asarray(np.log(p) - np.log1p(-p))
