"""A stage's own process: `python -m vidda.experiment.child PARENT COMMAND ...`.

Each stage has one, because accelerate keeps one precision and one device for a whole process. It is
ended with its parent, so that a resumed job does not meet a stage that still runs.
"""

import ctypes
import os
import signal
import sys

from vidda.command import execute
from vidda.guard import guarded

PR_SET_PDEATHSIG = 1


def end_with_parent(parent: int) -> None:
    """Have Linux end this process when its parent dies; elsewhere it goes on to its own end.

    As Ctrl-C does, so that it ends the processes that it has started itself.
    """
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
        if os.getppid() != parent:  # it died before the line above
            sys.exit(143)


if __name__ == "__main__":
    end_with_parent(int(sys.argv[1]))
    sys.exit(guarded(lambda: execute(sys.argv[2], sys.argv[3:])))
