"""A stage's own process: `python -m vidda.experiment.child PARENT COMMAND ...`.

A stage has its own process because accelerate keeps one precision and one device for a whole
process. The process ends with its parent, so that a resumed job finds no stage still running.
"""

import ctypes
import os
import signal
import sys

from vidda.command import execute
from vidda.guard import guarded

PR_SET_PDEATHSIG = 1


def end_with_parent(parent: int) -> None:
    """Interrupt this process when its parent dies, on Linux; elsewhere it runs to its own end.

    parent: process id. The interrupt is that of Ctrl-C, so that child processes are ended too.
    """
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
        if os.getppid() != parent:  # it died before the line above
            sys.exit(143)


if __name__ == "__main__":
    end_with_parent(int(sys.argv[1]))
    sys.exit(guarded(lambda: execute(sys.argv[2], sys.argv[3:])))
