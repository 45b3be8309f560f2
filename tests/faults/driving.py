"""Sessions of a command in a separate process, comparison of their outputs, and counts of checks.

tools/reliability.py writes the counts to docs/reliability.md.
"""

import itertools
import json
import os
import shutil
import subprocess
import sys
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from types import TracebackType
from typing import Self

TESTS = Path(__file__).parents[1]

COUNTS_VARIABLE = "VIDDA_RELIABILITY"
"""Names a folder for the counts; without it nothing is written."""

IGNORED = {"log.txt", "provenance.json", "config.yaml", ".lock", "stages.json"}
"""Files with times and paths, which differ between two runs of the same job."""


@dataclass(frozen=True)
class SessionTask:
    """Arguments of a session as JSON; see `Driver.session` for the fields."""

    argv: list[str]
    out: str
    folder: str
    kill_at: int
    worker_only: bool
    fresh: bool
    start: str | None
    move_to: str | None
    disk_kib: int
    mount: str | None


@dataclass(frozen=True)
class SessionResult:
    """The end of a session.

    status: its exit status, or minus the signal. changes: a letter for each change that it made,
    see hook/sitecustomize.py. output: its standard output and standard error.
    """

    status: int
    changes: str
    output: str

    def errors(self) -> list[str]:
        """Return the lines of its output that are errors; there must be no traceback."""
        assert "Traceback" not in self.output, self.output
        return [line for line in self.output.splitlines() if line.startswith("error: ")]


class Driver:
    """Runs sessions of one command on one folder, and compares them with an undisturbed one.

    argv: of `vidda`, without --resume. out: the folder that it writes. folder: for files of the
    tests. undisturbed: the first session, whose files are in folder/whole. files: their content.
    """

    def __init__(self, argv: list[str], out: Path, folder: Path) -> None:
        self.argv, self.out, self.folder = argv, out, folder
        self._numbers = itertools.count()
        command = [sys.executable, "-m", "tests.faults.sessions", argv[0]]
        paths = {"PYTHONPATH": os.pathsep.join([str(TESTS.parent), str(TESTS)])}
        self._process = subprocess.Popen(
            ["unshare", "--mount", *command] if can_mount() else command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=os.environ | paths,
        )
        self.undisturbed = self.session(resume=False, move_to=folder / "whole")
        assert self.undisturbed.status == 0, self.undisturbed.output
        self.files = files(folder / "whole")

    def session(
        self,
        *arguments: str,
        kill_at: int = 0,
        worker_only: bool = False,
        fresh: bool = True,
        resume: bool = True,
        start: Path | None = None,
        move_to: Path | None = None,
        disk_kib: int = 0,
        mount: Path | None = None,
    ) -> SessionResult:
        """Run one session.

        arguments: further ones. kill_at: number of the change before which to kill, from 1; 0 for
        never. worker_only: count changes of workers only, and kill the worker alone. fresh: start
        without OUT. start: a folder to move to OUT before. move_to: path that OUT is moved to
        afterwards. disk_kib: size of a separate disk at `mount`, or at OUT, which a later session
        may enlarge; 0 for none.
        """
        task = SessionTask(
            argv=[*self.argv, *arguments, *(["--resume"] if resume else [])],
            out=str(self.out),
            folder=str(self.folder),
            kill_at=kill_at,
            worker_only=worker_only,
            fresh=fresh,
            start=str(start) if start else None,
            move_to=str(move_to) if move_to else None,
            disk_kib=disk_kib,
            mount=str(mount) if mount else None,
        )
        assert self._process.stdin and self._process.stdout
        self._process.stdin.write(json.dumps(asdict(task)) + "\n")
        self._process.stdin.flush()
        return SessionResult(**json.loads(self._process.stdout.readline()))

    def new_path(self) -> Path:
        """Return a path that does not exist yet."""
        return self.folder / f"{next(self._numbers)}"

    def check_resumed(self, case: str, disk_kib: int = 0, *arguments: str) -> None:
        """Resume OUT: it must have the same bytes as after the undisturbed session."""
        resumed_out = self.new_path()
        resumed = self.session(*arguments, fresh=False, move_to=resumed_out, disk_kib=disk_kib)
        assert resumed.errors() == [] and resumed.status == 0, f"{case}: {resumed.output}"
        self.check_same(resumed_out, f"{case}: {resumed.output}")

    def check_same(self, out: Path, case: str) -> None:
        """Compare a folder with the files of the undisturbed session, and delete it."""
        after = files(out)
        assert after.keys() == self.files.keys(), f"{after.keys() ^ self.files.keys()} {case}"
        assert [name for name in after if after[name] != self.files[name]] == [], case
        shutil.rmtree(out)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._process.communicate()


@cache
def can_mount() -> bool:
    """Return whether this process can mount a small disk that other processes do not see."""
    if shutil.which("unshare") is None:
        return False
    command = ["unshare", "--mount", "mount", "-t", "tmpfs", "tmpfs", "/mnt"]
    return subprocess.run(command, check=False, capture_output=True).returncode == 0


def files(out: Path) -> dict[str, bytes]:
    """Return the content of every file of a run but `IGNORED`, and the target of every link."""
    found = {}
    for path in sorted(out.rglob("*")):
        name = path.relative_to(out).as_posix()
        if path.is_symlink():
            found[name] = os.fsencode(path.readlink())
        elif path.is_file() and path.name not in IGNORED:
            found[name] = path.read_bytes()
    return found


def record_tries(check: str, case: str, tries: int) -> None:
    """Record that a check held in a number of tries, if `COUNTS_VARIABLE` is set."""
    folder = os.environ.get(COUNTS_VARIABLE)
    if folder:
        name = "".join(letter if letter.isalnum() else "_" for letter in f"{check} {case}")
        content = {"check": check, "case": case, "tries": tries}
        (Path(folder) / f"{name}.json").write_text(json.dumps(content))
