"""The command `lstmapps`: finds the command asked for, runs it, and turns mistakes into one line."""

from __future__ import annotations

import argparse
import difflib
import importlib
import sys
from typing import Any, NoReturn

from lstmapps.errors import UserError

COMMANDS = {
    "list": "show recipes and models",
    "train": "train a recipe",
    "test": "score a model on a part of its data",
    "predict": "read inputs with a model",
    "finetune": "train a model further on your own data",
    "tune": "give a model a language model, weighed on held-out samples",
    "align": "tell when each word of a known text was seen or heard",
    "check": "look through a recipe's data for faults",
    "info": "describe a model or a recipe",
    "doctor": "check the installation",
}


class Parser(argparse.ArgumentParser):
    """An argument parser that adds "did you mean" to a wrong choice."""

    def error(self, message: str) -> NoReturn:
        if "invalid choice" in message:
            given = message.split("invalid choice: ")[1].split("'")[1]
            close = difflib.get_close_matches(given, COMMANDS, n=1)
            hint = f"; did you mean {close[0]!r}?" if close else f"; choose from {', '.join(COMMANDS)}"
            message = f"there is no command {given!r}{hint}"
        self.exit(2, f"{self.prog}: {message}\n")


def main(arguments: list[str] | None = None) -> int:
    """Run one command; return 0 done, 1 failed, 2 wrong usage, 130 interrupted."""
    arguments = sys.argv[1:] if arguments is None else arguments
    parser = Parser(prog="lstmapps", description="A toolkit for recurrent networks.", allow_abbrev=False)
    parser.add_argument("--debug", action="store_true", help="show tracebacks of mistakes")
    parser.add_argument("--version", action="store_true", help="show the version")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND")
    modules: dict[str, Any] = {}
    for name, summary in COMMANDS.items():
        sub = commands.add_parser(name, help=summary, description=f"{summary.capitalize()}.", allow_abbrev=False)
        sub.set_defaults(parser=sub)
        if name in arguments or "--help" not in arguments:
            modules[name] = importlib.import_module(f"lstmapps.cli.{name}")
            modules[name].add_arguments(sub)
    debug = "--debug" in arguments
    known, rest = parser.parse_known_args([a for a in arguments if a != "--debug"])
    if known.version:
        from lstmapps.plugins import core_version

        print(core_version())
        return 0
    if known.command is None:
        parser.print_help()
        return 2
    module = modules[known.command]
    if rest and not getattr(module, "TAKES_OVERRIDES", False):
        known.parser.error(f"unrecognised arguments: {' '.join(rest)}")
    known.overrides = rest
    try:
        code: int = module.run(known)
        return code
    except UserError as error:
        if debug:
            raise
        print(f"lstmapps {known.command}: {error}", file=sys.stderr)
        return 1
    except BrokenPipeError:
        sys.stderr.close()
        return 1
    except KeyboardInterrupt:
        print(f"lstmapps {known.command}: interrupted", file=sys.stderr)
        return 130


if __name__ == "__main__":
    sys.exit(main())
