"""Run a stage in its own process, and measure it."""

import os
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

PROC = Path("/proc")
POLL_S = 0.25
LOOK_S = 1.0
"""Between two looks at the memory."""
PATIENCE_S = 30.0
"""With a command that is to end, before it is killed."""


@dataclass(frozen=True, slots=True)
class ProcessUsage:
    """How a process went. status: of its end; negative for a signal. seconds: on the clock.

    peak_mib: the most that all its processes took together, looked at every second, on Linux; 0
    elsewhere. cpu_s: of all its processes.
    """

    status: int
    seconds: float
    peak_mib: float
    cpu_s: float


def run_vidda(
    arguments: list[str], log: Path, watching: Callable[[], None], threads: int | None = None
) -> ProcessUsage:
    """Run a vidda command to its end; what it prints is added to `log`.

    watching: called a few times a second meanwhile. When it raises, as Ctrl-C does, the command is
    ended too. threads: that each of its processes computes with; None: as it likes.
    """
    start = time.monotonic()
    command = [sys.executable, "-m", "vidda.experiment.child", str(os.getpid()), *arguments]
    given = {} if threads is None else {"OMP_NUM_THREADS": str(threads)}
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as stream:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=stream,
            stderr=subprocess.STDOUT,
            env=os.environ | given,
        )
        try:
            pid, peak, look = 0, 0.0, start
            while not pid:
                # wait4 tells what this very process and its children have used, and no other.
                pid, status, usage = os.wait4(process.pid, os.WNOHANG)
                if not pid:
                    watching()
                    if time.monotonic() >= look:
                        peak, look = max(peak, tree_mib(process.pid)), time.monotonic() + LOOK_S
                    time.sleep(POLL_S)
        except BaseException:
            process.terminate()
            try:
                process.wait(PATIENCE_S)
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
    """Return the last line that is not empty, of what was added to a log after byte `start`."""
    if not log.exists():
        return ""
    with log.open("rb") as stream:
        end = stream.seek(0, os.SEEK_END)
        stream.seek(max(start, end - 4096))
        lines = stream.read().decode(errors="replace").splitlines()
    return next((line.strip() for line in reversed(lines) if line.strip()), "")


def tree_mib(pid: int) -> float:
    """MiB of a process and its descendants together; 0 where only Linux would know.

    Pages that several of them share are counted once (PSS). wait4's ru_maxrss would not do: it is
    of one process, and never less than what the one that started it had when it did so.
    """
    total = 0.0
    waiting = [pid]
    while waiting:
        place = PROC / str(waiting.pop())
        try:
            lines = (place / "smaps_rollup").read_text().splitlines()
            for task in (place / "task").iterdir():
                waiting += map(int, (task / "children").read_text().split())
        except OSError:  # ended meanwhile, or no Linux
            continue
        total += sum(int(line.split()[1]) for line in lines if line.startswith("Pss:")) / 1024
    return total
