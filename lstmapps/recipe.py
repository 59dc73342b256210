"""From a recipe's name or path, and settings in LightningCLI's form, to trainer, task and data."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import yaml
from jsonargparse import ActionConfigFile, ArgumentError, Namespace
from jsonargparse.typing import ClosedUnitInterval
from lightning import LightningDataModule, LightningModule
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch.cli import LightningArgumentParser, LightningCLI
from rich.console import Console

from lstmapps.data import Domain, SequenceData
from lstmapps.errors import UserError
from lstmapps.plugins import find
from lstmapps.tasks import Task
from lstmapps.training import TRAINER_DEFAULTS, Run, progress, quieten


class RecipeParser(LightningArgumentParser):
    """Takes the path of a table as that path: LightningCLI would read the file in as a configuration."""

    def add_class_arguments(self, *args: Any, **settings: Any) -> Any:
        return super().add_class_arguments(*args, **{**settings, "sub_configs": False})


class RecipeCLI(LightningCLI):
    """LightningCLI that links the vocabularies, the normalisation and the seed of the data to the task."""

    def init_parser(self, **settings: Any) -> LightningArgumentParser:
        parser = RecipeParser(**settings)
        parser.add_argument("--config", action=ActionConfigFile, help="the recipe")
        return parser

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        parser.add_argument("--card", type=dict[str, Any], default={}, help="what the model card says")
        parser.add_argument(
            "--start", type=str | None, default=None, help="a model whose weights the network begins with"
        )
        parser.add_argument("--average", type=ClosedUnitInterval, default=0.998, help="decay of the averaged weights")
        parser.link_arguments("data.vocabulary", "model.init_args.vocabulary", apply_on="instantiate")
        parser.link_arguments("data.source_vocabulary", "model.init_args.source_vocabulary", apply_on="instantiate")
        parser.link_arguments("data.normalisation", "model.init_args.normalisation")
        parser.link_arguments("seed_everything", "data.seed", compute_fn=seed_of)


def seed_of(seed_everything: bool | int | None) -> int:
    """Return the seed of the data: that of everything, or 0 where none is fixed."""
    return 0 if seed_everything is None or isinstance(seed_everything, bool) else seed_everything


def recipe_file(name: str) -> tuple[str, Path]:
    """Return a recipe's name and file, from its name or its path."""
    path = Path(name).expanduser()
    if path.suffix in {".yaml", ".yml"}:
        if not path.is_file():
            raise UserError(f"there is no recipe at {path}; check the path, or see `lstmapps list`")
        return f"{path.absolute().parent.name}/{path.stem}", path
    return name, find("recipe", name)


def build(
    recipe: str, overrides: Sequence[str] = (), *, output: Path | None = None, console: Console | None = None
) -> Run:
    """Read a recipe with overrides in LightningCLI's form and build its parts.

    output: the run's folder, where Lightning's loggers write. Raises UserError on a misspelt key or a wrong value.
    """
    name, file = recipe_file(recipe)
    cli = parsed(RecipeCLI, SequenceData, file, overrides, output, console)
    config = _plain(cli.config)
    package_config = _package_config(name, config, cli.model, cli.datamodule.domain)
    return Run(name, package_config, config["average"], cli.trainer, cli.model, cli.datamodule, config["start"])


def parsed(
    cli: type[LightningCLI],
    data: type[LightningDataModule],
    file: Path,
    overrides: Sequence[str],
    output: Path | None,
    console: Console | None,
) -> LightningCLI:
    """Read a file with overrides by a kind of LightningCLI, and build its trainer, task and data; raises UserError.

    data: the class of the data; where it is Lightning's own, the recipe names one.
    """
    quieten()
    with settings_refused(f"{file}: "):
        return cli(
            LightningModule,
            data,
            args=[f"--config={file}", *overrides],
            run=False,
            subclass_mode_model=True,
            subclass_mode_data=data is LightningDataModule,
            save_config_callback=None,
            trainer_defaults={
                **TRAINER_DEFAULTS,
                "callbacks": progress(console),
                "enable_progress_bar": bool(console),
                "default_root_dir": None if output is None else str(output),
            },
            parser_kwargs={"exit_on_error": False, "allow_abbrev": False},
        )


@contextmanager
def settings_refused(where: str = "") -> Iterator[None]:
    """Turn what parser and classes say of settings that they cannot take into a UserError, behind `where`."""
    try:
        yield
    except ArgumentError as error:
        raise UserError(where + _first_cause(error)) from None
    except (ValueError, TypeError, MisconfigurationException) as error:
        raise UserError(where + _refusal(error)) from error


