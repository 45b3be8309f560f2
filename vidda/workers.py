"""Worker processes: how they are started, and how they end with their parent."""

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
def _signals_blocked() -> Iterator[None]:
    """Block SIGINT and SIGHUP while a worker is started, which then never receives them.

    `end_with_parent` comes too late for a worker that is still importing: it would print a
    traceback.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGHUP})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


class _SpawnedWorker(SpawnProcess):
    def start(self) -> None:
        with _signals_blocked():
            super().start()


class _ForkedWorker(ForkServerProcess):
    def start(self) -> None:
        with _signals_blocked():
            super().start()


class WorkerSpawnContext(SpawnContext):
    """A multiprocessing context that starts each worker as a new program.

    CUDA and threads do not survive a fork.
    """

    Process = _SpawnedWorker


class WorkerForkServerContext(ForkServerContext):
    """A multiprocessing context that forks workers from a clean server process.

    The server imports what the workers need once for all of them.
    """

    Process = _ForkedWorker


def start_worker() -> None:
    """Prepare a new worker process: OpenCV uses one thread, and `end_with_parent` is in force."""
    cv2.setNumThreads(1)
    end_with_parent()


def end_with_parent() -> None:
    """Make this worker ignore Ctrl-C and exit as soon as its parent ends, however it ends.

    A worker that waits for work does not notice that a killed parent will never send any: pools
    hold both ends of their queues, and under a fork server the parent's number never changes.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_wait_for_parent, daemon=True).start()


def _wait_for_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None, "only what multiprocessing has started has a parent to end with"
    parent.join()
    # A clean exit would wait for queues that nobody reads any more.
    os._exit(1)
