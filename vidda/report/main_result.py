"""The main result of a report in one sentence, for the page and for the console."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from vidda.evaluate.transfer import ALL, TransferCell
from vidda.report.closed_gap import TaskGap, closed_gaps
from vidda.report.found_runs import FoundRuns, FoundTest, FoundTransfer
from vidda.report.report_config import Gap
from vidda.report.target_label_use import RowTask

SMALL_GAP = 0.05
"""A share of a smaller gap, in accuracy, says little: points are reported instead."""


@dataclass(frozen=True, slots=True)
class BestArm:
    """The arm with the highest mean value over the tasks.

    values: its own by task. arms: number of arms with as many tasks, that it was chosen from.
    others: number of arms with fewer.
    """

    name: str
    values: Mapping[str, float]
    arms: int
    others: int = 0

    def choice(self) -> str:
        """Return how it was chosen, to end a sentence; "" where there was nothing to choose."""
        if self.arms == 1:
            return ", the only arm with a result on all of these tasks" if self.others else ""
        by_mean = " by its mean over these tasks" if len(self.values) > 1 else ""
        return f", the best of {self.arms} arms{by_mean}"


def main_result(found: FoundRuns, gap: Gap, used_labels: Collection[RowTask]) -> str:
    """Return the main result: how much of the gap the best arm without target labels closes.

    gap: names of the source's and the target's row. used_labels: rows and tasks that used target
    labels, which are never the best. Without the two rows the sentence is about gains or accuracies
    instead, and without a transfer table about the single tests.
    """
    if found.transfer is None:
        return _of_tests(found.tested) or "This report holds no test of a recognizer."
    whole = [cell for cell in found.transfer.cells if cell.part == ALL]
    text = _of_table(whole, found.transfer.transfer.tasks, gap, used_labels)
    without = unlabeled_tasks(found.transfer)
    if not without:
        return f"{text}."
    unknown = f"{listed(without)} {'has' if len(without) == 1 else 'have'} no test labels"
    return f"{text}; {unknown}." if text else f"No accuracy is known: {unknown}."


def unlabeled_tasks(found: FoundTransfer) -> list[str]:
    """Return the tasks that runs were tested on without labels, so that no accuracy is known."""
    return list(dict.fromkeys(cell.task for cell in found.unlabeled))


def listed(words: Sequence[str]) -> str:
    """Join words by commas, the last one by "and"."""
    return " and ".join(filter(None, [", ".join(words[:-1]), *words[-1:]]))


def _of_table(
    whole: Sequence[TransferCell], tasks: Sequence[str], gap: Gap, used_labels: Collection[RowTask]
) -> str:
    """Return the sentence of a transfer table without its full stop; "" for an empty table."""
    fair = [cell for cell in whole if (cell.row, cell.task) not in used_labels]
    allowed = {(cell.row, cell.task) for cell in fair}
    gaps = closed_gaps(whole, tasks, gap)
    small = {task.task: _small_gap(task, gap) for task in gaps}
    closed = [
        row
        for task in gaps
        for row in task.rows
        if (row.row, row.task) in allowed and not small[task.task]
    ]
    if best := _best((row.row, row.task, row.share) for row in closed):
        gained = {row.task: row.gained for row in closed if row.row == best.name}
        return _closed(best, gained, gap) + _seeds(whole)
    base = {cell.task: cell.mean for cell in whole if cell.row == gap.source}
    gains = ((c.row, c.task, c.mean - base[c.task]) for c in fair if c.task in base)
    if best := _best(gain for gain in gains if gain[0] != gap.source):
        return _gained(best, gap) + _seeds(whole) + _unknown_share(gaps, small, best)
    return _reached(whole, fair, gap)


def _small_gap(task: TaskGap, gap: Gap) -> str:
    """Return why a share of a task's gap would say little, "" if it would not."""
    if task.source is None or task.target is None or not 0 < task.target - task.source < SMALL_GAP:
        return ""
    return f"“{gap.target}” is only {100 * (task.target - task.source):.1f} points above it"


def _unknown_share(gaps: Sequence[TaskGap], small: Mapping[str, str], best: BestArm) -> str:
    """Return why a sentence is of points instead of shares of the gap."""
    reasons: dict[str, list[str]] = {}
    for task in (task for task in gaps if task.task in best.values):
        reason = small[task.task] or task.reason.removesuffix(" on this task")
        reasons.setdefault(reason, []).append(task.task)
    texts = [f"{reason} on {listed(tasks)}" for reason, tasks in reasons.items()]
    return f"; the share of the gap is not known: {'; '.join(texts)}"


