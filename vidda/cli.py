"""The command line: `vidda COMMAND [FILE.yaml] [key=value ...] [--flag ...]`.

A command is a function `run(config, *, dry_run, resume) -> int` whose first parameter's annotation is
its config class. Commands are imported only when called, so `vidda --help` needs neither torch nor
pydantic.
"""

import importlib
import inspect
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import vidda
from vidda.errors import ViddaError


@dataclass(frozen=True)
class Command:
    """Where a command's function is, one line of help, and the config keys that may stand bare."""

    target: str
    help: str
    positional: tuple[str, ...] = ()


COMMANDS = {
    "mini": Command(
        "vidda.mini.job:run", "render MiniRoCoG, the built-in dataset, into a folder", ("out",)
    ),
    "prepare": Command(
        "vidda.data.prepare:run", "turn videos and annotation lists into manifests and splits"
    ),
    "doctor": Command("vidda.doctor:run", "check this installation by using each part of it"),
}

USAGE = "usage: vidda COMMAND [CONFIG.yaml] [key.sub=value ...] [--dry-run] [--resume] [--help]"


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; the exit status is its own, or 2 for anything the user has to mend."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    if arguments in ([], ["--help"], ["-h"]):
        print(_overview())
        return 0
    if arguments == ["--version"]:
        print(f"vidda {vidda.__version__}")
        return 0
    try:
        return _run(arguments[0], arguments[1:])
    except ViddaError as error:
        for line in str(error).splitlines():
            print(f"error: {line}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("interrupted; the same command with --resume goes on from here", file=sys.stderr)
        return 130
    except BrokenPipeError:
        sys.stderr.close()
        return 141


def _run(name: str, arguments: list[str]) -> int:
    command = COMMANDS.get(name)
    if command is None:
        raise ViddaError(f"unknown command {name!r}; known are {', '.join(COMMANDS)}")
    module, _, attribute = command.target.partition(":")
    function: Callable[..., int] = getattr(importlib.import_module(module), attribute)
    schema = next(iter(inspect.signature(function, eval_str=True).parameters.values())).annotation
    if "--help" in arguments or "-h" in arguments:
        print(_command_help(name, command, schema))
        return 0

    from vidda import config

    switches, file, overrides = _sort(command, schema, arguments)
    return function(config.load(schema, file, overrides), **switches)


def _sort(
    command: Command, schema: Any, arguments: list[str]
) -> tuple[dict[str, bool], Path | None, list[str]]:
    """The switches, the config file and the overrides among a command's arguments."""
    switches = {"dry_run": "--dry-run" in arguments, "resume": "--resume" in arguments}
    bare = list(command.positional)
    file: Path | None = None
    overrides: list[str] = []
    for argument in arguments:
        flag = argument.removeprefix("--").replace("-", "_")
        if argument in ("--dry-run", "--resume"):
            continue
        if argument.startswith("-"):
            if schema.model_fields.get(flag) is None or schema.model_fields[flag].annotation is not bool:
                raise ViddaError(f"unknown flag {argument!r}; see --help")
            overrides.append(f"{flag}=true")
        elif argument.endswith((".yaml", ".yml")) and "=" not in argument:
            if file is not None:
                raise ViddaError(f"two config files: {file} and {argument}; give one")
            file = Path(argument)
        elif "=" in argument:
            overrides.append(argument)
        elif bare:
            overrides.append(f"{bare.pop(0)}={argument}")
        else:
            raise ViddaError(f"{argument!r} is neither CONFIG.yaml nor key=value nor a flag")
    return switches, file, overrides


def _overview() -> str:
    lines = [USAGE, "", "commands:"]
    lines += [f"  {name:<10}{command.help}" for name, command in COMMANDS.items()]
    return "\n".join([*lines, "", "vidda COMMAND --help lists the command's keys."])


def _command_help(name: str, command: Command, schema: Any) -> str:
    from vidda import config

    bare = "".join(f" {key.upper()}" for key in command.positional)
    lines = [
        f"usage: vidda {name}{bare} [CONFIG.yaml] [key.sub=value ...] [--flag ...]",
        "",
        command.help,
        "",
    ]
    for key, type_name, default, text in config.describe(schema):
        lines.append(f"  {key}  ({type_name}{', ' + default if default else ''})")
        if text:
            lines.append(f"      {text}")
    lines += ["", "  --dry-run  check everything, print the plan, change nothing"]
    lines += ["  --resume   go on where an earlier run of the same command stopped"]
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
