"""Full disks, caches on them, and workers that die: reported in a line, and nothing is lost."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.driving import Driver, can_mount, record_tries
from tests.faults.jobs import JOBS

pytestmark = pytest.mark.deep

AMPLE = 4 * 2**20
"""KiB of a disk that is large enough."""

needs_disk = pytest.mark.skipif(not can_mount(), reason="only root may mount a small disk")


@needs_disk
def test_a_full_disk_is_reported_and_the_job_resumes(driver: Driver) -> None:
    # As a disk counts: whole pages, and one for each file's name.
    pages = sum(1 + len(content) // 4096 for content in driver.files.values())
    tried = 0
    for share in (0.1, 0.4, 0.7, 0.9):
        full = driver.session(resume=False, disk_kib=max(2, round(share * pages)) * 4)
        errors = full.errors()
        if full.status:
            tried += 1
            assert full.status == 2 and len(errors) == 1, full.output
            assert "No space left" in errors[0] or " are free; " in errors[0], errors
            assert str(driver.out) in errors[0] and "free some space" in errors[0], errors
        driver.check_resumed(full.output, AMPLE)
    assert tried >= 2
    check = "a full disk: reported in a line with the remedy, then resumed: the same bytes"
    record_tries(check, driver.argv[0], tried)


@pytest.fixture(scope="module")
def training(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Driver]:
    folder = tmp_path_factory.mktemp("training")
    with Driver(JOBS["train"](folder, folder / "out"), folder / "out", folder) as driver:
        yield driver


@needs_disk
@pytest.mark.xdist_group("machine")
@pytest.mark.parametrize("workers", [0, 2])
def test_a_cache_on_a_full_disk_is_a_warning_and_training_continues(
    training: Driver, workers: int
) -> None:
    sizes = (4, 64)
    for size in sizes:
        cache, out = training.new_path(), training.new_path()
        keys = (f"cache={cache}", f"workers={workers}", "on_error=skip")
        ended = training.session(*keys, resume=False, move_to=out, disk_kib=size, mount=cache)
        assert ended.errors() == [] and ended.status == 0, ended.output
        assert ended.output.count("decoded each time") == 1, ended.output
        assert "skipped" not in ended.output
        training.check_same(out, ended.output)
    record_tries("a full cache disk: one warning, the same bytes", f"{workers} workers", len(sizes))


@needs_disk
@pytest.mark.xdist_group("machine")
def test_too_little_shared_memory_is_reported_with_the_remedy(training: Driver) -> None:
    shm = Path("/dev/shm")
    little = training.session("workers=1", resume=False, disk_kib=256, mount=shm)
    (line,) = little.errors()
    assert little.status == 2 and "take workers=0" in line and "/dev/shm" in line
    training.check_resumed(line)
    record_tries("too little shared memory: reported with the remedy, then resumed", "train", 1)


@pytest.mark.xdist_group("workers")
@pytest.mark.parametrize("name", ["mini", "randomize", "camera", "translate", "train"])
def test_a_killed_worker_is_reported_and_the_job_resumes(name: str, tmp_path: Path) -> None:
    out = tmp_path / "out"
    # Workers of a training write nothing but the cache.
    keys = {
        "translate": ["engine=processes", "workers=2"],
        "train": ["workers=1", f"cache={out / 'cache'}"],
    }
    argv = JOBS[name](tmp_path, out) + keys.get(name, ["jobs=2"])
    with Driver(argv, out, tmp_path) as driver:
        moments = (2, 7)
        for at in moments:
            killed = driver.session(kill_at=at, worker_only=True)
            errors = killed.errors()
            assert killed.status == 2 and len(errors) == 1, killed.output
            assert "--resume" in errors[0], killed.output
            driver.check_resumed(killed.output)
    check = "a worker is killed: reported in a line, then resumed: the same bytes"
    record_tries(check, name, len(moments))
