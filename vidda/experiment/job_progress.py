"""How the job stands: which stage of how many, time so far, and what finished stages foretell."""

import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from rich.console import Console
from rich.text import Text

from vidda.errors import plain
from vidda.experiment.stage import Stage
from vidda.experiment.stage_records import StageRecord, clock

PLAIN_INTERVAL_S = 30.0


def estimate(pending: Sequence[Stage], records: Sequence[StageRecord]) -> tuple[float, bool]:
    """Return seconds that pending stages will take, as others of their kind did, and if that is
    all.

    False where there is a pending stage of a kind of which none has finished yet: it takes longer.
    """
    known: dict[str, list[float]] = defaultdict(list)
    for record in records:
        if record.status == 0:
            known[record.kind].append(record.seconds)
    means = {kind: sum(seconds) / len(seconds) for kind, seconds in known.items()}
    total = sum(means.get(stage.kind, 0.0) for stage in pending)
    return total, all(stage.kind in means for stage in pending)


def told(
    pending: Sequence[Stage],
    records: Sequence[StageRecord],
    before: float,
    spent: float,
    at_once: int = 1,
) -> str:
    """Time so far and to go, in words.

    before: seconds until the stages at work began, the first of `pending`. spent: since then.
    at_once: how many run side by side.
    """
    so_far = f"{clock(before + spent)} so far"
    seconds, whole = estimate(pending, records)
    if not seconds and not whole:
        return so_far
    left = f"{so_far}, about {clock(max(0.0, seconds / at_once - spent))} to go"
    if whole:
        return left
    timed = {record.kind for record in records if record.status == 0}
    unknown = [stage.kind for stage in pending if stage.kind not in timed]
    stages = f"{len(unknown)} stage{'s' if len(unknown) > 1 else ''}"
    return f"{left} and {stages} of unknown length ({', '.join(dict.fromkeys(unknown))})"


@contextmanager
def showing(text: Callable[[], str], line: Callable[[], str]) -> Iterator[Callable[[], None]]:
    """Yield a function to call again and again while a stage runs.

    text: where the job stands. line: the last that the stage has printed. On a terminal both stand
    on one line; elsewhere they are printed at the start and every half minute.
    """
    console = Console(stderr=True, markup=False, highlight=False, emoji=False)
    if console.is_terminal:
        # As Text, because a file's name may hold what rich takes for markup.
        with console.status(Text(text())) as status:
            yield lambda: status.update(
                Text(_cut(plain(f"{text()} | {line()}"), console.width - 3))
            )
        return
    print(text(), file=sys.stderr, flush=True)
    last = time.monotonic()

    def passing() -> None:
        nonlocal last
        if time.monotonic() - last >= PLAIN_INTERVAL_S:
            last = time.monotonic()
            print(plain(f"{text()} | {line()}"), file=sys.stderr, flush=True)

    yield passing


def _cut(text: str, width: int) -> str:
    return text if len(text) <= width else text[: width - 3] + "..."
