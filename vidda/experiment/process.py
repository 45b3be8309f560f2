"""A vidda command in its own process, with its time and memory measured."""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

PROC = Path("/proc")
POLL_S = 0.25
"""Seconds between two checks of the process."""
MEMORY_POLL_S = 1.0
"""Seconds between two measurements of memory."""
TERMINATE_S = 30.0
"""Seconds that a command has to end before it is killed."""


@dataclass(frozen=True, slots=True)
class ProcessUsage:
    """Exit status and usage of an ended process.

    status: exit status, or minus the signal that ended it. seconds: elapsed time. peak_mib: largest
    memory of the process and its descendants together, in MiB, measured every second on Linux; 0
    elsewhere. cpu_s: CPU seconds of all of them.
    """

    status: int
    seconds: float
    peak_mib: float
    cpu_s: float


def run_vidda(
    arguments: list[str],
    log: Path,
    poll: Callable[[], None],
    variables: Mapping[str, str] = MappingProxyType({}),
) -> ProcessUsage:
    """Run a vidda command to its end and append its printed output to `log`.

    arguments: command line without `vidda`. poll: called every 0.25 s meanwhile; if it raises, as
    Ctrl-C does, the command is ended too. variables: of its environment, besides this process's.
    """
    start = time.monotonic()
    command = [sys.executable, "-m", "vidda.experiment.child", str(os.getpid()), *arguments]
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as stream:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=stream,
            stderr=subprocess.STDOUT,
            env={**os.environ, **variables},
        )
        try:
            pid, peak, look = 0, 0.0, start
            while not pid:
                # wait4 reports the usage of this process and its children, and of no other.
                pid, status, usage = os.wait4(process.pid, os.WNOHANG)
                if not pid:
                    poll()
                    if time.monotonic() >= look:
                        peak, look = (
                            max(peak, tree_mib(process.pid)),
                            time.monotonic() + MEMORY_POLL_S,
                        )
                    time.sleep(POLL_S)
        except BaseException:
            process.terminate()
            try:
                process.wait(TERMINATE_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            raise
    process.returncode = os.waitstatus_to_exitcode(status)
    return ProcessUsage(
        process.returncode,
        time.monotonic() - start,
        peak,
        usage.ru_utime + usage.ru_stime,
    )


def last_line(log: Path, start: int = 0) -> str:
    """Return the last line of a log after byte `start` that is not empty, "" without one."""
    if not log.exists():
        return ""
    with log.open("rb") as stream:
        end = stream.seek(0, os.SEEK_END)
        stream.seek(max(start, end - 4096))
        lines = stream.read().decode(errors="replace").splitlines()
    return next((line.strip() for line in reversed(lines) if line.strip()), "")


def tree_mib(pid: int) -> float:
    """Return the memory of a process and its descendants together, in MiB; 0 without Linux.

    Pages that several of them share are counted once (PSS). wait4's ru_maxrss is of one process
    only, and never below what its parent had when it started it.
    """
    total = 0.0
    waiting = [pid]
    while waiting:
        process = PROC / str(waiting.pop())
        try:
            lines = (process / "smaps_rollup").read_text().splitlines()
            for task in (process / "task").iterdir():
                waiting += map(int, (task / "children").read_text().split())
        except OSError:  # ended meanwhile, or no Linux
            continue
        total += sum(int(line.split()[1]) for line in lines if line.startswith("Pss:")) / 1024
    return total
