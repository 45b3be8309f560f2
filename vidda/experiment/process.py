"""A vidda command in its own process, with its time and memory measured."""

import json
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
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


class StageServer:
    """A process that forks the processes of vidda commands, one after the other.

    It has imported what earlier commands needed, and is started with the first command. variables:
    of its environment, besides this process's. On Linux it ends with the thread that started it.
    """

    def __init__(self, variables: Mapping[str, str]) -> None:
        self._variables = variables
        self._process: subprocess.Popen[bytes] | None = None

    def run(self, arguments: list[str], log: Path, poll: Callable[[], None]) -> ProcessUsage:
        """Run a vidda command to its end and append its printed output to `log`.

        arguments, poll: see `run_vidda`, which returns the same.
        """
        if sys.platform != "linux":  # where libraries do not survive a fork
            return run_vidda(arguments, log, poll, self._variables)
        start = time.monotonic()
        log.parent.mkdir(parents=True, exist_ok=True)
        server = self._running()
        assert server.stdin is not None
        server.stdin.write(f"{json.dumps([arguments, str(log.absolute())])}\n".encode())
        pid, peak, look, ended = 0, 0.0, start, b""
        try:
            while not ended and server.poll() is None:
                answer = _answer(server, POLL_S)
                pid, ended = (pid, answer) if pid else (int(answer or 0), b"")
                if not ended:
                    poll()
                if pid and time.monotonic() >= look:
                    peak, look = max(peak, tree_mib(pid)), time.monotonic() + MEMORY_POLL_S
        except BaseException:
            self._end(server, pid)
            raise
        # A server that was killed takes its process with it.
        status, cpu_s = json.loads(ended) if ended else (server.returncode or 1, 0.0)
        return ProcessUsage(status, time.monotonic() - start, peak, cpu_s)

    def close(self) -> None:
        """End the server; no command is running."""
        if self._process is not None:
            self._process.communicate()

    def _running(self) -> subprocess.Popen[bytes]:
        """Return the server, started anew where it has ended."""
        if self._process is None or self._process.poll() is not None:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "vidda.experiment.child", str(os.getpid())],
                bufsize=0,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                env={**os.environ, **self._variables},
            )
        return self._process

    def _end(self, server: subprocess.Popen[bytes], pid: int) -> None:
        """End the command that is running. pid: its process; 0 where that is not forked yet."""
        if not pid:
            server.kill()
            return
        for number in (signal.SIGTERM, signal.SIGKILL):
            with suppress(ProcessLookupError):
                os.kill(pid, number)
            if _answer(server, TERMINATE_S):
                return


def _answer(server: subprocess.Popen[bytes], seconds: float) -> bytes:
    """Return the server's next line, b"" where there is none within some seconds."""
    assert server.stdout is not None
    if not select.select([server.stdout], [], [], seconds)[0]:
        return b""
    return server.stdout.readline()


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
