"""The command line: `vidda COMMAND [FILE.yaml] [key=value ...] [--flag ...]`.

A command is a function `run(config, *, dry_run, resume) -> int` whose first parameter's annotation
is its config class. Commands are imported only when called, so `vidda --help` needs neither torch
nor pydantic.
"""

import sys
from collections.abc import Sequence
from typing import Any

import vidda
from vidda.command import COMMANDS, Command, command_of, execute, schema_of
from vidda.guard import guarded

USAGE = "usage: vidda COMMAND [CONFIG.yaml] [key.sub=value ...] [--dry-run] [--resume] [--help]"


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; the exit status is its own, or 2 for anything the user has to mend."""
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
    if "--help" in arguments or "-h" in arguments:
        print(_command_help(name, command_of(name), schema_of(name)))
        return 0

    return execute(name, arguments)


def _overview() -> str:
    lines = [USAGE, "", "commands:"]
    lines += [f"  {name:<13}{command.help}" for name, command in COMMANDS.items()]
    return "\n".join([*lines, "", "vidda COMMAND --help lists the command's keys."])


def _command_help(name: str, command: Command, schema: Any) -> str:
    from vidda.schema import describe

    bare = "".join(f" {key.upper()}" for key in command.positional)
    lines = [
        f"usage: vidda {name}{bare} [CONFIG.yaml] [key.sub=value ...] [--flag ...]",
        "",
        command.help,
        "",
    ]
    for key in describe(schema):
        lines.append(f"  {key.name}  ({key.type}{', ' + key.default if key.default else ''})")
        if key.description:
            lines.append(f"      {key.description}")
    lines += ["", "  --dry-run  check everything, print the plan, change nothing"]
    lines += ["  --resume   go on where an earlier run of the same command stopped"]
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
