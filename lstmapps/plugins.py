"""What a plugin is, and how plugins, their recipes and their models are found by name."""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING

from packaging.specifiers import SpecifierSet

from lstmapps.errors import UserError, did_you_mean

if TYPE_CHECKING:
    from lstmapps.data import Domain

GROUP = "lstmapps.plugins"
"""The entry-point group in which a distribution announces its `Plugin`."""

OURS = ("handwriting", "speech", "translation", "captioning", "foundations")
"""The plugins of this project, `lstmapps-<name>`."""


@dataclass(frozen=True)
class Plugin:
    """One domain, announced in one line; importing it must not import torch.

    domain: `module:Class` of its `Domain`; of a plugin that has recipes alone, its package.
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

    def domain_class(self) -> type[Domain] | None:
        """Return the domain, None of a plugin that has recipes alone."""
        module, _, name = self.domain.partition(":")
        if not name:
            return None
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
    recipes = {name: path for plugin in plugins.values() for name, path in plugin.recipes().items()}
    models = {name: path for plugin in plugins.values() for name, path in plugin.models().items()}
    known = recipes if kind == "recipe" else models
    if name in known:
        return known[name]
    if name in recipes:
        raise UserError(f"{name} is a recipe whose model is not shipped; make one with `lstmapps train {name}`")
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
