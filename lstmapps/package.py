"""The model package: the folder that a model lives in, and the rules by which it is read and written."""

from __future__ import annotations

import json
import os
import re
import shutil
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
import yaml
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor

from lstmapps.building import WEIGHTS, refuse_foreign_classes
from lstmapps.confidence import Calibration
from lstmapps.errors import UserError, escaped
from lstmapps.language_model import ArpaFile
from lstmapps.plugins import allowed_packages, find
from lstmapps.scores import scores_named
from lstmapps.text import Normalisation, Vocabulary, pieces_path

PART = r"[\w.()% -]{1,60}"
"""What the name of a part, and of a score, in the results looks like."""

FORMAT = 1
"""The newest package format this version reads and the one it writes; see `read`."""

_HUB = "hf://"
_MOST_CONFIG = 1 << 20  # bytes; ours have three thousand
_WIDEST_BEAM = 1000
_DEEPEST = 50
_OPENING = (
    yaml.FlowSequenceStartToken,
    yaml.FlowMappingStartToken,
    yaml.BlockSequenceStartToken,
    yaml.BlockMappingStartToken,
)
_CLOSING = (yaml.FlowSequenceEndToken, yaml.FlowMappingEndToken, yaml.BlockEndToken)
EIGHT_BITS = "int8"
_SCALE = "/scale"  # behind the name of a matrix of eight bits: what each of its rows is multiplied by
_SMALL = 4096  # elements of a matrix that is not worth it
LANGUAGE_MODEL = "language_model.arpa.gz"
VOCABULARY, SOURCE_VOCABULARY = "vocabulary.json", "source_vocabulary.json"
FILES = (
    "config.yaml",
    WEIGHTS,
    VOCABULARY,
    pieces_path(Path(VOCABULARY)).name,
    SOURCE_VOCABULARY,
    pieces_path(Path(SOURCE_VOCABULARY)).name,
    "results.json",
    "README.md",
    LANGUAGE_MODEL,
)
"""What a package may consist of."""


