"""Every command, killed before a write, rename or delete and resumed, leaves the same bytes."""

from pathlib import Path

import pytest

from tests.faults.driving import Task, count, drive, files
from tests.faults.jobs import JOBS, whole_job

TRIES = 12
CHECK = "killed before a write, rename or delete, then resumed: the same bytes"
pytestmark = pytest.mark.deep


@pytest.mark.parametrize("name", JOBS)
def test_killed_before_a_change_and_resumed(name: str, tmp_path: Path) -> None:
    out = tmp_path / "out"
    argv = JOBS[name](tmp_path, out)
    (first,) = drive(tmp_path, argv, out, [Task(resume=False, to=str(tmp_path / "whole"))])
    assert first.status == 0, first.said
    whole = files(Path(first.out))
    moments = chosen(first.changes, TRIES)
    tasks = [
        task for at in moments for task in (Task(at), Task(start="", to=str(tmp_path / f"{at}")))
    ]
    ended = drive(tmp_path, argv, out, tasks)
    for at, killed, resumed in zip(moments, ended[::2], ended[1::2], strict=True):
        case = f"before change {at} of {len(first.changes)}: {resumed.said}"
        assert (killed.status, resumed.status) == (-9, 0), case
        assert "Traceback" not in resumed.said, case
        after = files(Path(resumed.out))
        assert after.keys() == whole.keys(), f"{after.keys() ^ whole.keys()} {case}"
        assert [file for file in whole if after[file] != whole[file]] == [], case
    count(CHECK, name, len(moments))


def chosen(changes: str, tries: int) -> list[int]:
    """Numbers of changes, from 1: spread over the session, and every kind of change among them."""
    spread = [1 + round(n * (len(changes) - 1) / max(1, tries - 1)) for n in range(tries)]
    last_of_kind = [changes.rindex(letter) + 1 for letter in sorted(set(changes))]
    return sorted({*spread, *last_of_kind})


def test_a_whole_job_killed_in_any_stage_and_resumed(tmp_path: Path) -> None:
    out = tmp_path / "out"
    argv = whole_job(tmp_path, out)
    places = [str(tmp_path / name) for name in ("whole", "killed")]
    # One after the other on the same folder: complete stages are not done again.
    kills = [Task(at=0.4), *(Task(start="", at=share) for share in (0.3, 0.2, 0.1))]
    sessions = [Task(resume=False, to=places[0]), *kills, Task(start="", to=places[1])]
    first, *killed, last = drive(tmp_path, argv, out, sessions)
    assert first.status == 0, first.said
    assert [ended.status for ended in killed] == [-9] * len(kills)
    assert last.status == 0, last.said
    whole, after = (
        {name: content for name, content in files(Path(place)).items() if not of_a_session(name)}
        for place in places
    )
    assert after.keys() == whole.keys(), after.keys() ^ whole.keys()
    assert [file for file in whole if after[file] != whole[file]] == []
    count(CHECK, "run", len(kills))


def of_a_session(name: str) -> bool:
    """Whether a file of a whole job tells of times: what stages said, and the report's page."""
    return name.startswith(("stages/", "report/"))
