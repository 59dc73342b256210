"""What training asks of every task."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lstmapps.nn import CTCNetwork
from lstmapps.tasks.ctc import CTCTask
from lstmapps.tasks.optimisation import Optimisation
from lstmapps.tasks.validation import Validation

Task = CTCTask
"""A LightningModule with a `network`, its `validation`, and what a package keeps: `settings()`, `decoder()`."""


def further(
    network: CTCNetwork, validation: Validation, optimisation: Optimisation, settings: Mapping[str, Any]
) -> Task:
    """Return the task that trains a network further, by the `settings` of the one that trained it."""
    return CTCTask.further(network, validation, optimisation, settings)