@dataclass
class Package:
    """A package in memory: what stands in its files.

    config: `name`, `domain`, `network`, `normalisation`, `scores`, `decoder`, `confidence`, `weights`, and the `recipe`
        of a model that is not fine-tuned.
    results: scores by part, and what the model was trained on.
    language_model: an ARPA file; `decoder.language_model` tells how it is used.
    source_vocabulary: what is read of inputs that are texts, unless it is the vocabulary that is written.
    """

    config: dict[str, Any]
    weights: dict[str, Tensor]
    vocabulary: Vocabulary
    results: dict[str, Any] = field(default_factory=dict)
    language_model: ArpaFile | None = None
    source_vocabulary: Vocabulary | None = None


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
    classes come from lstmapps and installed plugins only, and weights from safetensors only. What a file holds
    is bounded, and none may be a link out of the package.
    """
    if not folder.is_dir():
        raise UserError(f"there is no model package at {folder}; check the path, or see `lstmapps list`")
    _refuse_links(folder)
    config = _read_config(folder / "config.yaml")
    vocabulary = _read_vocabulary(folder / VOCABULARY)
    read_in = _read_vocabulary(folder / SOURCE_VOCABULARY) if (folder / SOURCE_VOCABULARY).exists() else None
    weights = _read_weights(folder / WEIGHTS)
    results = _read_results(folder / "results.json")
    language_model = None
    if "language_model" in config.get("decoder", {}):
        try:
            _bounded_size(folder / LANGUAGE_MODEL)
            language_model = ArpaFile((folder / LANGUAGE_MODEL).read_bytes(), folder / LANGUAGE_MODEL)
        except OSError as error:
            raise UserError(
                f"{folder / LANGUAGE_MODEL} cannot be read ({error.strerror}); copy the package again"
            ) from None
    return Package(config, weights, vocabulary, results, language_model, read_in)


def write(package: Package, folder: Path) -> None:
    """Write a package whole or not at all, in the place of any that lies there.

    Weights are kept in half precision, or, where the configuration says so (`weights: int8`), matrices in eight bits.

    Raises UserError if it cannot be written, and ValueError for results that would not be read again.
    """
    for part, scores in package.results.items():
        _check_part(part, scores)
    folder = folder.absolute()
    partial = None
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        partial = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
        config = {"format": FORMAT, **package.config}
        _write_text(
            partial / "config.yaml", yaml.dump(config, Dumper=_PlainDumper, sort_keys=False, allow_unicode=True)
        )
        (partial / WEIGHTS).write_bytes(save(_shrunk(package.weights, config.get("weights") == EIGHT_BITS)))
        package.vocabulary.save(partial / VOCABULARY)
        if package.source_vocabulary is not None:
            package.source_vocabulary.save(partial / SOURCE_VOCABULARY)
        _write_text(partial / "results.json", json.dumps(package.results, indent=2, ensure_ascii=False) + "\n")
        _write_text(partial / "README.md", model_card(package))
        if package.language_model is not None:
            (partial / LANGUAGE_MODEL).write_bytes(package.language_model.content)
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
    scored = [(part, scores) for part, scores in results.items() if isinstance(scores, dict) and "metrics" in scores]
    rows = [
        f"| {part} | {scores.get('samples', '')} | {metric.upper()} | {_shown(value)} |"
        for part, scores in scored
        if "strength" not in scores
        for metric, value in scores["metrics"].items()
    ]
    disturbed = [
        f"| {part} | {metric.upper()} | {_shown(value)} |"
        for part, scores in scored
        if "strength" in scores
        for metric, value in list(scores["metrics"].items())[:1]
    ]
    front = {
        "library_name": "lstmapps",
        "tags": [
            "lstm",
            str(config["network"]["class_path"]).rpartition(".")[2].removesuffix("Network").lower(),
            config["name"].partition("/")[0],
        ],
    }
    for key in ("license", "language"):
        if key in config.get("card", {}):
            front[key] = config["card"][key]
    lines = ["---", yaml.safe_dump(front, sort_keys=False).strip(), "---", f"# {config['name']}", ""]
    if summary := config.get("card", {}).get("summary"):
        lines += [summary, ""]
    command = f"lstmapps predict {config['name'] if 'recipe' in config else 'FOLDER'} INPUT …"
    lines += ["```", command, "```", ""]
    if rows:
        lines += ["| part | samples | score | value | 95 % interval |", "|---|---|---|---|---|", *rows, ""]
    if disturbed:
        lines += ["| disturbed | score | value | 95 % interval |", "|---|---|---|---|", *disturbed, ""]
    for key, told in (("data", "Trained on"), ("begun_with", "Begun with")):
        if source := config.get("card", {}).get(key):
            lines += [f"{told}: {source}", ""]
    return "\n".join(lines)


def card_begun_with(package: Package, config: dict[str, Any]) -> dict[str, Any]:
    """Return a configuration's card, with what its model begins with.

    A model of the same recipe and data is the same one, trained for longer: it hands on what it began with itself.
    """
    card: dict[str, Any] = config["card"]
    earlier = package.config.get("card", {})
    if (config["name"], card.get("data")) != (package.config["name"], earlier.get("data")):
        return card | {"begun_with": origin(package)}
    return card | ({"begun_with": earlier["begun_with"]} if "begun_with" in earlier else {})


def origin(package: Package) -> str:
    """Return the name of a package, with what it was trained on and what it began with itself."""
    card = package.config.get("card", {})
    sources = "; begun with ".join(filter(None, (card.get("data"), card.get("begun_with"))))
    return f"{package.config['name']} ({sources})" if sources else str(package.config["name"])


def _shown(value: dict[str, Any]) -> str:
    """Return a score's value and interval, as two cells of a table."""
    unit = value["unit"]
    return f"{value['value']:.2f} {unit} | {value['low']:.2f} to {value['high']:.2f} {unit}"


