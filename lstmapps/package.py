"""The model package: the folder that a model lives in, and the rules by which it is read and written."""

from __future__ import annotations

import importlib
import json
import os
import shutil
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
import yaml
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor, nn

from lstmapps.errors import UserError
from lstmapps.plugins import allowed_packages, find
from lstmapps.text import Vocabulary

FORMAT = 1
"""The newest package format this version reads and the one it writes; see `read`."""


_HUB = "hf://"
LANGUAGE_MODEL = "language_model.arpa.gz"
FILES = ("config.yaml", "weights.safetensors", "vocabulary.json", "results.json", "README.md", LANGUAGE_MODEL)
"""What a package consists of; the language model is optional."""


@dataclass(frozen=True)
class Package:
    """A package in memory: what stands in its files.

    config: `name`, `recipe`, `domain`, `network`, `normalisation`, `decoder`, `confidence`.
    results: scores by part, and what the model was trained on.
    language_model: an ARPA file, compressed; `decoder.language_model` tells how it is used.
    """

    config: dict[str, Any]
    weights: dict[str, Tensor]
    vocabulary: Vocabulary
    results: dict[str, Any] = field(default_factory=dict)
    language_model: bytes | None = None


def package_folder(name: str | Path) -> Path:
    """Return the folder of a model given by its path, its name, or its address on a model hub."""
    if str(name).startswith(_HUB):
        return _fetched(str(name))
    path = Path(name).expanduser()
    if path.is_dir() or isinstance(name, Path) or str(name).startswith((".", "/", "~")):
        return path
    return find("model", str(name))


def _fetched(address: str) -> Path:
    """Fetch `hf://owner/name` or `hf://owner/name@revision`, or what has changed of it; return its folder."""
    try:
        from huggingface_hub import snapshot_download
    except ImportError:
        raise UserError(f"{address} lies on a model hub; to reach it, pip install 'lstmapps[hub]'") from None
    repository, _, revision = address.removeprefix(_HUB).partition("@")
    try:
        return Path(snapshot_download(repository, revision=revision or None, allow_patterns=list(FILES)))
    except (OSError, ValueError) as error:
        reason = str(error).strip().split("\n")[0]
        raise UserError(f"{address} could not be fetched ({reason}); check the name and the connection") from None


def read(folder: Path) -> Package:
    """Read a package; raises UserError that names the file at fault.

    No class is imported and no weight is looked at before the configuration is known to be safe:
    classes come from lstmapps and installed plugins only, and weights from safetensors only.
    """
    if not folder.is_dir():
        raise UserError(f"there is no model package at {folder}; check the path, or see `lstmapps list`")
    config = _read_config(folder / "config.yaml")
    vocabulary = Vocabulary.load(folder / "vocabulary.json")
    weights = _read_weights(folder / "weights.safetensors")
    results = _read_results(folder / "results.json")
    language_model = None
    if "language_model" in config.get("decoder", {}):
        try:
            language_model = (folder / LANGUAGE_MODEL).read_bytes()
        except OSError as error:
            raise UserError(
                f"{folder / LANGUAGE_MODEL} cannot be read ({error.strerror}); copy the package again"
            ) from None
    return Package(config, weights, vocabulary, results, language_model)


def write(package: Package, folder: Path) -> None:
    """Write a package whole or not at all, in the place of any that lies there; weights in half precision."""
    folder = folder.absolute()
    partial = None
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        partial = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
        config = {"format": FORMAT, **package.config}
        _write_text(partial / "config.yaml", yaml.safe_dump(config, sort_keys=False, allow_unicode=True))
        half = {name: value.to(torch.float16).contiguous() for name, value in package.weights.items()}
        (partial / "weights.safetensors").write_bytes(save(half))
        package.vocabulary.save(partial / "vocabulary.json")
        _write_text(partial / "results.json", json.dumps(package.results, indent=2, ensure_ascii=False) + "\n")
        _write_text(partial / "README.md", model_card(package))
        if package.language_model is not None:
            (partial / LANGUAGE_MODEL).write_bytes(package.language_model)
        for file in partial.iterdir():
            _flush(file)
        partial.chmod(0o755)
        _replace(partial, folder)
    except (OSError, SafetensorError) as error:
        raise UserError(f"{folder} could not be written ({error}); free some space or choose another place") from None
    finally:
        if partial is not None:
            shutil.rmtree(partial, ignore_errors=True)


