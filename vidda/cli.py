"""The command line: `vidda COMMAND [FILE.yaml] [key=value ...] [--flag ...]`, and its help.

A command is a function `run(config, *, dry_run, resume) -> int` whose first parameter's annotation
is its config class. Commands are imported only when called, so `vidda --help` needs neither torch
nor pydantic.
"""

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

import vidda
from vidda.command import COMMANDS, command_of, execute, schema_of
from vidda.errors import ViddaError
from vidda.guard import guarded

if TYPE_CHECKING:
    from vidda.schema import Key

USAGE = "usage: vidda COMMAND [CONFIG.yaml] [key.sub=value ...] [--dry-run] [--resume] [--help]"
MORE = """\
vidda COMMAND --help: a command's keys; with --help-all also those below them
vidda help COMMAND KEY: one key and those below it; vidda help KEY: which commands have it"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; the exit status is its own, or 2 for anything the user has to fix."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    return guarded(lambda: _run(arguments))


def _run(arguments: list[str]) -> int:
    if arguments in ([], ["--help"], ["-h"]):
        print(_overview())
        return 0
    if arguments == ["--version"]:
        print(f"vidda {vidda.__version__}")
        return 0
    name, *arguments = arguments
    asked = [one for one in ("--help-all", "--help", "-h") if one in arguments]
    if name == "help":
        print(_help([one for one in arguments if one not in asked]))
        return 0
    if asked:
        print(_command_help(name, every=asked[0] == "--help-all"))
        return 0

    return execute(name, arguments)


def _overview() -> str:
    lines = [USAGE, "", "commands:"]
    lines += [f"  {name:<13}{command.help}" for name, command in COMMANDS.items()]
    return "\n".join([*lines, "", MORE])


def _help(arguments: list[str]) -> str:
    """Return what `vidda help [COMMAND] [KEY]` prints; a word that is both is a command."""
    if len(arguments) > 2:
        raise ViddaError(f"{arguments[2]!r} is a word too many; write vidda help [COMMAND] [KEY]")
    if not arguments:
        return _overview()
    if arguments[0] in COMMANDS and len(arguments) == 1:
        return _command_help(arguments[0], every=False)

    from vidda.help import key_help

    *one, written = arguments
    if written.startswith("--"):
        written = written[2:].replace("-", "_")
    return key_help(written, {name: _keys(name) for name in one or COMMANDS})


def _command_help(name: str, every: bool) -> str:
    command, keys = command_of(name), _keys(name)

    from vidda.help import command_help

    return command_help(name, command, keys, every=every)


def _keys(name: str) -> "list[Key]":
    schema = schema_of(name)

    from vidda.schema import describe

    return list(describe(schema))


if __name__ == "__main__":
    sys.exit(main())
