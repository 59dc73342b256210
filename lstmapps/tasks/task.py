"""What training asks of every task."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lstmapps.tasks.ctc import CTCTask
from lstmapps.tasks.optimisation import Optimisation
from lstmapps.tasks.seq2seq import Seq2SeqTask
from lstmapps.tasks.validation import Validation

Task = CTCTask | Seq2SeqTask
"""A LightningModule with a `network`, its `validation`, and what a package keeps: `settings()`, `decoder()`."""

_TASKS: dict[str, type[CTCTask] | type[Seq2SeqTask]] = {"ctc": CTCTask, "seq2seq": Seq2SeqTask}


def further(network: Any, validation: Validation, optimisation: Optimisation, settings: Mapping[str, Any]) -> Task:
    """Return the task that trains a network further, by the `settings` of the one that trained it."""
    return _TASKS[network.kind].further(network, validation, optimisation, settings)
