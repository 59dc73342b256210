"""lstmapps: a toolkit for recurrent networks.

The public names below are imported on first use; importing lstmapps alone imports neither torch
nor Lightning.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lstmapps.data import Domain as Domain
    from lstmapps.data import Sample as Sample
    from lstmapps.errors import UserError as UserError
    from lstmapps.model import Model as Model
    from lstmapps.nn import GRU as GRU
    from lstmapps.nn import LSTM as LSTM
    from lstmapps.nn import RNN as RNN
    from lstmapps.plugins import Plugin as Plugin

_HOMES = {
    "GRU": "lstmapps.nn",
    "LSTM": "lstmapps.nn",
    "RNN": "lstmapps.nn",
    "Domain": "lstmapps.data",
    "Model": "lstmapps.model",
    "Plugin": "lstmapps.plugins",
    "Sample": "lstmapps.data",
    "UserError": "lstmapps.errors",
}

__all__ = ["GRU", "LSTM", "RNN", "Domain", "Model", "Plugin", "Sample", "UserError", "load"]


def load(name: str, device: str | None = None) -> Model:
    """Load a trained model: `handwriting/peraire`, a folder, or `hf://owner/name` (needs the extra `hub`)."""
    from lstmapps.model import Model

    return Model.load(name, device)


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(importlib.import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'lstmapps' has no attribute {name!r}")
