"""Sessions of a command in a process of their own, what they leave, and what the checks count.

tools/reliability.py writes the counts to docs/reliability.md.
"""

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

TESTS = Path(__file__).parents[1]

VARIABLE = "VIDDA_RELIABILITY"
"""Names a folder for the counts; without it nothing is written."""

OWN = {"log.txt", "provenance.json", "config.yaml", ".lock", "stages.json"}
"""Files that tell of times and places, and differ between two runs of the same job."""


def count(check: str, case: str, tries: int) -> None:
    """Note that a check held in so many tries."""
    folder = os.environ.get(VARIABLE)
    if folder:
        name = "".join(letter if letter.isalnum() else "_" for letter in f"{check} {case}")
        content = {"check": check, "case": case, "tries": tries}
        (Path(folder) / f"{name}.json").write_text(json.dumps(content))


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


@dataclass(frozen=True)
class Task:
    """A session that is wanted; see `killing` for its fields."""

    at: float = 0
    start: str | None = None
    resume: bool = True
    to: str | None = None
    worker: bool = False
    disk: int = 0
    mount: str = ""


@dataclass(frozen=True)
class Ended:
    """How a session ended. out: where OUT was moved."""

    status: int
    changes: str
    said: str
    out: str


def drive(place: Path, argv: Sequence[str], out: Path, sessions: Sequence[Task]) -> list[Ended]:
    """Run sessions of one command one after the other, of which some are killed."""
    content = {"argv": argv, "out": str(out), "sessions": [asdict(task) for task in sessions]}
    (place / "tasks.json").write_text(json.dumps(content))
    command = [sys.executable, "-m", "tests.faults.killing", str(place / "tasks.json")]
    if any(task.disk for task in sessions):
        command = ["unshare", "--mount", *command]
    ran = subprocess.run(command, env=environment(), capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    return [Ended(**json.loads(line)) for line in ran.stdout.splitlines()]


def environment() -> dict[str, str]:
    """The variables of a process that imports this checkout and its tests."""
    return os.environ | {"PYTHONPATH": os.pathsep.join([str(TESTS.parent), str(TESTS)])}
