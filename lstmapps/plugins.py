"""The plugin contract, and how plugins, their recipes and their models are found by name."""

from __future__ import annotations

import importlib
import importlib.util
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

from packaging.specifiers import SpecifierSet

from lstmapps.errors import UserError, did_you_mean

if TYPE_CHECKING:
    from torch import Tensor

    from lstmapps.data import Sample
    from lstmapps.predictions import Format

GROUP = "lstmapps.plugins"
"""The entry-point group in which a distribution announces its `Plugin`."""


OURS = ("handwriting", "speech")
"""The domains that have a plugin of this project, `lstmapps-<domain>`."""


class Domain(ABC):
    """What a plugin knows of its domain: how inputs are found, read, varied and how results are written.

    batch_steps: the padded size of a batch in prediction, in steps of the raw input.
    visual: whether texts stand in an input from left to right as they are written, and not as they are read: an
        Arabic line of writing does, an Arabic recording does not.
    """

    batch_steps: int = 16_000
    visual: bool = False

    @abstractmethod
    def read(self, source: str) -> Iterator[Sample]:
        """Yield the samples of a source (a file, a folder, a table) without opening each input.

        Their ids differ (`lstmapps.data.distinct`). Raises UserError if the source itself cannot be used; a line
        of it that cannot is a sample with a `fault`.
        """

    @abstractmethod
    def measure(self, sample: Sample) -> Sample:
        """Return the sample with its size, and its region if it has one; reads no more than a header."""

    @abstractmethod
    def load(self, sample: Sample) -> Tensor:
        """Return the raw input (time, features) as the network's frontend takes it; raises UserError."""

    def from_array(self, array: Any) -> Tensor:
        """Return an array or tensor given in Python as `load` returns inputs; raises UserError if it is none."""
        import torch

        x = torch.as_tensor(array)
        if x.dim() != 2 or not x.is_floating_point():
            raise UserError(f"an input is (time, features) of floating-point numbers, not {tuple(x.shape)} {x.dtype}")
        return x

    def load_blocks(self, sample: Sample) -> Iterator[Tensor]:
        """Yield what `load` returns in blocks, for inputs that are better not held whole."""
        yield self.load(sample)

    def augment(self, x: Tensor) -> Tensor:
        """Return a varied copy of a loaded input, drawing from torch's random numbers alone."""
        return x

    def live(self, source: str) -> Iterator[Tensor] | None:
        """Return the pieces (time, features) of an input that is still arriving, if the source names one."""
        return None

    def formats(self) -> dict[str, Format]:
        """Return the formats this domain writes beyond text and JSONL, by name."""
        return {}

    def picture(self, sample: Sample) -> bytes | None:
        """Return a PNG of the input for the report, its width in proportion to its steps, or None."""
        return None

    def sound(self, sample: Sample) -> bytes | None:
        """Return the input as a FLAC file for the report's player, or None."""
        return None


@dataclass(frozen=True)
class Plugin:
    """One domain, announced in one line; importing it must not import torch.

    domain: `module:Class` of its `Domain`.
    core: the versions of lstmapps it works with, `>=0.1,<0.2`.
    settings: arguments of the domain that `predict` takes as options, and what each is, in a few words.
    """

    name: str
    summary: str
    domain: str
    core: str
    settings: Mapping[str, str] = field(default_factory=dict)

    @property
    def package(self) -> str:
        """The import package that the domain lives in; model packages may name classes inside it."""
        return self.domain.partition(":")[0].partition(".")[0]

    def domain_class(self) -> type[Domain]:
        module, _, name = self.domain.partition(":")
        found: type[Domain] = getattr(importlib.import_module(module), name)
        return found

    @cached_property
    def folder(self) -> Path:
        """Where the package's files lie."""
        spec = importlib.util.find_spec(self.package)
        if spec is None or spec.origin is None:
            raise ModuleNotFoundError(f"{self.package} of the plugin {self.name} is not installed")
        return Path(spec.origin).parent

    def recipes(self) -> dict[str, Path]:
        """Return the plugin's recipes, `domain/name` to file: packed in the wheel, or in the checkout."""
        for folder in (self.folder / "recipes", self.folder.parents[2] / "recipes" / self.name):
            if folder.is_dir():
                return {f"{self.name}/{path.stem}": path for path in sorted(folder.glob("*.yaml"))}
        return {}

    def models(self) -> dict[str, Path]:
        """Return the model packages the plugin ships, `domain/name` to folder."""
        folders = sorted(path.parent for path in (self.folder / "models").glob("*/config.yaml"))
        return {f"{self.name}/{folder.name}": folder for folder in folders}


@dataclass(frozen=True)
class BrokenPlugin:
    """An installed plugin that cannot be used, and why, in one sentence."""

    name: str
    reason: str


def installed() -> tuple[dict[str, Plugin], list[BrokenPlugin]]:
    """Return the usable plugins by name, and the broken ones, which never stop the others."""
    usable: dict[str, Plugin] = {}
    broken: list[BrokenPlugin] = []
    for entry in sorted(metadata.entry_points(group=GROUP), key=lambda e: e.name):
        if entry.name in usable:
            continue
        try:
            plugin = entry.load()
            if not isinstance(plugin, Plugin):
                raise TypeError(f"{entry.value} is not a Plugin")
            reason = _refusal(plugin)
        except Exception as error:
            reason = f"cannot be imported ({type(error).__name__}: {error}); reinstall or remove it"
        if reason:
            broken.append(BrokenPlugin(entry.name, reason))
        else:
            usable[entry.name] = plugin
    return usable, broken


def core_version() -> str:
    return metadata.version("lstmapps")


def _refusal(plugin: Plugin) -> str:
    if importlib.util.find_spec(plugin.package) is None:
        return f"names a package {plugin.package} that is not there; reinstall or remove it"
    version = core_version()
    if SpecifierSet(plugin.core).contains(version, prereleases=True):
        return ""
    return f"needs lstmapps {plugin.core} but {version} is installed; install a matching version of either"


def find(kind: str, name: str) -> Path:
    """Return the path of the named recipe or model (`kind` is "recipe" or "model").

    Raises UserError with the nearest name if there is none.
    """
    plugins, broken = installed()
    known: dict[str, Path] = {}
    for plugin in plugins.values():
        known |= plugin.recipes() if kind == "recipe" else plugin.models()
    if name in known:
        return known[name]
    for plugin_broken in broken:
        if name.startswith(f"{plugin_broken.name}/"):
            raise UserError(f"{name} belongs to the plugin {plugin_broken.name}, which {plugin_broken.reason}")
    domain, slash, _ = name.partition("/")
    if slash and domain in OURS and domain not in plugins:
        raise UserError(f"{name} belongs to a plugin that is not installed; pip install lstmapps-{domain}")
    hint = did_you_mean(name, list(known)) or "; `lstmapps list` shows what there is"
    raise UserError(f"there is no {kind} {name!r}{hint}")


def allowed_packages() -> set[str]:
    """Return the packages whose classes a model package or recipe may name."""
    plugins, _ = installed()
    return {"lstmapps"} | {plugin.package for plugin in plugins.values()}