def _read_vocabulary(path: Path) -> Vocabulary:
    _bounded_size(path)
    _bounded_size(pieces_path(path))
    return Vocabulary.load(path)


def _read_config(path: Path) -> dict[str, Any]:
    _bounded_size(path, _MOST_CONFIG)
    try:
        text = path.read_text(encoding="utf-8")
        _refuse_nesting(text, path)
        config = yaml.safe_load(text)
    except FileNotFoundError:
        below = path.parent / "model"
        hint = f"the model of this run lies in {below}" if (below / path.name).is_file() else "it may be incomplete"
        raise UserError(f"{path} is missing; this is no model package: {hint}") from None
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError, ValueError) as error:
        reason = str(error).split("\n")[0]
        raise UserError(f"{path} is not readable YAML ({reason}); copy the package again") from None
    if not isinstance(config, dict) or not isinstance(config.get("format"), int):
        raise UserError(f"{path} names no package format; this is no model package")
    if config["format"] > FORMAT:
        raise UserError(f"{path} has the format {config['format']}, newer than {FORMAT}; update lstmapps to read it")
    for key in ("name", "domain", "network", "normalisation", "decoder", "scores"):
        if key not in config:
            raise UserError(f"{path} lacks {key!r}; copy the package again")
    _check_kinds(config, path)
    refuse_foreign_classes(config, allowed_packages())
    config.pop("format")
    return config


def _refuse_nesting(text: str, path: Path) -> None:
    """Raise UserError for YAML whose aliases, or whose depth, may make very much of few characters."""
    depth = 0
    for token in yaml.scan(text):
        depth += isinstance(token, _OPENING) - isinstance(token, _CLOSING)
        if isinstance(token, yaml.AliasToken) or depth > _DEEPEST:
            raise UserError(f"{path} has YAML aliases, or is nested more than {_DEEPEST} deep; no package needs it")


def _check_kinds(config: dict[str, Any], path: Path) -> None:
    """Raise UserError where an entry of a configuration is not of the kind that those who read it take it for."""
    for key in ("domain", "network", "normalisation", "decoder", "confidence", "card", "training"):
        if not isinstance(config.get(key, {}), dict):
            raise UserError(f"{path}: {key!r} is no mapping; copy the package again")
    if config.get("weights", EIGHT_BITS) != EIGHT_BITS:
        raise UserError(f"{path}: 'weights' is not {EIGHT_BITS!r}; update lstmapps, or copy the package again")
    for key in ("name", "recipe"):
        if not isinstance(config.get(key, ""), str) or config.get(key, "") != escaped(config.get(key, "")):
            raise UserError(f"{path}: {key!r} is no name; copy the package again")
    if not isinstance(config["scores"], list) or not all(isinstance(name, str) for name in config["scores"]):
        raise UserError(f"{path}: 'scores' is no list of names; copy the package again")
    try:
        Normalisation(**config["normalisation"])
        scores_named(config["scores"])
        Calibration(*map(float, config.get("confidence", {}).get("character", ())))
        if not 1 <= int(config["decoder"].get("beam", 1)) <= _WIDEST_BEAM:
            raise ValueError(f"the beam is {config['decoder']['beam']}")
    except (TypeError, ValueError, UserError) as error:
        raise UserError(f"{path} has settings that cannot be used ({error}); copy the package again") from None


def _read_results(path: Path) -> dict[str, Any]:
    _bounded_size(path)
    try:
        results = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(results, dict):
            raise ValueError("it holds no object")
        for part, scores in results.items():
            _check_part(part, scores)
        return results
    except FileNotFoundError:
        return {}
    except (ValueError, RecursionError) as error:
        raise UserError(f"{path} is not readable JSON ({error}); copy the package again, or remove the file") from None


