"""One way to show a long job: a bar on a terminal, a plain line every few seconds elsewhere."""

import sys
import time
from collections.abc import Iterable, Iterator
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
    console = Console(stderr=True)
    if not console.is_terminal:
        yield from _plain(items, label, total, unit, done)
        return
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}"),
        TimeElapsedColumn(),
        TextColumn("ETA"),
        TimeRemainingColumn(),
    )
    start = time.monotonic()
    with Progress(*columns, console=console) as progress:
        task = progress.add_task(label, total=total, completed=done, rate="")
        for count, item in enumerate(items, 1):
            yield item
            rate = count / max(time.monotonic() - start, 1e-9)
            progress.update(task, advance=1, rate=f"{rate:.1f} {unit}/s")


def _plain(items: Iterable[T], label: str, total: int, unit: str, done: int) -> Iterator[T]:
    start = last = time.monotonic()
    count = 0
    for count, item in enumerate(items, 1):
        yield item
        now = time.monotonic()
        if now - last >= PLAIN_INTERVAL_S:
            last = now
            rate = count / (now - start)
            left = (total - done - count) / rate
            print(
                f"{label}: {done + count}/{total} {unit}, {rate:.1f} {unit}/s, ETA {left:.0f} s",
                file=sys.stderr,
                flush=True,
            )
    seconds = time.monotonic() - start
    print(f"{label}: {done + count}/{total} {unit} in {seconds:.1f} s", file=sys.stderr, flush=True)
