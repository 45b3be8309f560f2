"""Disks that are full, caches on them, workers that die: told in a line, and nothing is lost."""

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.faults.driving import Ended, Task, count, drive, files
from tests.faults.jobs import JOBS

pytestmark = pytest.mark.deep

AMPLE = 4 * 2**20
"""KiB of a disk that is large enough."""


def may_mount() -> bool:
    """Whether this process may give a folder a small disk of its own, unseen by others."""
    if shutil.which("unshare") is None:
        return False
    command = ["unshare", "--mount", "mount", "-t", "tmpfs", "tmpfs", "/mnt"]
    return subprocess.run(command, check=False, capture_output=True).returncode == 0


needs_disk = pytest.mark.skipif(not may_mount(), reason="only root may mount a small disk")


def errors(ended: Ended) -> list[str]:
    """What it said that is wrong; there must be no traceback."""
    assert "Traceback" not in ended.said, ended.said
    return [line for line in ended.said.splitlines() if line.startswith("error: ")]


@needs_disk
@pytest.mark.parametrize("name", JOBS)
def test_a_disk_that_fills_up_is_told_and_a_resume_goes_on(name: str, tmp_path: Path) -> None:
    out = tmp_path / "out"
    argv = JOBS[name](tmp_path, out)
    (first,) = drive(tmp_path, argv, out, [Task(resume=False, to=str(tmp_path / "whole"))])
    whole = files(Path(first.out))
    # As a disk counts: whole pages, and one for each folder.
    pages = sum(1 + len(content) // 4096 for content in whole.values())
    tasks = []
    for share in (0.1, 0.3, 0.5, 0.7, 0.9):
        small = max(2, round(share * pages)) * 4
        tasks.append(Task(resume=False, disk=small, mount=str(out)))
        tasks.append(Task(start="", to=str(tmp_path / f"{share}"), disk=AMPLE, mount=str(out)))
    ended = drive(tmp_path, argv, out, tasks)
    tried = 0
    for full, resumed in zip(ended[::2], ended[1::2], strict=True):
        said = errors(full)
        if full.status:
            assert full.status == 2 and len(said) == 1, full.said
            assert "No space left" in said[0] or " are free; free some space" in said[0]
            assert str(out) in said[0] and "free some space" in said[0], said
            tried += 1
        assert resumed.status == 0, resumed.said
        after = files(Path(resumed.out))
        assert after.keys() == whole.keys(), f"{after.keys() ^ whole.keys()}"
        assert [file for file in whole if after[file] != whole[file]] == [], full.said
    assert tried >= 3
    count("a full disk: told in a line with the remedy, then resumed: the same bytes", name, tried)


@needs_disk
@pytest.mark.parametrize("workers", [0, 2])
def test_a_cache_on_a_full_disk_is_a_warning_and_training_goes_on(
    tmp_path: Path, workers: int
) -> None:
    out, cache = tmp_path / "out", tmp_path / "cache"
    argv = JOBS["train"](tmp_path, out)
    (plain,) = drive(tmp_path, argv, out, [Task(resume=False, to=str(tmp_path / "whole"))])
    cached = [*argv, f"cache={cache}", f"workers={workers}", "on_error=skip"]
    sizes = (4, 8, 64)
    tasks = [
        Task(resume=False, to=str(tmp_path / f"{size}"), disk=size, mount=str(cache))
        for size in sizes
    ]
    for ended in drive(tmp_path, cached, out, tasks):
        assert errors(ended) == [] and ended.status == 0, ended.said
        assert ended.said.count("decoded each time") == 1, ended.said
        assert "skipped" not in ended.said
        assert files(Path(ended.out)) == files(Path(plain.out))
    count("a full cache disk: one warning, the same bytes", f"{workers} workers", len(sizes))


@pytest.mark.parametrize("name", ["mini", "randomise", "camera", "translate", "train"])
def test_a_worker_that_is_killed_is_told_and_a_resume_goes_on(name: str, tmp_path: Path) -> None:
    out = tmp_path / "out"
    argv = JOBS[name](tmp_path, out)
    # Of a training the workers write the cache, and nothing else.
    more = {"translate": ["workers=2"], "train": ["workers=1", f"cache={out / 'cache'}"]}
    argv += more.get(name, ["jobs=2"])
    whole = Task(resume=False, to=str(tmp_path / "whole"))
    tasks = []
    for at in (2, 7):
        tasks.append(Task(at=at, worker=True))
        tasks.append(Task(start="", to=str(tmp_path / f"{at}")))
    first, *ended = drive(tmp_path, argv, out, [whole, *tasks])
    assert first.status == 0, first.said
    for killed, resumed in zip(ended[::2], ended[1::2], strict=True):
        said = errors(killed)
        assert killed.status == 2 and len(said) == 1 and "--resume" in said[0], killed.said
        assert errors(resumed) == [] and resumed.status == 0, resumed.said
        assert files(Path(resumed.out)) == files(Path(first.out))
    count("a worker is killed: told in a line, then resumed: the same bytes", name, len(tasks) // 2)


@needs_disk
def test_too_little_shared_memory_is_told_with_what_helps(tmp_path: Path) -> None:
    out = tmp_path / "out"
    argv = [*JOBS["train"](tmp_path, out), "workers=1"]
    shm = "/dev/shm"
    tasks = [
        Task(resume=False, to=str(tmp_path / "whole"), disk=AMPLE, mount=shm),
        Task(resume=False, disk=256, mount=shm),
        Task(start="", to=str(tmp_path / "after"), disk=AMPLE, mount=shm),
    ]
    first, little, resumed = drive(tmp_path, argv, out, tasks)
    assert first.status == 0, first.said
    (line,) = errors(little)
    assert little.status == 2 and "take workers=0" in line and "/dev/shm" in line
    assert errors(resumed) == [] and resumed.status == 0
    assert files(Path(resumed.out)) == files(Path(first.out))
    count("too little shared memory: told with the remedy, then resumed", "train", 1)
