"""Every command, killed before a write, rename or delete and resumed, leaves the same bytes."""

from pathlib import Path

import pytest

from tests.faults.driving import Driver, files, record_tries
from tests.faults.jobs import whole_job

TRIES = 10
CHECK = "killed before a write, rename or delete, then resumed: the same bytes"
pytestmark = pytest.mark.deep


def test_killed_before_a_change_and_resumed(driver: Driver) -> None:
    changes = driver.undisturbed.changes
    moments = chosen(changes, TRIES)
    for at in moments:
        killed = driver.session(kill_at=at)
        assert killed.status == -9, killed.output
        driver.check_resumed(f"killed before change {at} of {len(changes)}")
    record_tries(CHECK, driver.argv[0], len(moments))


def chosen(changes: str, tries: int) -> list[int]:
    """Return numbers of changes, from 1: spread over the session, with every kind of change."""
    spread = [1 + round(n * (len(changes) - 1) / (tries - 1)) for n in range(tries)]
    last_of_kind = [changes.rindex(letter) + 1 for letter in sorted(set(changes))]
    return sorted({*spread, *last_of_kind})


def test_a_whole_job_killed_in_any_stage_and_resumed(tmp_path: Path) -> None:
    out, end = tmp_path / "out", tmp_path / "end"
    shares = (0.4, 0.3, 0.2, 0.1)
    with Driver(whole_job(tmp_path, out), out, tmp_path) as driver:
        # One after the other on the same folder: complete stages are not done again.
        for number, share in enumerate(shares):
            killed = driver.session(
                fresh=number == 0, kill_at=round(share * len(driver.undisturbed.changes))
            )
            assert killed.status == -9, killed.output
        last = driver.session(fresh=False, move_to=end)
    assert last.errors() == [] and last.status == 0, last.output
    whole, after = (
        {name: content for name, content in found.items() if not of_a_session(name)}
        for found in (driver.files, files(end))
    )
    assert after.keys() == whole.keys(), after.keys() ^ whole.keys()
    assert [file for file in whole if after[file] != whole[file]] == []
    record_tries(CHECK, "run", len(shares))


def of_a_session(name: str) -> bool:
    """Return whether a file of a whole job has times in it: outputs of stages, and the report."""
    return name.startswith(("stages/", "report/"))
