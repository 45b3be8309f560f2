"""The guard around a command's process: signals, escaped output, and errors as lines."""

import errno
import os
import re
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout, suppress
from typing import Any, NoReturn, TextIO, cast

from vidda.errors import ViddaError, escape_control

_FREE = "; free some space: what is done is kept, and the same command with --resume continues"

# System errors that a user can fix, each with a remedy where its own text does not imply one.
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

# How torch reports that the memory of a GPU or of the machine is full; numpy raises MemoryError.
_MEMORY_FULL = re.compile("out of memory|can't allocate memory|not enough memory")
_LESS_MEMORY = (
    "; take fewer clips or frames at once (a smaller batch_size, a larger accumulate, or a smaller"
    " chunk of a translation), smaller frames or precision=bf16"
)


class _EndedError(KeyboardInterrupt):
    """The end by SIGTERM or SIGHUP; whatever cleans up after Ctrl-C does so after these too."""

    def __init__(self, number: int) -> None:
        super().__init__(signal.Signals(number).name)
        self.status = 128 + number


class _EscapedStream:
    """A standard stream that writes control characters escaped, whatever a file's name holds.

    kept: pattern, with one group, of what is written unchanged.
    """

    def __init__(self, stream: TextIO, kept: str) -> None:
        self._stream = stream
        self._kept = re.compile(kept)

    def write(self, text: str) -> int:
        parts = self._kept.split(text)
        parts[::2] = [escape_control(part) for part in parts[::2]]
        self._stream.write("".join(parts))
        return len(text)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


@contextmanager
def _escaped_streams() -> Iterator[None]:
    """Escape what is printed, but colors on standard output, and a progress bar's codes on a
    terminal's standard error.
    """
    moves = r"|\x1b\[[0-9;?]*[A-Za-z]" if sys.stderr.isatty() else ""
    out = _EscapedStream(sys.stdout, r"(\n|\x1b\[[0-9;]*m)")
    error = _EscapedStream(sys.stderr, rf"(\n|\r{moves})")
    with redirect_stdout(cast(TextIO, out)), redirect_stderr(cast(TextIO, error)):
        yield


def guarded(work: Callable[[], int]) -> int:
    """Run a command and return its exit status.

    work: the command, which returns its own status. An error that the user can fix is printed on
    standard error without a traceback and gives 2; Ctrl-C gives 130, another signal 128 and its
    number, a closed pipe 141. Any other exception is raised.
    """
    try:
        with _signals(), _escaped_streams():
            status = work()
            sys.stdout.flush()
        return status
    except ViddaError as error:
        for line in str(error).split("\n"):
            print(f"error: {escape_control(line)}", file=sys.stderr)
        return 2
    except KeyboardInterrupt as error:
        what = f"ended by {error}" if isinstance(error, _EndedError) else "interrupted"
        with suppress(OSError):  # a terminal that hung up takes no line
            print(f"{what}; the same command with --resume continues from here", file=sys.stderr)
        return error.status if isinstance(error, _EndedError) else 130
    except BrokenPipeError:
        # `vidda ... | head`: the reader has left, and Python would complain again while it exits.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    except OSError as error:
        if error.errno not in MACHINE_ERRORS:
            raise
        print(f"error: {escape_control(str(error))}{MACHINE_ERRORS[error.errno]}", file=sys.stderr)
        return 2
    except (RuntimeError, MemoryError) as error:  # torch's is the first
        if not isinstance(error, MemoryError) and not _MEMORY_FULL.search(str(error)):
            raise
        reason = escape_control(" ".join(str(error).split())) or "Python's objects"
        print(f"error: out of memory ({reason:.200}){_LESS_MEMORY}", file=sys.stderr)
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
