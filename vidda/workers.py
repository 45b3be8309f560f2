"""What every process that vidda starts to help it does first."""

import multiprocessing
import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.context import (
    ForkServerContext,
    ForkServerProcess,
    SpawnContext,
    SpawnProcess,
)

import cv2


@contextmanager
def _left_to_parent() -> Iterator[None]:
    """Hold Ctrl-C and hanging up back while a worker is started, which then never gets them.

    `end_with_parent` comes too late for a worker that is still importing, and would print a traceback.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGHUP})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


class _Spawned(SpawnProcess):
    def start(self) -> None:
        with _left_to_parent():
            super().start()


class _Forked(ForkServerProcess):
    def start(self) -> None:
        with _left_to_parent():
            super().start()


class WorkerSpawnContext(SpawnContext):
    """Starts each worker as a new program, since CUDA and threads do not survive a fork."""

    Process = _Spawned


class WorkerForkServerContext(ForkServerContext):
    """Forks workers from a clean server process, which imports what they need once."""

    Process = _Forked


def start_worker() -> None:
    """Take one core, and `end_with_parent` to the parent."""
    cv2.setNumThreads(1)
    end_with_parent()


def end_with_parent() -> None:
    """Leave Ctrl-C to the parent, and end with it however it ends.

    A worker that waits for work does not notice that a killed parent will never send any: pools
    hold both ends of their queues, and under a fork server the parent's number never changes.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_wait_for_parent, daemon=True).start()


def _wait_for_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None, "only what multiprocessing has started has a parent to end with"
    parent.join()
    # Nothing is left to be told, and a clean exit would wait for queues that nobody reads.
    os._exit(1)
