"""Disks that are full, caches on them, workers that die: told in a line, and nothing is lost."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.driving import Driver, count, may_mount
from tests.faults.jobs import JOBS

pytestmark = pytest.mark.deep

AMPLE = 4 * 2**20
"""KiB of a disk that is large enough."""

needs_disk = pytest.mark.skipif(not may_mount(), reason="only root may mount a small disk")


@needs_disk
def test_a_disk_that_fills_up_is_told_and_a_resume_goes_on(driver: Driver) -> None:
    # As a disk counts: whole pages, and one for each file's name.
    pages = sum(1 + len(content) // 4096 for content in driver.files.values())
    tried = 0
    for share in (0.1, 0.4, 0.7, 0.9):
        full = driver.session(resume=False, disk=max(2, round(share * pages)) * 4)
        said = full.errors()
        if full.status:
            tried += 1
            assert full.status == 2 and len(said) == 1, full.said
            assert "No space left" in said[0] or " are free; " in said[0], said
            assert str(driver.out) in said[0] and "free some space" in said[0], said
        driver.check_resumed(full.said, AMPLE)
    assert tried >= 2
    check = "a full disk: told in a line with the remedy, then resumed: the same bytes"
    count(check, driver.argv[0], tried)


@pytest.fixture(scope="module")
def training(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Driver]:
    place = tmp_path_factory.mktemp("training")
    with Driver(JOBS["train"](place, place / "out"), place / "out", place) as made:
        yield made


@needs_disk
@pytest.mark.xdist_group("machine")
@pytest.mark.parametrize("workers", [0, 2])
def test_a_cache_on_a_full_disk_is_a_warning_and_training_goes_on(
    training: Driver, workers: int
) -> None:
    sizes = (4, 64)
    for size in sizes:
        cache, to = training.new(), training.new()
        more = (f"cache={cache}", f"workers={workers}", "on_error=skip")
        ended = training.session(*more, resume=False, to=to, disk=size, mount=cache)
        assert ended.errors() == [] and ended.status == 0, ended.said
        assert ended.said.count("decoded each time") == 1, ended.said
        assert "skipped" not in ended.said
        training.check_same(to, ended.said)
    count("a full cache disk: one warning, the same bytes", f"{workers} workers", len(sizes))


@needs_disk
@pytest.mark.xdist_group("machine")
def test_too_little_shared_memory_is_told_with_what_helps(training: Driver) -> None:
    shm = Path("/dev/shm")
    little = training.session("workers=1", resume=False, disk=256, mount=shm)
    (line,) = little.errors()
    assert little.status == 2 and "take workers=0" in line and "/dev/shm" in line
    training.check_resumed(line)
    count("too little shared memory: told with the remedy, then resumed", "train", 1)


@pytest.mark.xdist_group("workers")
@pytest.mark.parametrize("name", ["mini", "randomize", "camera", "translate", "train"])
def test_a_worker_that_is_killed_is_told_and_a_resume_goes_on(name: str, tmp_path: Path) -> None:
    out = tmp_path / "out"
    # Of a training the workers write the cache, and nothing else.
    more = {
        "translate": ["engine=processes", "workers=2"],
        "train": ["workers=1", f"cache={out / 'cache'}"],
    }
    argv = JOBS[name](tmp_path, out) + more.get(name, ["jobs=2"])
    with Driver(argv, out, tmp_path) as driver:
        moments = (2, 7)
        for at in moments:
            killed = driver.session(at=at, worker=True)
            said = killed.errors()
            assert killed.status == 2 and len(said) == 1 and "--resume" in said[0], killed.said
            driver.check_resumed(killed.said)
    count("a worker is killed: told in a line, then resumed: the same bytes", name, len(moments))
