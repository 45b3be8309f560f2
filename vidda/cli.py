"""The command line: `vidda COMMAND [FILE.yaml] [key=value ...] [--flag ...]`.

A command is a function `run(config, *, dry_run, resume) -> int` whose first parameter's annotation
is its config class. Commands are imported only when called, so `vidda --help` needs neither torch
nor pydantic.
"""

import difflib
import errno
import json
import os
import re
import signal
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, redirect_stderr, redirect_stdout, suppress
from pathlib import Path
from typing import Any, NoReturn, TextIO, cast

import vidda
from vidda.command import COMMANDS, Command, resolve
from vidda.errors import ViddaError, plain

_FREE = "; free some space: what is done is kept, and the same command with --resume goes on"

# What a machine refuses and its user can mend, and how where its own words do not say it.
MACHINE_ERRORS = {
    errno.EACCES: "",
    errno.EPERM: "",
    errno.EROFS: "",
    errno.ENOSPC: _FREE,
    errno.EDQUOT: _FREE,
    errno.EFBIG: "; a limit (ulimit -f) or this kind of disk forbids files of that size",
    errno.EIO: "; the disk fails, or its server: see the system's log",
    errno.EMFILE: "; too many files are open at once: raise ulimit -n, or take fewer workers",
}

USAGE = "usage: vidda COMMAND [CONFIG.yaml] [key.sub=value ...] [--dry-run] [--resume] [--help]"


class _EndedError(KeyboardInterrupt):
    """SIGTERM or SIGHUP came; whatever cleans up after Ctrl-C does so after these too."""

    def __init__(self, number: int) -> None:
        super().__init__(signal.Signals(number).name)
        self.status = 128 + number


class _Plain:
    """A standard stream that shows control characters escaped, whatever a file's name holds.

    kept: pattern of what passes as it is, in one group.
    """

    def __init__(self, stream: TextIO, kept: str) -> None:
        self._stream = stream
        self._kept = re.compile(kept)

    def write(self, text: str) -> int:
        parts = self._kept.split(text)
        parts[::2] = [plain(part) for part in parts[::2]]
        self._stream.write("".join(parts))
        return len(text)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


@contextmanager
def _plain_streams() -> Iterator[None]:
    """Standard output keeps colors, and standard error on a terminal what moves a bar."""
    moves = r"|\x1b\[[0-9;?]*[A-Za-z]" if sys.stderr.isatty() else ""
    out = _Plain(sys.stdout, r"(\n|\x1b\[[0-9;]*m)")
    error = _Plain(sys.stderr, rf"(\n|\r{moves})")
    with redirect_stdout(cast(TextIO, out)), redirect_stderr(cast(TextIO, error)):
        yield


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; the exit status is its own, or 2 for anything the user has to mend."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    try:
        with _signals(), _plain_streams():
            status = _run(arguments)
            sys.stdout.flush()
        return status
    except ViddaError as error:
        for line in str(error).split("\n"):
            print(f"error: {plain(line)}", file=sys.stderr)
        return 2
    except KeyboardInterrupt as error:
        what = f"ended by {error}" if isinstance(error, _EndedError) else "interrupted"
        with suppress(OSError):  # a terminal that hung up takes no line
            print(f"{what}; the same command with --resume goes on from here", file=sys.stderr)
        return error.status if isinstance(error, _EndedError) else 130
    except BrokenPipeError:
        # `vidda ... | head`: the reader has left, and Python would complain again while it exits.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    except OSError as error:
        if error.errno not in MACHINE_ERRORS:
            raise
        print(f"error: {plain(str(error))}{MACHINE_ERRORS[error.errno]}", file=sys.stderr)
        return 2


@contextmanager
def _signals() -> Iterator[None]:
    """Let SIGTERM and SIGHUP end a command as Ctrl-C does; a second one ends it at once."""
    here = threading.current_thread() is threading.main_thread()
    numbers = (signal.SIGTERM, signal.SIGHUP) if here else ()
    # nohup has a command ignore SIGHUP.
    before = {n: signal.getsignal(n) for n in numbers if signal.getsignal(n) != signal.SIG_IGN}
    for number in before:
        signal.signal(number, _end)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _end(number: int, _: Any) -> NoReturn:
    signal.signal(number, signal.SIG_DFL)
    raise _EndedError(number)


def _run(arguments: list[str]) -> int:
    if arguments in ([], ["--help"], ["-h"]):
        print(_overview())
        return 0
    if arguments == ["--version"]:
        print(f"vidda {vidda.__version__}")
        return 0
    name, *arguments = arguments
    command = COMMANDS.get(name)
    if command is None:
        near = difflib.get_close_matches(name, COMMANDS, n=1)
        hint = f"did you mean {near[0]!r}?" if near else f"known are {', '.join(COMMANDS)}"
        raise ViddaError(f"unknown command {name!r}; {hint}")
    function, schema = resolve(name)
    if "--help" in arguments or "-h" in arguments:
        print(_command_help(name, command, schema))
        return 0

    from vidda import config
    from vidda.files import naming

    switches, file, overrides = _sort(command, schema, arguments)
    settings = config.load(schema, file, overrides)
    with naming(getattr(settings, "out", None) or getattr(settings, "run", None)):
        return function(settings, **switches)


def _sort(
    command: Command, schema: Any, arguments: list[str]
) -> tuple[dict[str, bool], Path | None, list[str]]:
    """The switches, the config file and the overrides among a command's arguments."""
    switches = {"dry_run": "--dry-run" in arguments, "resume": "--resume" in arguments}
    bare = list(command.positional)
    file: Path | None = None
    several: list[str] = []
    overrides: list[str] = []
    problems: list[str] = []
    for argument in arguments:
        flag = argument.removeprefix("--").replace("-", "_")
        key, equals, _ = argument.partition("=")
        is_key = bool(equals) and "/" not in key  # runs/lr=1e-4/config.yaml is a path
        if argument in ("--dry-run", "--resume"):
            continue
        if argument.startswith("-"):
            field = schema.model_fields.get(flag)
            if field is None or field.annotation is not bool:
                problems.append(f"unknown flag {argument!r}; see --help")
            overrides.append(f"{flag}=true")
        elif argument.endswith((".yaml", ".yml")) and not is_key:
            if file is not None:
                problems.append(f"two config files: {file} and {argument}; give one")
            file = Path(argument)
        elif is_key:
            overrides.append(argument)
        elif bare and bare[0].endswith("..."):
            several.append(argument)
        elif bare:
            overrides.append(f"{bare.pop(0)}={json.dumps(argument)}")  # text, even if it is 2024
        else:
            problems.append(f"{argument!r} is neither CONFIG.yaml nor key=value nor a flag")
    if problems:
        raise ViddaError("\n".join(problems))
    if several:
        overrides.append(f"{bare[0].removesuffix('...')}={json.dumps(several)}")
    return switches, file, overrides


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
