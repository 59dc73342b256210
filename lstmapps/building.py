"""Building what a package describes, and no more than its weights can fill."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from lstmapps.errors import UserError
from lstmapps.plugins import allowed_packages

WEIGHTS = "weights.safetensors"
_SHARED = 8  # parameters that a network may make before it shares those of others


def construct(description: dict[str, Any]) -> Any:
    """Build the object that `{class_path, init_args}` describes, nested descriptions first.

    Raises UserError, before anything is imported, for a class outside `allowed_packages()`.
    """
    refuse_foreign_classes(description, allowed_packages())
    return _construct(description)


def build_network(description: dict[str, Any], weights: dict[str, Tensor], folder: Path) -> Any:
    """Build the network of a package in `folder` and fill it; raises UserError if its weights are those of another.

    It is first built on torch's meta device, which takes no memory, and given up as soon as it has more
    parameters than there are weights.
    """
    file = folder / WEIGHTS
    trial = None
    try:
        with torch.device("meta"), _no_more_than(weights, file):
            trial = construct(description)
    except _TooLarge:
        raise
    except UserError:  # of a class that cannot be built there; a fault of its own comes again below
        pass
    if isinstance(trial, nn.Module):
        _check_shapes(trial, weights, file)
    with _no_more_than(weights, file):
        network = construct(description)
    if not isinstance(network, nn.Module):
        raise UserError(f"{folder / 'config.yaml'}: {description['class_path']} is no network; copy the package again")
    _check_shapes(network, weights, file)
    own = network.state_dict()
    given = {name: value.to(own[name].dtype) for name, value in weights.items()}
    network.load_state_dict(given, strict=False)  # what is shared stands in the weights once
    return network


def start_from(network: nn.Module, weights: dict[str, Tensor], file: Path) -> None:
    """Fill a network that is to be trained; what the weights lack of its frontend stays as it is.

    Raises UserError if they are those of another network.
    """
    own = weights_of(network)
    missing = {name: value for name, value in own.items() if name.startswith("frontend.") and name not in weights}
    complete = {**weights, **missing}
    _check_shapes(network, complete, file)
    network.load_state_dict({name: value.to(own[name].dtype) for name, value in complete.items()}, strict=False)


def weights_of(network: nn.Module) -> dict[str, Tensor]:
    """Return the state of a network by its names; what several places share stands once, by the first of them."""
    seen: set[int] = set()
    weights = {}
    for name, value in network.state_dict(keep_vars=True).items():
        if id(value) not in seen:
            seen.add(id(value))
            weights[name] = value.detach()
    return weights


def _check_shapes(network: nn.Module, weights: dict[str, Tensor], file: Path) -> None:
    """Raise UserError on a missing or surplus tensor or a wrong shape."""
    expected = weights_of(network)
    if missing := sorted(set(expected) - set(weights)):
        raise UserError(f"{file} lacks {missing[0]}; it belongs to another model, copy the package again")
    if surplus := sorted(set(weights) - set(expected)):
        raise UserError(f"{file} holds {surplus[0]}, unknown to this model; copy the package again")
    for name, value in expected.items():
        if weights[name].shape != value.shape:
            have, want = tuple(weights[name].shape), tuple(value.shape)
            raise UserError(f"{file}: {name} has the shape {have}, not {want}; copy the package again")


class _TooLarge(UserError):
    """A network that is larger than its weights."""


@contextmanager
def _no_more_than(weights: dict[str, Tensor], file: Path) -> Iterator[None]:
    """Stop the building of a network that has more parameters than there are weights, or larger ones."""
    left, largest = [len(weights) + _SHARED], max((weight.numel() for weight in weights.values()), default=0)

    def count(module: nn.Module, name: str, parameter: nn.Parameter | None) -> None:
        if parameter is not None:
            left[0] -= 1
            if left[0] < 0 or parameter.numel() > largest:
                raise _TooLarge(f"{file} is smaller than the network of config.yaml; copy the package again")

    hook = nn.modules.module.register_module_parameter_registration_hook(count)
    try:
        yield
    finally:
        hook.remove()


def refuse_foreign_classes(value: Any, allowed: set[str]) -> None:
    if isinstance(value, dict):
        class_path = value.get("class_path")
        if class_path is not None and str(class_path).partition(".")[0] not in allowed:
            raise UserError(
                f"the class {class_path} lies outside lstmapps and its installed plugins and is not loaded; "
                "install the plugin it belongs to, or do not use this model"
            )
        value = list(value.values())
    if isinstance(value, list):
        for item in value:
            refuse_foreign_classes(item, allowed)


def _construct(value: Any) -> Any:
    if isinstance(value, list):
        return [_construct(item) for item in value]
    if not isinstance(value, dict):
        return value
    if "class_path" not in value:
        return {key: _construct(item) for key, item in value.items()}
    module, _, name = value["class_path"].rpartition(".")
    try:
        found = getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError):
        raise UserError(f"there is no class {value['class_path']}; update lstmapps and its plugins") from None
    if not isinstance(found, type) or found.__module__.partition(".")[0] != module.partition(".")[0]:
        raise UserError(f"{value['class_path']} is not a class of that package and is not called")
    try:
        return found(**_construct(value.get("init_args") or {}))
    except UserError:
        raise
    except Exception as error:  # whatever arguments of another kind, or size, lead to
        raise UserError(f"{value['class_path']} cannot be built as described ({error})") from None
