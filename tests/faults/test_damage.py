"""Own files that are damaged: a resume mends them or names them in one line, never a traceback.

What a job makes of clips (videos, pictures, sidecars) is not here: see `OUTPUTS`.
"""

import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.faults.driving import Task, count, drive, files
from tests.faults.jobs import JOBS

pytestmark = pytest.mark.deep

DAMAGE: dict[str, Callable[[bytes], bytes]] = {
    "cut": lambda content: content[: len(content) // 2],
    "emptied": lambda content: b"",
    "garbage": lambda content: b"\xff\x00" * (1 + len(content) // 2),
}

OUTPUTS = {"videos", "sidecar", "shown", "samples", "class_images", "syn", "real", "result"}
"""Folders of what a job makes. That they are redone is a matter of their own checks."""

UNCHECKED = {".lock", "log.txt", "said.txt"}


@pytest.mark.parametrize("name", JOBS)
def test_a_damaged_file_is_mended_or_named(name: str, tmp_path: Path) -> None:
    out = tmp_path / "out"
    argv = JOBS[name](tmp_path, out)
    stopped = tmp_path / "stopped"
    # Late enough that there is something to damage, and not at the end.
    tasks = [Task(resume=False, to=str(tmp_path / "whole")), Task(at=0.7, to=str(stopped))]
    first, killed = drive(tmp_path, argv, out, tasks)
    assert (first.status, killed.status) == (0, -9), first.said
    cases = [(file, how) for file in own(stopped) for how in DAMAGE]
    assert cases
    tasks = []
    for number, (file, how) in enumerate(cases):
        copy = tmp_path / f"case_{number}"
        shutil.copytree(stopped, copy, symlinks=True)
        place = copy / file
        place.write_bytes(DAMAGE[how](place.read_bytes()))
        tasks.append(Task(start=str(copy), to=f"{copy}_after"))
    ended = drive(tmp_path, argv, out, tasks)
    whole = files(tmp_path / "whole")
    for (file, how), one in zip(cases, ended, strict=True):
        case = f"{file} {how}: {one['said']}"
        assert "Traceback" not in one.said, case
        if one.status == 2:
            errors = [line for line in one.said.splitlines() if line.startswith("error: ")]
            assert errors and Path(file).name in errors[0], case
        else:
            assert one.status == 0, case
            after = files(Path(one.out))
            assert after == whole, f"{case}: {after.keys() ^ whole.keys()}"
    count("own files cut, emptied or garbage: mended, or named in a line", name, len(cases))


def own(out: Path) -> list[str]:
    """A file of each kind among a job's own, relative to its folder; a number makes no kind."""
    kinds: dict[str, str] = {}
    for path in sorted(out.rglob("*")):
        name = path.relative_to(out)
        inside = path.is_file() and not any(part.is_symlink() for part in path.parents)
        if not inside or name.parts[0] in OUTPUTS or name.name in UNCHECKED:
            continue
        if not path.is_symlink() and ".part" not in path.name and path.stat().st_size:
            kinds[re.sub(r"\d+", "0", name.as_posix())] = name.as_posix()
    return list(kinds.values())
