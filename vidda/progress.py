"""Progress of a long job: a bar on a terminal, a plain line every few seconds elsewhere."""

import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from rich.console import Console
from rich.markup import escape
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from vidda.errors import escape_control

T = TypeVar("T")
ReportProgress = Callable[[int], None]
"""Called with the number of items finished since the last call."""

PLAIN_INTERVAL_S = 5.0
QUIET_S = 15.0
"""Seconds without a line after which one reports that the job is at work."""


class FrameCounter:
    """A progress callback for one clip of a job, which also adds up its frames.

    report_progress: of the job, as `meter` yields it. note: shown beside the job's progress.
    """

    def __init__(self, report_progress: Callable[..., None], note: str) -> None:
        self._report_progress, self._note = report_progress, note
        self.frames = 0

    def __call__(self, count: int) -> None:
        self.frames += count
        self._report_progress(count, self._note)


def ignore_progress(count: int) -> None:
    """Print nothing: a `ReportProgress` for a caller that wants no progress."""


def share_progress(report_progress: ReportProgress, steps: int) -> ReportProgress:
    """Return a callback that several steps call for the same items.

    steps: number of steps, each of which passes all items. An item counts as finished when as many
    passes are done as steps are needed for it, so that the whole count is that of one step.
    """
    passes = 0

    def passed(count: int) -> None:
        nonlocal passes
        whole, passes = divmod(passes + count, steps)
        if whole:
            report_progress(whole)

    return passed


def track(items: Iterable[T], *, label: str, total: int, unit: str, done: int = 0) -> Iterator[T]:
    """Yield the items, and print on standard error how many are done, the rate and the time left.

    label: name of the job. total: how many items the whole job has. unit: of the items, in the
    plural, such as clips. done: how many items an earlier run finished.
    """
    with meter(label=label, total=total, unit=unit, done=done) as passed:
        for item in items:
            yield item
            passed(1)


@contextmanager
def meter(*, label: str, total: int, unit: str, done: int = 0) -> Iterator[Callable[..., None]]:
    """Yield a function `passed(count, note="")` to call whenever `count` more items are done.

    Prints the same as `track`, which documents the arguments, and the newest note beside it.
    """
    console = Console(stderr=True)
    yield from (
        _bar(console, label, total, unit, done)
        if console.is_terminal
        else _plain(label, total, unit, done)
    )


def _bar(
    console: Console, label: str, total: int, unit: str, done: int
) -> Iterator[Callable[..., None]]:
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}"),
        TextColumn("{task.fields[note]}"),
        TimeElapsedColumn(),
        TextColumn("ETA"),
        TimeRemainingColumn(),
    )
    start = time.monotonic()
    with Progress(*columns, console=console) as progress:
        task = progress.add_task(
            escape(escape_control(label)), total=total, completed=done, rate="", note=""
        )
        counted = 0

        def passed(count: int, note: str = "") -> None:
            nonlocal counted
            counted += count
            rate = counted / max(time.monotonic() - start, 1e-9)
            progress.update(
                task, advance=count, rate=f"{rate:.1f} {unit}/s", note=escape(escape_control(note))
            )

        yield passed


def _plain(label: str, total: int, unit: str, done: int) -> Iterator[Callable[..., None]]:
    start = last = time.monotonic()
    counted = 0
    ended = threading.Event()

    def print_line(text: str) -> None:
        nonlocal last
        last = time.monotonic()
        print(
            escape_control(f"{label}: {done + counted}/{total} {unit}{text}"),
            file=sys.stderr,
            flush=True,
        )

    def passed(count: int, note: str = "") -> None:
        nonlocal counted
        counted += count
        now = time.monotonic()
        if now - last >= PLAIN_INTERVAL_S and counted:
            rate = counted / (now - start)
            left = (total - done - counted) / rate
            more = f", {note}" if note else ""
            print_line(f", {rate:.{1 if rate >= 1 else 3}f} {unit}/s, ETA {left:.0f} s{more}")

    def print_while_silent() -> None:
        """Print that a single long item is at work."""
        while not ended.wait(QUIET_S / 10):
            if (now := time.monotonic()) - last >= QUIET_S:
                print_line(f", at work for {now - start:.0f} s")

    thread = threading.Thread(target=print_while_silent, daemon=True)
    thread.start()
    try:
        yield passed
    finally:
        ended.set()
        thread.join()
    print_line(f" in {time.monotonic() - start:.1f} s")
