"""Share of the gap between source-only and target-only training that each row closes."""

from collections.abc import Sequence
from dataclasses import dataclass

from vidda.evaluate.transfer import ALL, TransferCell
from vidda.report.report_config import Gap


@dataclass(frozen=True, slots=True)
class ClosedGap:
    """The gap closed by one row on one task.

    gained: accuracy minus that of the source's row. share: of the gap, 1 is all of it.
    """

    row: str
    task: str
    gained: float
    share: float


@dataclass(frozen=True, slots=True)
class TaskGap:
    """The gap of one task: accuracies of the source's and the target's row, 0 to 1, and the others.

    reason: why there are no rows, "" if there are.
    """

    task: str
    source: float | None
    target: float | None
    rows: tuple[ClosedGap, ...]
    reason: str


def closed_gaps(cells: Sequence[TransferCell], tasks: Sequence[str], gap: Gap) -> list[TaskGap]:
    """Return for each task the share (mean - source) / (target - source) of every other row.

    tasks: names, in the order of the result. gap: names of the source's and the target's row. There
    are shares only where the target's row is above the source's.
    """
    return [_task(task, [c for c in cells if c.part == ALL and c.task == task], gap)
            for task in tasks]  # fmt: skip


def _task(task: str, cells: Sequence[TransferCell], gap: Gap) -> TaskGap:
    means = {cell.row: cell.mean for cell in cells}
    source, target = means.get(gap.source), means.get(gap.target)
    if source is None or target is None:
        lacking = [name for name in (gap.source, gap.target) if name not in means]
        without = " and ".join(f"“{name}”" for name in lacking)
        return TaskGap(task, source, target, (), f"no row {without} on this task")
    if target <= source:
        return TaskGap(task, source, target, (), f"“{gap.target}” is not above “{gap.source}”")
    rows = tuple(
        ClosedGap(row, task, mean - source, (mean - source) / (target - source))
        for row, mean in means.items()
        if row not in (gap.source, gap.target)
    )
    return TaskGap(task, source, target, rows, "" if rows else "no row besides these two")
