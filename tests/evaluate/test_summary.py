"""Clusters of the bootstrap: subjects, clips alone, or the takes of one subject."""

from io import StringIO

import numpy as np
import pytest
from rich.console import Console

from vidda.data.saved_predictions import SavedPredictions
from vidda.evaluate.console_tables import print_summary
from vidda.evaluate.labeled_predictions import columns_of
from vidda.evaluate.summary import Intervals, clusters_of, count_takes, summarize
from vidda.evaluate.transfer import transfer_cells
from vidda.evaluate.transfer_tables import legend
from vidda.types import ClipRecord, Manifest, Predictions

TAKES = ("a", "a", "a", "b", "b", "b")


def saved(tmp_path: object, subjects: str, takes: tuple[str, ...] = ()) -> SavedPredictions:
    """Six clips, of which those of take b are recognized."""
    clips = tuple(
        ClipRecord(
            str(number), f"{number}.jpg", number % 2, "real", "ground", subject.strip() or None,
            meta={"take": takes[number]} if takes and takes[number] else {},
        )
        for number, subject in enumerate(subjects)
    )  # fmt: skip
    columns = columns_of(Manifest(tmp_path, ("no", "yes"), clips))  # type: ignore[arg-type]
    labels = np.arange(6) % 2
    wrong = np.where(np.arange(6) < 3, 1 - labels, labels)
    logits = np.eye(2, dtype=np.float32)[wrong]
    ids = tuple(clip.id for clip in clips)
    return SavedPredictions("p.npz", Predictions(ids, logits, labels), ("no", "yes"), columns)


@pytest.mark.parametrize(
    ("subjects", "takes", "clusters"),
    [
        ("BBBBBB", TAKES, {"take a", "take b"}),
        ("AAABBB", TAKES, {"subject A", "subject B"}),
        ("BBBBB ", TAKES, {"subject B", "clip 5"}),
        ("BBBBBB", ("a", "a", "a", "b", "b", ""), {"subject B"}),
        ("BBBBBB", (), {"subject B"}),
        ("      ", TAKES, {f"clip {number}" for number in range(6)}),
    ],
)
def test_takes_are_clusters_of_one_subject_alone(
    tmp_path: object, subjects: str, takes: tuple[str, ...], clusters: set[str]
) -> None:
    found = clusters_of(saved(tmp_path, subjects, takes))
    assert set(found) == clusters
    assert count_takes(found) == sum(name.startswith("take ") for name in clusters)


def test_the_interval_of_one_subject_is_by_take_and_says_so(tmp_path: object) -> None:
    by_take, alone = (saved(tmp_path, "BBBBBB", takes) for takes in (TAKES, ()))
    summary = summarize(by_take, Intervals())
    assert summarize(alone, Intervals()).bootstrap is None
    assert summary.takes == 2 and summary.bootstrap is not None and summary.subjects == 1
    width = summary.bootstrap.high - summary.bootstrap.low
    assert width > summary.wilson.high - summary.wilson.low
    assert {stratum.column for stratum in summary.strata} == {"view", "subject", "class"}
    stream = StringIO()
    print_summary(Console(file=stream, width=200), summary, 0.95)
    assert "bootstrap over 2 takes of one subject" in stream.getvalue()
    cells = transfer_cells("row", "syn2b", [by_take], Intervals())
    lines = "\n".join(legend(cells, [], 0.95))
    assert "all 6 (1, 2 takes)" in lines and "takes are drawn instead of subjects" in lines
    unnamed = "\n".join(legend(transfer_cells("row", "syn2b", [alone], Intervals()), [], 0.95))
    assert "takes" not in unnamed
