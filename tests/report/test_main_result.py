"""The sentence that a report opens with: fair, of the right tasks, and right without some rows."""

from collections.abc import Mapping
from pathlib import Path

import pytest

from vidda.evaluate.intervals import Interval
from vidda.evaluate.summary import Intervals
from vidda.evaluate.transfer import Transfer, TransferCell, TransferRow
from vidda.evaluate.unlabeled_targets import LabelFreeCell
from vidda.report.found_runs import FoundRuns, FoundTransfer
from vidda.report.main_result import listed, main_result
from vidda.report.report_config import Gap
from vidda.report.run_records import RunRecord

TASKS = ("gs2gr", "as2ar", "gs2ar")
ENDS = {"source only": (0.3, 0.3, 0.3), "target only": (0.8, 0.8, 0.8)}
ORACLE = frozenset(("target only", task) for task in TASKS)


def sentence(
    rows: Mapping[str, tuple[float, ...]], *, seeds: int = 1, untested: tuple[str, ...] = ()
) -> str:
    """The main result of a table with these accuracies, a number for each task of a row."""
    cells = tuple(
        TransferCell(
            row, task, "all", (mean,) * seeds, mean, None, 100, 5, Interval(0, 1), None
        )
        for row, means in rows.items()
        for task, mean in zip(TASKS, means, strict=False)
        if task not in untested
    )  # fmt: skip
    table = Transfer(
        data=Path("d"),
        tasks=TASKS,
        rows=tuple(
            TransferRow(name=row, runs={task: (Path("r"),) for task in TASKS[: len(means)]})
            for row, means in rows.items()
        ),
    )
    record = RunRecord(Path("t"), {}, "", (), True)
    scored = tuple(
        LabelFreeCell(row, task, 100, seeds, {})
        for row, means in rows.items()
        for task in TASKS[: len(means)]
        if task in untested
    )
    transfer = FoundTransfer(record, table, table, Intervals(), cells, (), scored, {})
    return main_result(FoundRuns(transfer, (), {}, {}, ()), Gap(), ORACLE)


def test_the_best_arm_and_what_it_closes_of_each_gap() -> None:
    rows = ENDS | {"a": (0.6, 0.5, 0.4), "b": (0.5, 0.5, 0.4)}
    assert sentence(rows, seeds=3) == (
        "“a” closes 60% of the gap from “source only” to “target only” on gs2gr, 40% on as2ar and"
        " 20% on gs2ar, the best of 2 arms by its mean over these tasks (3 seeds)."
    )
    one = sentence({name: means[:1] for name, means in (ENDS | {"a": (0.6,)}).items()})
    assert one == "“a” closes 60% of the gap from “source only” to “target only” on gs2gr (1 seed)."


def test_an_arm_that_is_best_on_one_task_alone_is_not_the_best() -> None:
    text = sentence(ENDS | {"high": (0.75,), "whole": (0.5, 0.5, 0.29)})
    assert text.startswith("“whole” closes 40% of the gap")
    assert "on gs2gr and 40% on as2ar, but loses 1.0 points on gs2ar" in text
    assert "the only arm with a result on all of these tasks" in text


def test_arms_that_used_target_labels_are_never_the_best() -> None:
    assert sentence(ENDS | {"a": (0.4,)}).startswith("“a” closes 20%")
    assert "target only” closes" not in sentence(ENDS | {"a": (0.2,)})


def test_arms_that_close_nothing() -> None:
    text = sentence(ENDS | {"a": (0.25, 0.3, 0.2), "b": (0.2, 0.1, 0.1)})
    assert text == (
        "None of 2 arms closes any of the gap from “source only” to “target only” on average: the"
        " best, “a”, loses 5.0 points on gs2gr and 10.0 on gs2ar and changes nothing on as2ar"
        " (1 seed)."
    )
    alone = sentence(ENDS | {"a": (0.25,)})
    assert "“a” closes none of the gap" in alone and "it loses 5.0 points on gs2gr" in alone


def test_points_where_a_share_would_say_little() -> None:
    source = {"source only": (0.3, 0.3)}
    without = sentence(source | {"a": (0.4, 0.35)})
    assert without.startswith("“a” gains 10.0 points over “source only” on gs2gr and 5.0 on as2ar")
    assert "not known: no row “target only” on gs2gr and as2ar." in without
    for target, reason in ((0.31, "is only 1.0 points above it"), (0.2, "is not above")):
        text = sentence({"source only": (0.3,), "target only": (target,), "a": (0.4,)})
        assert "gains 10.0 points" in text and reason in text and "%" not in text
    beyond = sentence({"source only": (0.3,), "target only": (0.4,), "a": (0.45,)})
    assert "closes more than all (150%) of the gap" in beyond


def test_tables_without_an_arm_between() -> None:
    assert sentence({n: means[:1] for n, means in ENDS.items()}) == (
        "“source only” reaches 30.0% on gs2gr (1 seed), “target only” 80.0% on gs2gr: no other arm"
        " tries to close this gap."
    )
    assert "no other arm to compare it with" in sentence({"x": (0.5,)})
    assert sentence({"x": (0.5,), "y": (0.6,)}).startswith(
        "“y” reaches 60.0% on gs2gr, the best of"
    )
    assert "no arm without target labels" in sentence({"target only": (0.5,)})


def test_targets_without_labels() -> None:
    rows = {"source only": (0.5, 0.5), "a": (0.6, 0.6)}
    text = sentence(rows, untested=("as2ar",))
    assert text.endswith("; as2ar has no test labels.") and "on as2ar" not in text
    nothing = sentence(rows, untested=TASKS)
    assert nothing == "No accuracy is known: gs2gr and as2ar have no test labels."


@pytest.mark.parametrize(
    "words,text", [([], ""), (["a"], "a"), (["a", "b"], "a and b"), (["a", "b", "c"], "a, b and c")]
)
def test_lists_in_words(words: list[str], text: str) -> None:
    assert listed(words) == text
