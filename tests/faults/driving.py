"""Sessions of a command in a process of their own, what they leave, and what the checks count.

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

VARIABLE = "VIDDA_RELIABILITY"
"""Names a folder for the counts; without it nothing is written."""

OWN = {"log.txt", "provenance.json", "config.yaml", ".lock", "stages.json"}
"""Files that tell of times and places, and differ between two runs of the same job."""


@dataclass(frozen=True)
class Task:
    """A session that is wanted; see `Driver.session` for what its fields mean."""

    argv: list[str]
    out: str
    place: str
    at: int
    worker: bool
    anew: bool
    start: str | None
    to: str | None
    disk: int
    mount: str | None


@dataclass(frozen=True)
class Ended:
    """How a session ended.

    status: its exit status, or minus the signal. changes: a letter for each change that it made,
    see hook/sitecustomize.py. said: what it printed.
    """

    status: int
    changes: str
    said: str

    def errors(self) -> list[str]:
        """What it said that is wrong; there must be no traceback."""
        assert "Traceback" not in self.said, self.said
        return [line for line in self.said.splitlines() if line.startswith("error: ")]


class Driver:
    """Runs sessions of one command on one folder, and knows what an undisturbed one leaves.

    argv: of `vidda`, without --resume. out: the folder that it writes. place: for files of the
    tests. whole: the first session, whose files are in place/whole.
    """

    def __init__(self, argv: list[str], out: Path, place: Path) -> None:
        self.argv, self.out, self.place = argv, out, place
        self._numbers = itertools.count()
        command = [sys.executable, "-m", "tests.faults.sessions", argv[0]]
        paths = {"PYTHONPATH": os.pathsep.join([str(TESTS.parent), str(TESTS)])}
        self._process = subprocess.Popen(
            ["unshare", "--mount", *command] if may_mount() else command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=os.environ | paths,
        )
        self.whole = self.session(resume=False, to=place / "whole")
        assert self.whole.status == 0, self.whole.said
        self.files = files(place / "whole")

    def session(
        self,
        *more: str,
        at: int = 0,
        worker: bool = False,
        anew: bool = True,
        resume: bool = True,
        start: Path | None = None,
        to: Path | None = None,
        disk: int = 0,
        mount: Path | None = None,
    ) -> Ended:
        """Run one session.

        more: further arguments. at: before which change to kill, 0 for never. worker: whether only
        what workers change counts, and the worker alone is killed. anew: begin without OUT, or with
        a copy `start`. to: where OUT is moved afterwards. disk: KiB of a disk of its own at `mount`
        or at OUT, which a later session may enlarge.
        """
        argv = [*self.argv, *more, *(["--resume"] if resume else [])]
        places = (str(path) if path else None for path in (start, to))
        task = Task(
            argv, str(self.out), str(self.place), at, worker, anew, *places, disk,
            str(mount) if mount else None,
        )  # fmt: skip
        assert self._process.stdin and self._process.stdout
        self._process.stdin.write(json.dumps(asdict(task)) + "\n")
        self._process.stdin.flush()
        return Ended(**json.loads(self._process.stdout.readline()))

    def new(self) -> Path:
        """A path that is not there yet."""
        return self.place / f"{next(self._numbers)}"

    def check_resumed(self, case: str, disk: int = 0, *more: str) -> None:
        """Resume what is in OUT: it must leave the bytes of the undisturbed session."""
        to = self.new()
        resumed = self.session(*more, anew=False, to=to, disk=disk)
        assert resumed.errors() == [] and resumed.status == 0, f"{case}: {resumed.said}"
        self.check_same(to, f"{case}: {resumed.said}")

    def check_same(self, to: Path, case: str) -> None:
        """Compare a folder with what the undisturbed session has left."""
        after = files(to)
        assert after.keys() == self.files.keys(), f"{after.keys() ^ self.files.keys()} {case}"
        assert [name for name in after if after[name] != self.files[name]] == [], case
        shutil.rmtree(to)

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
def may_mount() -> bool:
    """Whether this process may give a folder a small disk of its own, unseen by others."""
    if shutil.which("unshare") is None:
        return False
    command = ["unshare", "--mount", "mount", "-t", "tmpfs", "tmpfs", "/mnt"]
    return subprocess.run(command, check=False, capture_output=True).returncode == 0


def files(out: Path) -> dict[str, bytes]:
    """The content of every file of a run but its own records, and where its links lead."""
    found = {}
    for path in sorted(out.rglob("*")):
        name = path.relative_to(out).as_posix()
        if path.is_symlink():
            found[name] = os.fsencode(path.readlink())
        elif path.is_file() and path.name not in OWN:
            found[name] = path.read_bytes()
    return found


def count(check: str, case: str, tries: int) -> None:
    """Note that a check held in so many tries."""
    folder = os.environ.get(VARIABLE)
    if folder:
        name = "".join(letter if letter.isalnum() else "_" for letter in f"{check} {case}")
        content = {"check": check, "case": case, "tries": tries}
        (Path(folder) / f"{name}.json").write_text(json.dumps(content))
