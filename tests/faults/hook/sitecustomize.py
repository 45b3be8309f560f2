"""Kills a job, or one of its workers, before a chosen change to files under a folder.

Python imports this in every process whose PYTHONPATH names its folder: workers and stages too. It
notices each change by the interpreter's own audit events, so nothing of vidda is replaced.

FAULTS_UNDER    the folder. Without it nothing happens.
FAULTS_JOURNAL  a file; a letter is added for each change, by whichever process makes it
FAULTS_AT       number of the change before which to kill, from 1; 0 only counts
FAULTS_WORKER   1: count what workers change, and kill the worker alone; else all of the session
"""

import os
import signal
import sys

LETTERS = {
    "open": "w",
    "os.rename": "r",
    "os.remove": "d",
    "os.rmdir": "d",
    "os.symlink": "l",
    "os.mkdir": "m",
    "os.truncate": "t",
}
"""Letters of events in the journal: write, rename, delete, link, make a folder, truncate."""

WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT


def install(under: str, journal: str, kill_at: int, worker_only: bool) -> None:
    """Count changes from now on, and kill before change number `kill_at`."""
    descriptor = os.open(journal, os.O_WRONLY | os.O_CREAT | os.O_APPEND)

    def on_event(event: str, arguments: tuple[object, ...]) -> None:
        letter = LETTERS.get(event)
        if letter is None or not _counts(event, arguments, under):
            return
        if worker_only and os.getpid() == os.getsid(0):
            return
        os.write(descriptor, letter.encode())
        if os.fstat(descriptor).st_size == kill_at:
            os.kill(os.getpid() if worker_only else -os.getpgrp(), signal.SIGKILL)

    sys.addaudithook(on_event)


def _counts(event: str, arguments: tuple[object, ...], under: str) -> bool:
    if event == "open" and not (isinstance(arguments[2], int) and arguments[2] & WRITING):
        return False
    # A link's own path is its second argument; what rmtree deletes is named within its folder.
    path = arguments[1] if event == "os.symlink" else arguments[0]
    if not isinstance(path, str | os.PathLike):
        return False
    name = os.fspath(path)
    return name.startswith(under) or (event in ("os.remove", "os.rmdir") and arguments[1] != -1)


if "FAULTS_UNDER" in os.environ:
    install(
        os.environ["FAULTS_UNDER"],
        os.environ["FAULTS_JOURNAL"],
        int(os.environ["FAULTS_AT"]),
        os.environ["FAULTS_WORKER"] == "1",
    )
