"""Every command, killed before a write, rename or delete and resumed, leaves the same bytes."""

from pathlib import Path

import pytest

from tests.faults.driving import Driver, count, files
from tests.faults.jobs import whole_job

TRIES = 10
CHECK = "killed before a write, rename or delete, then resumed: the same bytes"
pytestmark = pytest.mark.deep


def test_killed_before_a_change_and_resumed(driver: Driver) -> None:
    changes = driver.whole.changes
    moments = chosen(changes, TRIES)
    for at in moments:
        killed = driver.session(at=at)
        assert killed.status == -9, killed.said
        driver.check_resumed(f"killed before change {at} of {len(changes)}")
    count(CHECK, driver.argv[0], len(moments))


def chosen(changes: str, tries: int) -> list[int]:
    """Numbers of changes, from 1: spread over the session, and every kind of change among them."""
    spread = [1 + round(n * (len(changes) - 1) / (tries - 1)) for n in range(tries)]
    last_of_kind = [changes.rindex(letter) + 1 for letter in sorted(set(changes))]
    return sorted({*spread, *last_of_kind})


def test_a_whole_job_killed_in_any_stage_and_resumed(tmp_path: Path) -> None:
    out, end = tmp_path / "out", tmp_path / "end"
    shares = (0.4, 0.3, 0.2, 0.1)
    with Driver(whole_job(tmp_path, out), out, tmp_path) as driver:
        # One after the other on the same folder: complete stages are not done again.
        for number, share in enumerate(shares):
            killed = driver.session(anew=number == 0, at=round(share * len(driver.whole.changes)))
            assert killed.status == -9, killed.said
        last = driver.session(anew=False, to=end)
    assert last.errors() == [] and last.status == 0, last.said
    whole, after = (
        {name: content for name, content in found.items() if not of_a_session(name)}
        for found in (driver.files, files(end))
    )
    assert after.keys() == whole.keys(), after.keys() ^ whole.keys()
    assert [file for file in whole if after[file] != whole[file]] == []
    count(CHECK, "run", len(shares))


def of_a_session(name: str) -> bool:
    """Whether a file of a whole job tells of times: what stages said, and the report's page."""
    return name.startswith(("stages/", "report/"))
