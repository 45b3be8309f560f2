"""Progress of a job: time so far, an estimate of the time to go, and the line that shows both."""

import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from rich.console import Console
from rich.text import Text

from vidda.errors import escape_control
from vidda.experiment.stage import Stage
from vidda.experiment.stage_records import StageRecord, format_duration

PLAIN_INTERVAL_S = 30.0


def estimate_remaining(
    pending: Sequence[Stage], records: Sequence[StageRecord]
) -> tuple[float, bool]:
    """Return the seconds that pending stages will take, and whether that counts all of them.

    A stage takes the mean time of finished ones of its kind; False if a kind has none.
    """
    known: dict[str, list[float]] = defaultdict(list)
    for record in records:
        if record.status == 0:
            known[record.kind].append(record.seconds)
    means = {kind: sum(seconds) / len(seconds) for kind, seconds in known.items()}
    total = sum(means.get(stage.kind, 0.0) for stage in pending)
    return total, all(stage.kind in means for stage in pending)


def progress_text(
    pending: Sequence[Stage],
    records: Sequence[StageRecord],
    before: float,
    spent: float,
    at_once: int = 1,
) -> str:
    """Describe the time so far and the time to go.

    pending: stages that run now, then those to come. before: seconds until the running ones
    started. spent: seconds since then. at_once: number of stages that run side by side.
    """
    so_far = f"{format_duration(before + spent)} so far"
    seconds, whole = estimate_remaining(pending, records)
    if not seconds and not whole:
        return so_far
    left = f"{so_far}, about {format_duration(max(0.0, seconds / at_once - spent))} to go"
    if whole:
        return left
    timed = {record.kind for record in records if record.status == 0}
    unknown = [stage.kind for stage in pending if stage.kind not in timed]
    stages = f"{len(unknown)} stage{'s' if len(unknown) > 1 else ''}"
    return f"{left} and {stages} of unknown length ({', '.join(dict.fromkeys(unknown))})"


@contextmanager
def show_progress(text: Callable[[], str], line: Callable[[], str]) -> Iterator[Callable[[], None]]:
    """Yield a function that updates the progress line; call it repeatedly while a stage runs.

    text: returns the progress of the job. line: returns the last line that the stage printed. On a
    terminal both are shown on one line; elsewhere they are printed on standard error, `text` at the
    start and both every 30 s.
    """
    console = Console(stderr=True, markup=False, highlight=False, emoji=False)
    if console.is_terminal:
        # As Text, because a file's name may hold what rich takes for markup.
        with console.status(Text(text())) as status:
            yield lambda: status.update(
                Text(_cut(escape_control(f"{text()} | {line()}"), console.width - 3))
            )
        return
    print(text(), file=sys.stderr, flush=True)
    last = time.monotonic()

    def update() -> None:
        nonlocal last
        if time.monotonic() - last >= PLAIN_INTERVAL_S:
            last = time.monotonic()
            print(escape_control(f"{text()} | {line()}"), file=sys.stderr, flush=True)

    yield update


def _cut(text: str, width: int) -> str:
    return text if len(text) <= width else text[: width - 3] + "..."
