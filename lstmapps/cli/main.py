"""The command `lstmapps`: finds the command asked for, runs it, and turns mistakes into one line."""

from __future__ import annotations

import argparse
import importlib
import io
import itertools
import sys
from typing import Any, NoReturn

from lstmapps.errors import UserError, did_you_mean

COMMANDS = {
    "list": "show recipes and models",
    "train": "train a recipe",
    "test": "score a model on a part of its data",
    "predict": "read inputs with a model",
    "finetune": "train a model further on your own data",
    "tune": "give a model a language model, weighed on held-out samples",
    "align": "tell when each word of a known text was seen or heard",
    "score": "tell how probable known texts are",
    "check": "look through a recipe's data for faults",
    "info": "describe a model or a recipe",
    "doctor": "check the installation",
}

TOP_SETTINGS = ("seed_everything", "average", "card", "start")
"""The settings of a recipe that stand at its top; all others have a dot in their names."""

ESCAPE = "backslashreplace"


class Parser(argparse.ArgumentParser):
    """An argument parser that tells a mistake in one line."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: {message}\n")


def main(arguments: list[str] | None = None) -> int:
    """Run one command; return 0 done, 1 failed, 2 wrong usage, 130 interrupted."""
    arguments = sys.argv[1:] if arguments is None else arguments
    _print_anything()
    debug = "--debug" in arguments
    arguments = [argument for argument in arguments if argument != "--debug"]
    name = next((argument for argument in arguments if not argument.startswith("-")), None)
    if name is None or (name not in COMMANDS and arguments[0] != name):
        return _without_command(arguments)
    if name not in COMMANDS:
        hint = did_you_mean(name, list(COMMANDS)).strip(" ()") or f"choose from {', '.join(COMMANDS)}"
        print(f"lstmapps: there is no command {name!r}; {hint}", file=sys.stderr)
        return 2
    module = importlib.import_module(f"lstmapps.cli.{name}")
    arguments.remove(name)
    known = parse(module, name, arguments)
    known.debug = debug
    try:
        code: int = module.run(known)
        return code
    except UserError as error:
        if debug:
            raise
        print(f"lstmapps {name}: {error}", file=sys.stderr)
        return 1
    except BrokenPipeError:
        sys.stderr.close()
        return 1
    except KeyboardInterrupt:
        print(f"lstmapps {name}: interrupted", file=sys.stderr)
        return 130


def parse(module: Any, name: str, arguments: list[str]) -> argparse.Namespace:
    """Parse a command's arguments, its options and inputs in any order; exits with 2 on wrong usage.

    `overrides` are the settings of a recipe among them, each `--key=value` or `--key value`.
    """
    summary = COMMANDS[name]
    parser = Parser(prog=f"lstmapps {name}", description=f"{summary.capitalize()}.", allow_abbrev=False)
    module.add_arguments(parser)
    own, overrides = _without_overrides(arguments) if getattr(module, "TAKES_OVERRIDES", False) else (arguments, [])
    known, rest = parser.parse_known_intermixed_args(own)
    if rest:
        parser.error(f"unrecognised arguments: {' '.join(rest)}")
    known.overrides = overrides
    return known


def _without_overrides(arguments: list[str]) -> tuple[list[str], list[str]]:
    """Return a command's own arguments, and the settings of a recipe among them."""
    own: list[str] = []
    overrides: list[str] = []
    rest = iter(arguments)
    for argument in rest:
        key, equals, _ = argument.partition("=")
        if not key.startswith("--") or not (key.partition(".")[1] or key[2:] in TOP_SETTINGS):
            own.append(argument)
        elif equals:
            overrides.append(argument)
        else:
            overrides += [argument, *itertools.islice(rest, 1)]
    return own, overrides


def _without_command(arguments: list[str]) -> int:
    """Run what `lstmapps` does by itself: tell its version or its commands."""
    parser = Parser(prog="lstmapps", description="A toolkit for recurrent networks.", allow_abbrev=False)
    parser.add_argument("--debug", action="store_true", help="show tracebacks of mistakes")
    parser.add_argument("--version", action="store_true", help="show the version")
    commands = parser.add_subparsers(metavar="COMMAND")
    for name, summary in COMMANDS.items():
        commands.add_parser(name, help=summary)
    if parser.parse_args(arguments).version:
        from lstmapps.plugins import core_version

        print(core_version())
        return 0
    parser.print_help()
    return 2


def _print_anything() -> None:
    """Let texts and file names be printed, escaped, that a stream's encoding has no characters for."""
    for stream, errors in ((sys.stdin, "surrogateescape"), (sys.stdout, ESCAPE), (sys.stderr, ESCAPE)):
        if isinstance(stream, io.TextIOWrapper) and stream.errors != errors:
            stream.reconfigure(errors=errors)


if __name__ == "__main__":
    sys.exit(main())