def parse_data(defaults: dict[str, Any], overrides: Sequence[str], extra: Mapping[str, type] = {}) -> Namespace:
    """Build SequenceData from plain defaults and overrides, and further groups of settings beside it.

    `extra` names classes whose arguments are taken too, such as `trainer` or `optimisation`; their
    settings are returned unbuilt. Raises UserError on an unknown key or a wrong value.
    """
    quieten()
    parser = LightningArgumentParser(exit_on_error=False, allow_abbrev=False)
    parser.add_class_arguments(SequenceData, "data")
    for key, group in extra.items():
        parser.add_class_arguments(group, key, instantiate=False)
    with settings_refused():
        parser.set_defaults({f"data.{key}": value for key, value in defaults.items()})
        config = parser.parse_args(list(overrides))
        instantiate = getattr(parser, "instantiate", None) or parser.instantiate_classes  # renamed in jsonargparse 4.49
        built: Namespace = instantiate(config)
        return built


def recipe_data(recipe: str, overrides: Sequence[str] = ()) -> SequenceData:
    """Return the data of a recipe without its network."""
    _, file = recipe_file(recipe)
    try:
        defaults = yaml.safe_load(file.read_text(encoding="utf-8"))["data"]
    except (yaml.YAMLError, KeyError, TypeError) as error:
        raise UserError(f"{file} is not a recipe ({error}); mend it") from None
    data: SequenceData = parse_data(defaults, overrides)["data"]
    return data


def own_data(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return the defaults of data that are one's own, for a model of this configuration."""
    return {"domain": config["domain"], "normalisation": config["normalisation"], "holdout": 0.1}


def recipe_of(config: Mapping[str, Any], overrides: Sequence[str]) -> str | None:
    """Return the recipe whose data a model is scored on; None if it is one's own data that are named."""
    named = {override.partition("=")[0] for override in overrides}
    if named & {f"--data.{part}" for part in ("train", "validation", "test")} and "--data.root" not in named:
        return None
    recipe: str | None = config.get("recipe")
    return recipe


def data_of(config: Mapping[str, Any], recipe: str | None, overrides: Sequence[str]) -> SequenceData:
    """Return the data of a recipe, by default a model's own; or one's own data.

    Those are meant where parts are named without a `--data.root`, and of a fine-tuned model, which has no recipe.
    """
    if recipe := recipe or recipe_of(config, overrides):
        return recipe_data(recipe, overrides)
    data: SequenceData = parse_data(own_data(config), overrides)["data"]
    return data


def _package_config(name: str, config: dict[str, Any], task: Task, domain: Domain) -> dict[str, Any]:
    described = config["data"]["domain"]
    kept = {key: value for key, value in described.get("init_args", {}).items() if key not in domain.of_recipes}
    return {
        "name": name,
        "recipe": name,
        "card": config["card"],
        "domain": {**described, "init_args": kept},
        "network": task.network.description(config["model"]["init_args"]),
        "normalisation": asdict(task.validation.normalisation),
        "scores": [score.name for score in task.validation.scores],
        "decoder": task.decoder(),
        "training": task.settings(),
    }


def _plain(value: Any) -> Any:
    """Turn a parsed configuration into plain dicts, lists and scalars that YAML can hold."""
    if isinstance(value, Namespace):
        value = vars(value)
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items() if not key.startswith("__")}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value if isinstance(value, str | int | float | bool | type(None)) else str(value)


def _first_cause(error: ArgumentError) -> str:
    """Return from a parser's error of many lines the setting at fault and the line that tells why."""
    text = str(error)
    lines = [line.strip(" -") for line in text.split("\n") if line.strip()]
    unknown = ("no attribute", "No module named", "nrecognized", "not expected")
    words = (*unknown, "not accepted", "does not accept", "required", "Expected", "Invalid")
    telling = next((line for line in lines if any(word in line for word in words)), lines[-1])
    keys = [key for key in re.findall(r'[Kk]ey "([^"]+)"', text) if key not in telling]
    return (f"{keys[-1]}: " if keys else "") + telling[:300]


def _refusal(error: Exception) -> str:
    """Return what a class said of settings that it cannot take, out of what the parser may have put around it."""
    return str(error).rpartition("Errors:\n")[2].split("\n")[0].strip(" -")
