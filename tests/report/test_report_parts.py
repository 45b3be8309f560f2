"""The report's arithmetic: gaps, seeds, order of clips, axes, LaTeX, records."""

import json
import math
from pathlib import Path

import numpy as np
import pytest

from vidda.evaluate.intervals import Interval
from vidda.evaluate.summary import Intervals, Stratum, Summary
from vidda.evaluate.transfer import TransferCell
from vidda.report.closed_gap import closed_gaps
from vidda.report.latex import escape, latex_table
from vidda.report.merged_seeds import merge_seeds, most_confused
from vidda.report.report_config import Gap
from vidda.report.run_records import read_record, read_training
from vidda.report.translations import ClipFigures, Translation, worst_first
from vidda.svg import ChartLine, histogram, line_chart, ticks


def cell(row: str, mean: float, task: str = "gs2gr") -> TransferCell:
    interval = Interval(mean - 0.1, mean + 0.1)
    return TransferCell(row, task, "all", (mean,), mean, None, 100, 1, interval, None)


def test_the_share_of_a_gap() -> None:
    cells = [cell("source only", 0.3), cell("target only", 0.8), cell("a", 0.6), cell("b", 0.2)]
    (gap,) = closed_gaps(cells, ["gs2gr"], Gap())
    assert [(row.row, row.share) for row in gap.rows] == [
        ("a", pytest.approx(0.6)),
        ("b", pytest.approx(-0.2)),
    ]
    assert gap.rows[1].gained == pytest.approx(-0.1)


def test_no_share_without_a_gap() -> None:
    cells = [cell("source only", 0.8), cell("target only", 0.8), cell("a", 0.6)]
    other, level = closed_gaps(cells, ["as2ar", "gs2gr"], Gap())
    assert not level.rows and "not above" in level.reason
    assert "“source only” and “target only”" in other.reason


def summary(accuracy: float, confusion: list[list[int]]) -> Summary:
    whole = Stratum("view", "air", 4, accuracy, Interval(0, 1))
    return Summary(
        4, ("a", "b"), accuracy, Interval(0, 1), None, 2, accuracy, 0.5, 0.1,
        tuple(map(tuple, confusion)), (whole,),
    )  # fmt: skip


def test_seeds_are_averaged_and_their_confusions_added() -> None:
    both = [summary(0.5, [[1, 1], [1, 1]]), summary(1.0, [[2, 0], [0, 2]])]
    merged = merge_seeds(both, Intervals())
    assert (merged.seeds, merged.clips, merged.accuracy) == (2, 4, 0.75)
    assert merged.confusion.tolist() == [[3, 1], [1, 3]]
    assert merged.strata[0].accuracy == 0.75
    assert merged.strata[0].wilson == Intervals().wilson(0.75, 4)


def test_the_commonest_mistakes() -> None:
    confusion = np.array([[9, 0, 4], [1, 9, 0], [0, 0, 9]])
    assert most_confused(confusion, 5) == [(0, 2, 4), (1, 0, 1)]
    assert most_confused(confusion, 1) == [(0, 2, 4)]


def test_the_worst_clips_come_first() -> None:
    figures = {
        "good": {"flow_epe": 0.1, "pck": 0.9},
        "blurred": {"flow_epe": 0.2, "pck": 0.3},
        "shaky": {"flow_epe": 0.9, "pck": 0.2},
        "silent": {"flow_epe": None},
    }
    clips = {name: ClipFigures(id=name, status="kept", quality=q) for name, q in figures.items()}
    clips["broken"] = ClipFigures(id="broken", status="failed")
    clips["out"] = ClipFigures(id="out", status="rejected", quality={"flow_epe": 0.0})
    order = [clip.id for clip in worst_first(Translation(Path(), (), clips))]
    assert order[:3] == ["broken", "out", "shaky"]
    assert order.index("blurred") < order.index("good")


@pytest.mark.parametrize("low,high", [(0, 1), (0.3, 0.31), (-5, 1234), (0, 1e-9), (2.0, 97.5)])
def test_axes_have_few_round_numbers_that_hold_all(low: float, high: float) -> None:
    found = ticks(low, high)
    assert found[0] <= low + 1e-12 and found[-1] >= high - 1e-12
    assert 3 <= len(found) <= 8
    steps = np.diff(found)
    assert np.allclose(steps, steps[0])
    digits = steps[0] / 10 ** math.floor(math.log10(steps[0]) + 1e-9)
    assert min(abs(digits - wanted) for wanted in (1, 2, 2.5, 5, 10)) < 1e-6


def test_a_line_goes_through_its_points() -> None:
    chart = line_chart(
        [ChartLine([(0, 0), (10, 100)], "s0", mark=1)], x="<x>", y="y", title='"', limits=(0, 100)
    )
    assert 'points="44.0,174.0 348.0,22.0"' in chart
    assert 'cx="348.0" cy="22.0"' in chart
    assert "&lt;x&gt;" in chart and 'aria-label="&#34;"' in chart


def test_a_histogram_of_equal_values_and_of_one_outlier() -> None:
    assert "polygon" in histogram([np.full(5, 0.25)], ["s0"], x="x", title="t")
    values = np.append(np.linspace(0, 1, 200), 1e6)
    chart = histogram([values, values[:3]], ["s0", "s1"], x="x", title="t")
    assert ">1e+06<" not in chart and chart.count("polygon") == 2


def test_latex() -> None:
    assert escape("a_b & 5% {x} \\ ~^#$") == (
        r"a\_b \& 5\% \{x\} \textbackslash{} \textasciitilde{}\textasciicircum{}\#\$"
    )
    text = latex_table([cell("a_b", 0.5), cell("c", 0.7)], ["gs2gr", "as2ar"], 0.95)
    assert r"    a\_b & $50.0$ & -- \\" in text
    assert r"    c & $\mathbf{70.0}$ & -- \\" in text
    assert r" & {\scriptsize $[60.0, 80.0]$} &  \\" in text
    assert text.count("{") == text.count("}")


def test_what_a_run_that_goes_on_has_recorded(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text("train: [a.csv]\n")
    session = {
        "started": "2026-01-02T03:04:05+00:00",
        "command": ["/a/b/bin/vidda", "train", "x y.yaml", "--resume"],
        "vidda": "1", "git": None, "python": "3", "device": "cpu",
        "packages": {"torch": "2", "peft": None},
    }  # fmt: skip
    (tmp_path / "provenance.json").write_text(json.dumps({"sessions": [session]}))
    (tmp_path / "metrics.jsonl").write_text(
        '{"step": 1, "train/loss": 2.0}\n{"step": 2, "train/loss": null}\n{"step": 3, "tra'
    )
    record = read_record(tmp_path)
    assert not record.finished
    assert record.sessions[0].command == "vidda train 'x y.yaml' --resume"
    assert record.sessions[0].versions == {"vidda": "1", "python": "3", "torch": "2"}
    training = read_training(tmp_path)
    assert training.curve("train/loss") == [(1.0, 2.0)]
    assert training.selected is None
