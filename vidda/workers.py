"""What every process that vidda starts to help it does first."""

import multiprocessing
import os
import signal
import threading

import cv2


def start_worker() -> None:
    """Take one core, and `belong` to the parent."""
    cv2.setNumThreads(1)
    belong()


def belong() -> None:
    """Leave Ctrl-C to the parent, and end with it however it ends.

    A worker that waits for work does not notice that a killed parent will never send any: pools
    hold both ends of their queues, and under a fork server the parent's number never changes.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None, "only what multiprocessing has started has a parent to end with"
    parent.join()
    # Nothing is left to be told, and a clean exit would wait for queues that nobody reads.
    os._exit(1)
