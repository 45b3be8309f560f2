"""Stages of a translation overlap, in order and bounded; an error in any ends the job there."""

import gc
import pkgutil
import threading
import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.translate.translations import settings, start, written
from vidda.translate.overlap import compute_ahead

CLIPS = "videos/syn/ground"


def test_results_come_in_order_and_the_thread_is_one_item_ahead() -> None:
    started: list[int] = []

    def work(item: int) -> int:
        started.append(item)
        return -item

    results = compute_ahead(range(6), work)
    assert started == []
    for number, result in enumerate(results):
        assert result == -number
        assert len(started) <= number + 2
    assert started == list(range(6))
    assert list(compute_ahead([], work)) == []


def test_three_stages_run_at_the_same_time() -> None:
    together = threading.Barrier(3, timeout=20)

    def stage(item: int, place: int) -> int:
        if item == 3 - place:  # items 3, 2 and 1 are in the three stages at once
            together.wait()
        return item

    read = compute_ahead(range(5), lambda item: stage(item, 0))
    denoised = (stage(item, 1) for item in read)
    assert list(compute_ahead(denoised, lambda item: stage(item, 2))) == list(range(5))


class Item:
    """An item of which a weak reference tells when it is freed."""


def test_three_items_are_in_memory_however_many_there_are() -> None:
    alive: weakref.WeakSet[Item] = weakref.WeakSet()
    most = 0

    def read(_: int) -> Item:
        nonlocal most
        item = Item()
        alive.add(item)
        most = max(most, len(alive))
        return item

    stages = compute_ahead((item for item in compute_ahead(range(40), read)), id)
    gc.disable()
    try:
        assert len(list(stages)) == 40
    finally:
        gc.enable()
    # One that the thread holds for a moment after its work is not freed yet.
    assert 2 <= most <= 4


@pytest.mark.parametrize("failing", ["items", "work"])
def test_an_error_comes_after_earlier_results_and_ends_the_work(failing: str) -> None:
    worked: list[int] = []

    def items() -> Iterator[int]:
        for number in range(9):
            if failing == "items" and number == 3:
                raise OSError("no third item")
            yield number

    def work(item: int) -> int:
        if failing == "work" and item == 3:
            raise OSError("no third item")
        worked.append(item)
        return item

    found = []
    with pytest.raises(OSError, match="no third item"):
        for result in compute_ahead(items(), work):
            found.append(result)
    assert found == worked == [0, 1, 2]


def test_an_interrupted_caller_waits_for_the_running_work_only() -> None:
    running, released = threading.Event(), threading.Event()
    worked: list[int] = []

    def items() -> Iterator[int]:
        yield 0
        running.wait(20)
        released.set()
        raise KeyboardInterrupt

    def work(item: int) -> int:
        running.set()
        assert released.wait(20)
        worked.append(item)
        return item

    with pytest.raises(KeyboardInterrupt):
        list(compute_ahead(items(), work))
    assert worked == [0]


class BrokenError(Exception):
    """An error that is no clip's fault."""


@pytest.mark.parametrize("error", [BrokenError, KeyboardInterrupt])
@pytest.mark.parametrize(
    "stage",
    [
        "vidda.translate.clip_translator.video.read",
        "vidda.translate.clip_translator.ClipTranslator.run",
        "vidda.translate.worker.measure_quality",
    ],
)
def test_an_error_in_any_stage_ends_the_job_at_its_clip(
    models: Path,
    source: Path,
    translated: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    stage: str,
    error: type[BaseException],
) -> None:
    content = settings(models, source, tmp_path / "run")
    with monkeypatch.context() as patch:
        patch.setattr(stage, failing_second(stage, error))
        with pytest.raises(error, match="second"):
            start(content)
    videos = tmp_path / "run" / CLIPS
    assert not (videos / "1.json").exists() and not (videos / "2.json").exists()
    if error is BrokenError:  # an interrupt need not wait for the clip that is finished meanwhile
        assert (videos / "0.json").exists()
    assert not list((tmp_path / "run").rglob(".*.part*"))
    assert start(content, resume=True) == 0
    assert written(tmp_path / "run") == written(translated)


def failing_second(name: str, error: type[BaseException]) -> Any:
    """Return the function of this dotted name, whose second call raises an error."""
    function = pkgutil.resolve_name(name)
    calls = []

    def fails(*arguments: Any, **named: Any) -> Any:
        calls.append(name)
        if len(calls) == 2:
            raise error("second")
        return function(*arguments, **named)

    return fails
