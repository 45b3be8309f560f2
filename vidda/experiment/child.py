"""A stage's own process: `python -m vidda.experiment.child PARENT COMMAND ...`.

A stage has its own process because accelerate keeps one precision and one device for a whole
process. The process ends with its parent, so that a resumed job finds no stage still running.
Without COMMAND it is a server, which forks such processes one after the other; see `serve`.
"""

import ctypes
import gc
import importlib
import json
import os
import signal
import sys
import time
from contextlib import suppress
from pathlib import Path

from vidda.command import command_of, execute
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


def serve(parent: int) -> list[str]:
    """Fork a process for each command that standard input names; return its arguments in it.

    A request is a line of JSON, `[arguments, log]`; the answers on standard output are the id of
    the process, and at its end `[status, cpu_s]`. What a command imports is imported here, once,
    before the first process that needs it: it takes seconds of most stages. Nothing is run here,
    so that no thread and no device exists when a process is forked.
    """
    end_with_parent(parent)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a terminal's Ctrl-C is the stage's and the job's
    # Else PyTorch initializes CUDA to find out whether it is there, and no fork may do it again.
    os.environ["PYTORCH_NVML_BASED_CUDA_CHECK"] = "1"
    server, answers = os.getpid(), os.dup(1)
    for request in sys.stdin:
        arguments, log = json.loads(request)
        with Path(log).open("ab") as stream:
            os.dup2(stream.fileno(), 1)
            os.dup2(stream.fileno(), 2)
        start = time.process_time()
        with suppress(Exception):  # the process reports it as its own
            importlib.import_module(command_of(arguments[0]).target.partition(":")[0])
        gc.freeze()  # memory that is not looked at stays shared
        pid = os.fork()
        if not pid:
            os.close(answers)
            os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
            signal.signal(signal.SIGINT, signal.default_int_handler)
            sys.argv[1:] = [str(server), *arguments]
            return sys.argv[1:]
        os.write(answers, f"{pid}\n".encode())
        imported = time.process_time() - start
        _, status, usage = os.wait4(pid, 0)
        ended = [os.waitstatus_to_exitcode(status), imported + usage.ru_utime + usage.ru_stime]
        os.write(answers, f"{json.dumps(ended)}\n".encode())
    sys.exit(0)


if __name__ == "__main__":
    parent, *command = sys.argv[1:] if len(sys.argv) > 2 else serve(int(sys.argv[1]))
    end_with_parent(int(parent))
    sys.exit(guarded(lambda: execute(command[0], command[1:])))
