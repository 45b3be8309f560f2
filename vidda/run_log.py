"""The log of a run: lines with times for its folder, without for the terminal."""

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from vidda.errors import escape_control

log = logging.getLogger("vidda")


class _FileLog(logging.FileHandler):
    """A log file that drops a line on a full disk, which the code that needs the disk reports."""

    def handleError(self, record: logging.LogRecord) -> None:
        if not isinstance(sys.exception(), OSError):
            super().handleError(record)

    def close(self) -> None:
        with suppress(OSError):
            super().close()


class _Formatter(logging.Formatter):
    """A format of one record a line: further lines are indented, control characters escaped."""

    def format(self, record: logging.LogRecord) -> str:
        return "\n  ".join(escape_control(line) for line in super().format(record).split("\n"))


class _StderrLog(logging.Handler):
    """A log on the current sys.stderr, which rich replaces while it renders a bar."""

    def emit(self, record: logging.LogRecord) -> None:
        with suppress(OSError):  # a terminal that hung up
            print(self.format(record), file=sys.stderr)


@contextmanager
def logging_to(file: Path) -> Iterator[None]:
    """Send vidda's log to `file`, with times, and to standard error."""
    to_file = _FileLog(file, encoding="utf-8")
    to_file.setFormatter(_Formatter("%(asctime)s %(levelname)s %(message)s"))
    to_stderr = _StderrLog()
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