def _best(values: Iterable[tuple[str, str, float]]) -> BestArm | None:
    """Return the best of some arms among those with values on the most tasks; None of no arm.

    values: arm, task and value.
    """
    arms: dict[str, dict[str, float]] = {}
    for arm, task, value in values:
        arms.setdefault(arm, {})[task] = value
    if not arms:
        return None
    most = max(len(own) for own in arms.values())
    full = {arm: float(np.mean([*own.values()])) for arm, own in arms.items() if len(own) == most}
    name = max(full, key=lambda arm: full[arm])
    return BestArm(name, arms[name], len(full), len(arms) - len(full))


def _closed(best: BestArm, gained: Mapping[str, float], gap: Gap) -> str:
    """Return how much of the gap an arm closes. gained: accuracy over the source's row, by task."""
    ends = f"the gap from “{gap.source}” to “{gap.target}”"
    shares = {task: _share(share) for task, share in best.values.items() if share >= 0.005}
    others = _changes({task: gained[task] for task in best.values if task not in shares})
    if not shares:
        return _nothing(best, f"closes none of {ends}", f"closes any of {ends}", others)
    return _better(best, f"closes {{}} of {ends}", shares, others)


def _share(share: float) -> str:
    return f"{share:.0%}" if share <= 1 else f"more than all ({share:.0%})"


def _gained(best: BestArm, gap: Gap) -> str:
    """Return how many points an arm gains over the source's row."""
    over = f"over “{gap.source}”"
    gains = {task: f"{100 * gain:.1f}" for task, gain in best.values.items() if gain >= 0.0005}
    others = _changes({task: gain for task, gain in best.values.items() if task not in gains})
    if not gains:
        return _nothing(best, f"gains nothing {over}", f"gains {over}", others)
    return _better(best, f"gains {{}} points {over}", gains, others)


def _better(best: BestArm, verb: str, amounts: Mapping[str, str], others: str) -> str:
    """Return the sentence of an arm that is better than the source's on some tasks.

    verb: with {} for the amount. amounts: by task. others: the other tasks in words, or "".
    """
    first, *more = amounts
    parts = [f"“{best.name}” {verb.format(amounts[first])} on {first}"]
    text = listed(parts + [f"{amounts[task]} on {task}" for task in more])
    return text + (f", but {others}" if others else "") + best.choice()


def _nothing(best: BestArm, alone: str, together: str, others: str) -> str:
    """Return the sentence of an arm that is better nowhere.

    alone, together: the verb for this arm, and for all arms. others: the tasks in words.
    """
    if best.arms == 1:
        return f"“{best.name}” {alone}: it {others}"
    average = " on average" if len(best.values) > 1 else ""
    return f"None of {best.arms} arms {together}{average}: the best, “{best.name}”, {others}"


def _changes(gained: Mapping[str, float]) -> str:
    """Return gains and losses in points, by task, as verbs; "" of no task."""
    verbs: dict[str, list[str]] = {}
    for task, gain in gained.items():
        points = f"{100 * abs(gain):.1f}"
        verb = "changes nothing" if points == "0.0" else "gains" if gain > 0 else "loses"
        amounts = verbs.setdefault(verb, [])
        unit = "" if amounts else " points"
        amounts.append(f"on {task}" if points == "0.0" else f"{points}{unit} on {task}")
    return listed([f"{verb} {listed(amounts)}" for verb, amounts in verbs.items()])


def _reached(whole: Sequence[TransferCell], fair: Sequence[TransferCell], gap: Gap) -> str:
    """Return the accuracies of the best row; "" without any."""
    best = _best((cell.row, cell.task, cell.mean) for cell in fair)
    if best is None:
        best = _best((cell.row, cell.task, cell.mean) for cell in whole)
        return f"{_accuracies(best)}, and no arm without target labels was tested" if best else ""
    text = _accuracies(best) + best.choice() + _seeds(whole)
    if best.arms > 1 or best.others:
        return text
    above = {c.task: c.mean for c in whole if c.row == gap.target and c.task in best.values}
    if best.name == gap.source and above:
        oracle = _accuracies(BestArm(gap.target, above, 1)).replace(" reaches", "")
        return f"{text}, {oracle}: no other arm tries to close this gap"
    return f"{text}; there is no other arm to compare it with"


def _accuracies(best: BestArm) -> str:
    texts = [f"{share:.1%} on {task}" for task, share in best.values.items()]
    return f"“{best.name}” reaches {listed(texts)}"


def _seeds(whole: Sequence[TransferCell]) -> str:
    low, high = (end(len(cell.runs) for cell in whole) for end in (min, max))
    return f" ({f'{low} to ' if low < high else ''}{high} seed{'s' if high > 1 else ''})"


def _of_tests(tested: Sequence[FoundTest]) -> str:
    """Return the accuracies of single tests; "" without any."""
    shares = sorted(test.summary.accuracy for test in tested)
    if not shares:
        return ""
    if len(shares) > 1:
        return f"{len(shares)} single tests reach {shares[0]:.1%} to {shares[-1]:.1%} accuracy."
    (test,) = tested
    return f"“{test.record.path.name}” reaches {shares[0]:.1%} on {test.summary.clips} test clips."
