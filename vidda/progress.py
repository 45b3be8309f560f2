"""One way to show a long job: a bar on a terminal, a plain line every few seconds elsewhere."""

import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

T = TypeVar("T")

PLAIN_INTERVAL_S = 5.0


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
        task = progress.add_task(label, total=total, completed=done, rate="", note="")
        seen = 0

        def passed(count: int, note: str = "") -> None:
            nonlocal seen
            seen += count
            rate = seen / max(time.monotonic() - start, 1e-9)
            progress.update(task, advance=count, rate=f"{rate:.1f} {unit}/s", note=note)

        yield passed


def _plain(label: str, total: int, unit: str, done: int) -> Iterator[Callable[..., None]]:
    start = last = time.monotonic()
    seen = 0

    def passed(count: int, note: str = "") -> None:
        nonlocal seen, last
        seen += count
        now = time.monotonic()
        if now - last >= PLAIN_INTERVAL_S:
            last = now
            rate = seen / (now - start)
            left = (total - done - seen) / rate
            said = f"{label}: {done + seen}/{total} {unit}, {rate:.1f} {unit}/s, ETA {left:.0f} s"
            print(f"{said}, {note}" if note else said, file=sys.stderr, flush=True)

    yield passed
    seconds = time.monotonic() - start
    print(f"{label}: {done + seen}/{total} {unit} in {seconds:.1f} s", file=sys.stderr, flush=True)
