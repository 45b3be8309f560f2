"""Own files that are damaged: a resume mends them or names them in one line, never a traceback.

What a job makes of clips (videos, pictures, sidecars) is not here: see `OUTPUTS`.
"""

import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.faults.driving import Driver, count

pytestmark = pytest.mark.deep

DAMAGE: dict[str, Callable[[bytes], bytes]] = {
    "cut": lambda content: content[: len(content) // 2],
    "emptied": lambda content: b"",
    "garbage": lambda content: b"\xff\x00" * (1 + len(content) // 2),
}

OUTPUTS = {"videos", "sidecar", "shown", "samples", "class_images", "syn", "real", "result"}
"""Folders of what a job makes. That lost ones are made again is a matter of their own checks."""

RECORDS = {"log.txt", ".lock", "metrics.jsonl", "predictions"}
"""Not read by what goes on; of metrics only lines that are no JSON are found."""


def test_a_damaged_file_is_mended_or_named(driver: Driver) -> None:
    stopped = driver.new()
    # Late enough that there is something to damage, and not at the end.
    killed = driver.session(at=round(0.7 * len(driver.whole.changes)), to=stopped)
    assert killed.status == -9, killed.said
    cases = [(file, how) for file in own(stopped) for how in DAMAGE]
    assert cases
    for file, how in cases:
        copy, to = driver.new(), driver.new()
        shutil.copytree(stopped, copy, symlinks=True)
        (copy / file).write_bytes(DAMAGE[how]((copy / file).read_bytes()))
        ended = driver.session(start=copy, to=to)
        errors, case = ended.errors(), f"{file} {how}: {ended.said}"
        if ended.status == 2:
            # What a config lacks that was cut between two lines are changes, a line each.
            assert len(errors) == 1 or Path(file).name == "config.yaml", case
            assert Path(file).name in errors[-1], case
        else:
            assert ended.status == 0, case
            driver.check_same(to, case)
    check = "own files cut, emptied or garbage: mended, or named in a line"
    count(check, driver.argv[0], len(cases))


def own(out: Path) -> list[str]:
    """A file of each kind among a job's own, relative to its folder; a number makes no kind."""
    kinds: dict[str, str] = {}
    for path in sorted(out.rglob("*")):
        name = path.relative_to(out)
        if {*name.parts} & (OUTPUTS | RECORDS) or ".part" in name.as_posix():
            continue
        through_link = any(parent.is_symlink() for parent in path.parents) or path.is_symlink()
        if path.is_file() and not through_link and path.stat().st_size:
            kinds[re.sub(r"\d+", "0", name.as_posix())] = name.as_posix()
    return list(kinds.values())
