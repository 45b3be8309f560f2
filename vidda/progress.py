"""One way to show a long job: a bar on a terminal, a plain line every few seconds elsewhere."""

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
"""Is called with how many items more are done."""

PLAIN_INTERVAL_S = 5.0
QUIET_S = 15.0
"""Without a line, after which one says that the job is at work."""


def ignore_progress(count: int) -> None:
    """Show nothing, for what counts items that nobody watches."""


def track(items: Iterable[T], *, label: str, total: int, unit: str, done: int = 0) -> Iterator[T]:
    """Yield the items, showing on standard error how many passed, the rate and the time left.

    total: how many items the whole job has; done: how many of them an earlier run finished.
    """
    with meter(label=label, total=total, unit=unit, done=done) as passed:
        for item in items:
            yield item
            passed(1)


@contextmanager
def meter(*, label: str, total: int, unit: str, done: int = 0) -> Iterator[Callable[..., None]]:
    """Yield a function `passed(count, note="")` to call whenever so many items more are done.

    It shows the same as `track`, and the newest note beside it.
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
        seen = 0

        def passed(count: int, note: str = "") -> None:
            nonlocal seen
            seen += count
            rate = seen / max(time.monotonic() - start, 1e-9)
            progress.update(
                task, advance=count, rate=f"{rate:.1f} {unit}/s", note=escape(escape_control(note))
            )

        yield passed


def _plain(label: str, total: int, unit: str, done: int) -> Iterator[Callable[..., None]]:
    start = last = time.monotonic()
    seen = 0
    ended = threading.Event()

    def say(text: str) -> None:
        nonlocal last
        last = time.monotonic()
        print(
            escape_control(f"{label}: {done + seen}/{total} {unit}{text}"),
            file=sys.stderr,
            flush=True,
        )

    def passed(count: int, note: str = "") -> None:
        nonlocal seen
        seen += count
        now = time.monotonic()
        if now - last >= PLAIN_INTERVAL_S and seen:
            rate = seen / (now - start)
            left = (total - done - seen) / rate
            more = f", {note}" if note else ""
            say(f", {rate:.{1 if rate >= 1 else 3}f} {unit}/s, ETA {left:.0f} s{more}")

    def sign() -> None:
        """Say that a single long item is at work."""
        while not ended.wait(QUIET_S / 10):
            if (now := time.monotonic()) - last >= QUIET_S:
                say(f", at work for {now - start:.0f} s")

    signs = threading.Thread(target=sign, daemon=True)
    signs.start()
    try:
        yield passed
    finally:
        ended.set()
        signs.join()
    say(f" in {time.monotonic() - start:.1f} s")