def _check_part(part: str, scores: Any) -> None:
    """Raise ValueError unless the results of a part are names and numbers, as they are printed and shown."""
    if not isinstance(scores, dict) or not isinstance(scores.get("metrics", {}), dict):
        raise ValueError(f"the entry {part!r} is no object")
    names = [part, *scores.get("metrics", {})]
    values = [value for key, value in scores.items() if key not in ("metrics", "torch")]
    for entry in scores.get("metrics", {}).values():
        if not isinstance(entry, dict) or not {"value", "low", "high"} <= set(entry):
            raise ValueError(f"a score of {part!r} has no value, low and high")
        values += [entry["value"], entry["low"], entry["high"], entry.get("higher_is_better", False)]
        if not re.fullmatch(r"[%\w]{0,10}", str(entry.get("unit"))):
            raise ValueError(f"a score of {part!r} has no unit")
        if not re.fullmatch(r"[\w:.|+]{0,120}", str(entry.get("signature", ""))):
            raise ValueError(f"a score of {part!r} has no signature that could be one")
    if "metrics" in scores:
        values.append(scores.get("samples"))
    if not all(re.fullmatch(PART, name) for name in names):
        raise ValueError(f"the entry {part!r} has names of other than letters and digits")
    if not all(isinstance(value, int | float) for value in values):
        raise ValueError(f"the entry {part!r} holds what is no number")
    if not re.fullmatch(r"[\w.+]*", str(scores.get("torch", ""))):
        raise ValueError(f"the entry {part!r} names no version of torch")


def _bounded_size(path: Path, most: int = 64 << 20) -> None:
    if path.is_file() and path.stat().st_size > most:
        raise UserError(f"{path} is larger than {most >> 20} MB, which no package needs; copy the package again")


def _refuse_links(folder: Path) -> None:
    """Raise UserError if a file of a package lies elsewhere; a hub's cache links to its own blobs."""
    root = folder.resolve()
    places = [root, root.parents[1] / "blobs"] if root.parent.name == "snapshots" else [root]
    for name in FILES:
        file = (folder / name).resolve()
        if not any(file.is_relative_to(place) for place in places):
            raise UserError(f"{folder / name} is a link out of the package; copy the file itself into it")
        if file.exists() and not file.is_file():
            raise UserError(f"{folder / name} is no file; copy the package again")


def _read_weights(path: Path) -> dict[str, Tensor]:
    try:
        kept = load_file(path)
        scales = {name.removesuffix(_SCALE): value for name, value in kept.items() if name.endswith(_SCALE)}
        weights = {name: value for name, value in kept.items() if not name.endswith(_SCALE)}
        return weights | {name: weights[name].float() * scale.unsqueeze(1) for name, scale in scales.items()}
    except FileNotFoundError:
        raise UserError(f"{path} is missing; the model package is incomplete, copy it again") from None
    except (SafetensorError, OSError, ValueError, KeyError, IndexError, RuntimeError) as error:
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


class _PlainDumper(yaml.SafeDumper):
    """Writes what occurs twice twice, and no aliases."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def _shrunk(weights: dict[str, Tensor], eight_bits: bool) -> dict[str, Tensor]:
    """Return weights as they are kept; a matrix of eight bits goes with the largest of each row over 127."""
    kept = {}
    for name, value in weights.items():
        if eight_bits and value.is_floating_point() and value.dim() == 2 and value.numel() >= _SMALL:
            scale = (value.float().abs().amax(dim=1) / 127).clamp(min=torch.finfo(torch.float32).tiny)
            kept[name] = (value.float() / scale.unsqueeze(1)).round().to(torch.int8).contiguous()
            kept[name + _SCALE] = scale
        else:
            kept[name] = (value.to(torch.float16) if value.is_floating_point() else value).contiguous()
    return kept


def _write_text(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8")


def _flush(path: Path) -> None:
    with path.open("rb") as file:
        os.fsync(file.fileno())
