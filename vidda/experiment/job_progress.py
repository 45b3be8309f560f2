"""Progress of a job: time so far, an estimate of the time to go, and the line that shows both."""

import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from statistics import mean

from rich.console import Console
from rich.text import Text

from vidda.errors import escape_control
from vidda.experiment.stage_records import StageRecord, format_duration

PLAIN_INTERVAL_S = 30.0
MOST_KINDS = 3
"""Kinds of stages that a progress line names."""

StageKind = tuple[str, str]
"""Kind and command of a stage."""
RunningKind = tuple[StageKind, float]
"""Those of a running stage, and its seconds so far."""


class StageDurations:
    """Durations of stages that have not ended, estimated from those of finished ones."""

    def __init__(self, records: Sequence[StageRecord]) -> None:
        self._kinds: dict[str, list[float]] = defaultdict(list)
        self._commands: dict[str, list[float]] = defaultdict(list)
        for record in records:
            if record.status == 0:
                self._kinds[record.kind].append(record.seconds)
                self._commands[record.command].append(record.seconds)

    def estimate(self, stage: StageKind) -> float | None:
        """Return the mean seconds of finished stages of its kind, or else of its command.

        None if there is neither.
        """
        kind, command = stage
        known = self._kinds.get(kind) or self._commands.get(command)
        return mean(known) if known else None


def progress_text(
    running: Sequence[RunningKind],
    waiting: Sequence[StageKind],
    records: Sequence[StageRecord],
    so_far: float,
    at_once: int,
) -> str:
    """Describe the time so far and the time to go.

    so_far: seconds. at_once: number of stages that run side by side.
    """
    durations = StageDurations(records)
    stages = [*running, *((kind, 0.0) for kind in waiting)]
    left: list[float] = []
    unknown: list[str] = []
    for kind, spent in stages:
        seconds = durations.estimate(kind)
        if seconds is None:
            unknown.append(kind[0])
        else:
            left.append(max(0.0, seconds - spent))
    text = f"{format_duration(so_far)} so far"
    # A figure for the lesser part of the stages would be taken for that of all.
    if len(left) > len(unknown):
        # The last ones do not end sooner for running side by side.
        to_go = max(sum(left) / at_once, max(left))
        text += f", about {format_duration(to_go)} to go"
    if not unknown:
        return text
    kinds = list(dict.fromkeys(unknown))
    named = ", ".join(kinds[:MOST_KINDS]) + (", ..." if len(kinds) > MOST_KINDS else "")
    if len(left) <= len(unknown):
        count = f"{len(stages)} stages" if len(stages) > 1 else "1 stage"
        unmeasured = f"{len(unknown)} of them not" if left else "none"
        return f"{text}, {count} to go, {unmeasured} measured yet ({named})"
    known = f"{len(left)} of {len(stages)} stages"
    return f"{text} for {known}, the others not measured yet ({named})"


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