def model_card(package: Package) -> str:
    """Return the README of a package, its figures taken from the results."""
    config, results = package.config, package.results
    rows = [
        f"| {part} | {scores.get('samples', '')} | {metric.upper()} | {value['value']:.2f} % |"
        f" {value['low']:.2f} to {value['high']:.2f} % |"
        for part, scores in results.items()
        if isinstance(scores, dict) and "metrics" in scores
        for metric, value in scores["metrics"].items()
    ]
    front = {"library_name": "lstmapps", "tags": ["lstm", "ctc", config["name"].partition("/")[0]]}
    for key in ("license", "language"):
        if key in config.get("card", {}):
            front[key] = config["card"][key]
    lines = ["---", yaml.safe_dump(front, sort_keys=False).strip(), "---", f"# {config['name']}", ""]
    if summary := config.get("card", {}).get("summary"):
        lines += [summary, ""]
    lines += ["```", f"lstmapps predict {config['name']} INPUT …", "```", ""]
    if rows:
        lines += ["| part | samples | score | value | 95 % interval |", "|---|---|---|---|---|", *rows, ""]
    if source := config.get("card", {}).get("data"):
        lines += [f"Trained on: {source}", ""]
    return "\n".join(lines)


def construct(description: dict[str, Any]) -> Any:
    """Build the object that `{class_path, init_args}` describes, nested descriptions first.

    Raises UserError, before anything is imported, for a class outside `allowed_packages()`.
    """
    refuse_foreign_classes(description, allowed_packages())
    return _construct(description)


def load_weights(network: nn.Module, weights: dict[str, Tensor], folder: Path) -> None:
    """Fill a network; raises UserError on a missing or surplus tensor or a wrong shape."""
    file = folder / "weights.safetensors"
    expected = network.state_dict()
    if missing := sorted(set(expected) - set(weights)):
        raise UserError(f"{file} lacks {missing[0]}; it belongs to another model, copy the package again")
    if surplus := sorted(set(weights) - set(expected)):
        raise UserError(f"{file} holds {surplus[0]}, unknown to this model; copy the package again")
    for name, value in expected.items():
        if weights[name].shape != value.shape:
            have, want = tuple(weights[name].shape), tuple(value.shape)
            raise UserError(f"{file}: {name} has the shape {have}, not {want}; copy the package again")
    network.load_state_dict({name: value.float() for name, value in weights.items()})


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
    except (TypeError, ValueError) as error:
        raise UserError(f"{value['class_path']} cannot be built as described ({error})") from None


def _read_config(path: Path) -> dict[str, Any]:
    try:
        config = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f"{path} is missing; this is no model package, or an incomplete one") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        reason = str(error).split("\n")[0]
        raise UserError(f"{path} is not readable YAML ({reason}); copy the package again") from None
    if not isinstance(config, dict) or not isinstance(config.get("format"), int):
        raise UserError(f"{path} names no package format; this is no model package")
    if config["format"] > FORMAT:
        raise UserError(f"{path} has the format {config['format']}, newer than {FORMAT}; update lstmapps to read it")
    for key in ("name", "domain", "network", "normalisation", "decoder"):
        if key not in config:
            raise UserError(f"{path} lacks {key!r}; copy the package again")
    refuse_foreign_classes(config, allowed_packages())
    config.pop("format")
    return config


def _read_results(path: Path) -> dict[str, Any]:
    try:
        results = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(results, dict):
            raise ValueError("it holds no object")
        return results
    except FileNotFoundError:
        return {}
    except ValueError as error:
        raise UserError(f"{path} is not readable JSON ({error}); copy the package again, or remove the file") from None


def _read_weights(path: Path) -> dict[str, Tensor]:
    try:
        return load_file(path)
    except FileNotFoundError:
        raise UserError(f"{path} is missing; the model package is incomplete, copy it again") from None
    except (SafetensorError, OSError, ValueError) as error:
        raise UserError(f"{path} is damaged or not safetensors ({error}); copy the package again") from None


def _replace(new: Path, folder: Path) -> None:
    """Put `new` in the place of `folder`; the old one stays whole until the new one stands."""
    if not folder.exists():
        new.rename(folder)
        return
    old = new.with_name(new.name + ".old")
    folder.rename(old)
    try:
        new.rename(folder)
    except OSError:
        old.rename(folder)
        raise
    shutil.rmtree(old, ignore_errors=True)


def _write_text(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8")


def _flush(path: Path) -> None:
    with path.open("rb") as file:
        os.fsync(file.fileno())
