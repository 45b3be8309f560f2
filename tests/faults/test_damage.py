"""Damaged files of a job: a resume repairs them or names them in one line, never a traceback.

Videos, images and sidecars that a job makes of clips are left out: see `OUTPUTS`.
"""

import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.faults.driving import Driver, record_tries

pytestmark = pytest.mark.deep

DAMAGE: dict[str, Callable[[bytes], bytes]] = {
    "cut": lambda content: content[: len(content) // 2],
    "emptied": lambda content: b"",
    "garbage": lambda content: b"\xff\x00" * (1 + len(content) // 2),
}

OUTPUTS = {"videos", "sidecar", "shown", "samples", "class_images", "syn", "real", "result"}
"""Folders of outputs. Other tests check that lost outputs are made again."""

RECORDS = {"log.txt", ".lock", "metrics.jsonl", "predictions"}
"""Not read by a resumed job; of metrics only lines that are no JSON are found."""


def test_a_damaged_file_is_repaired_or_named(driver: Driver) -> None:
    stopped = driver.new_path()
    # Late enough that there is something to damage, and not at the end.
    killed = driver.session(kill_at=round(0.7 * len(driver.undisturbed.changes)), move_to=stopped)
    assert killed.status == -9, killed.output
    cases = [(file, damage) for file in records(stopped) for damage in DAMAGE]
    assert cases
    for file, damage in cases:
        copy, resumed_out = driver.new_path(), driver.new_path()
        shutil.copytree(stopped, copy, symlinks=True)
        (copy / file).write_bytes(DAMAGE[damage]((copy / file).read_bytes()))
        ended = driver.session(start=copy, move_to=resumed_out)
        errors, case = ended.errors(), f"{file} {damage}: {ended.output}"
        if ended.status == 2:
            # Each key that a cut config lacks is a change, and a line of its own.
            assert len(errors) == 1 or Path(file).name == "config.yaml", case
            assert Path(file).name in errors[-1], case
        else:
            assert ended.status == 0, case
            driver.check_same(resumed_out, case)
    check = "own files cut, emptied or garbage: repaired, or named in a line"
    record_tries(check, driver.argv[0], len(cases))


def records(out: Path) -> list[str]:
    """Return one file of each kind among a job's records; names that differ by a number are one.

    Paths are relative to the job's folder.
    """
    kinds: dict[str, str] = {}
    for path in sorted(out.rglob("*")):
        name = path.relative_to(out)
        if {*name.parts} & (OUTPUTS | RECORDS) or ".part" in name.as_posix():
            continue
        through_link = any(parent.is_symlink() for parent in path.parents) or path.is_symlink()
        if path.is_file() and not through_link and path.stat().st_size:
            kinds[re.sub(r"\d+", "0", name.as_posix())] = name.as_posix()
    return list(kinds.values())
