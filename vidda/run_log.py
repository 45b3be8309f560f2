"""vidda's log: lines for a run's folder, with times, and for the terminal."""

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from vidda.errors import escape_control

log = logging.getLogger("vidda")


class _ToFile(logging.FileHandler):
    """Leaves out a line for which there is no room: whoever needs the disk says that it is full."""

    def handleError(self, record: logging.LogRecord) -> None:
        if not isinstance(sys.exception(), OSError):
            super().handleError(record)

    def close(self) -> None:
        with suppress(OSError):
            super().close()


class _Formatter(logging.Formatter):
    """One record a line: further lines are indented, and control characters escaped."""

    def format(self, record: logging.LogRecord) -> str:
        return "\n  ".join(escape_control(line) for line in super().format(record).split("\n"))


class _ToStderr(logging.Handler):
    """Prints to what sys.stderr is at that moment: rich replaces it while a bar is shown."""

    def emit(self, record: logging.LogRecord) -> None:
        with suppress(OSError):  # a terminal that hung up
            print(self.format(record), file=sys.stderr)


@contextmanager
def logging_to(file: Path) -> Iterator[None]:
    """Send vidda's log to `file`, with times, and to standard error."""
    to_file = _ToFile(file, encoding="utf-8")
    to_file.setFormatter(_Formatter("%(asctime)s %(levelname)s %(message)s"))
    to_stderr = _ToStderr()
    to_stderr.setFormatter(_Formatter())
    handlers = [to_file, to_stderr]
    log.setLevel(logging.INFO)
    for handler in handlers:
        log.addHandler(handler)
    try:
        yield
    finally:
        for handler in handlers:
            log.removeHandler(handler)
        to_file.close()
