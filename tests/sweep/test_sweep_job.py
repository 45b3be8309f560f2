"""`vidda sweep`: every trial a real run in its own process; killed, gone on with, searched."""

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.experiment.jobs import MINI, of_tree
from tests.sweep.sweeps import loaded, method, sweep
from vidda.cli import main
from vidda.errors import ViddaError
from vidda.experiment.stage_records import STAGES_FILE as RECORDS
from vidda.files import lock
from vidda.sweep.job import run
from vidda.sweep.trial_table import TRIALS_FILE, TrialTable

TINY = {**MINI, "syn_train": 1}


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A rendered dataset, for all sweeps of this file."""
    out = tmp_path_factory.mktemp("data") / "mini"
    assert main(["mini", str(out), *(f"{key}={value}" for key, value in TINY.items())]) == 0
    return out


def of(tree: Path, out: Path, **more: object) -> dict[str, object]:
    prepare = {"root": str(tree), "dataset.name": "rocog_v2"}
    return sweep(out, mini=None, prepare=prepare, steps=2, **more)


def sessions(out: Path) -> dict[str, int]:
    """How often each stage was started and came to an end."""
    rows = json.loads((out / RECORDS).read_text())["stages"]
    return {row["name"]: row["sessions"] for row in rows}


@pytest.mark.slow
def test_a_sweep_killed_and_gone_on_with_repeats_nothing_and_lists_what_failed(
    tree: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    content = of(tree, out, baseline="source only")
    content["methods"] |= {  # type: ignore[operator]
        "broken": {"change": {"method": {"name": "dann"}, "batch_size": 4000}},
        "atcon": method("atcon", start="broken"),
    }
    file = tmp_path / "sweep.yaml"
    file.write_text(json.dumps(content))
    command = [sys.executable, "-m", "vidda.cli", "sweep", str(file)]
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    second = out / "trials" / "coral-gs2gr-0"
    while not (second / "config.yaml").exists():
        assert process.poll() is None, "the sweep ended too early"
        time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    process.wait()
    # The trial at work is ended with the sweep, and frees its folder, but not in the same instant.
    while True:
        try:
            with lock(second):
                break
        except Exception:
            time.sleep(0.05)
    rows = TrialTable(out).rows
    first = rows["source_only-gs2gr-0"]
    assert first.status == "finished" and rows["coral-gs2gr-0"].status == "waiting"

    assert run(loaded(content), dry_run=False, resume=True) == 1
    said = capsys.readouterr()
    rows = TrialTable(out).rows
    assert rows[first.name] == first and sessions(out)[first.name] == 1
    assert [row.status for row in rows.values()] == ["finished", "finished", "failed", "failed"]
    assert "batch_size: 4000 is more than the 7 training clips" in rows["broken-gs2gr-0"].reason
    assert "broken-gs2gr-0/DONE does not exist" in rows["atcon-gs2gr-0"].reason
    assert "failed: broken-gs2gr-0: batch_size" in said.out and "2 of 4 trials failed" in said.out
    done = rows["coral-gs2gr-0"]
    assert done.accuracy and done.accuracy.oracle >= done.accuracy.selected
    assert {"entropy", "source_validation"} <= done.scores.keys() == done.lost.keys()
    table = (out / "sweep.md").read_text()
    assert "## Points gained over source only" in table
    assert "| coral | " in table and "## Scores without target labels" in table
    assert "- failed: broken-gs2gr-0: batch_size" in table
    assert json.loads((out / "results" / "transfer.json").read_text())["epochs"]
    page = (out / "report" / "index.html").read_text()
    assert "coral, gs2gr" in page and "soft neighborhood density" in page

    # Without what failed, everything is there: nothing is run, and nothing is written anew.
    del content["methods"]["broken"], content["methods"]["atcon"]  # type: ignore[attr-defined]
    before = {path: path.stat().st_mtime_ns for path in (out / "results").rglob("*.npz")}
    times = sessions(out)
    assert run(loaded(content), dry_run=False, resume=True) == 0
    assert "2 trials finished" in capsys.readouterr().out
    assert sessions(out) == times
    assert before == {path: path.stat().st_mtime_ns for path in (out / "results").rglob("*.npz")}
    assert set(json.loads((out / TRIALS_FILE).read_text())["trials"][0]) >= {
        "name",
        "reason",
        "lost",
    }


def test_where_the_data_fails_nothing_is_proposed_and_its_error_is_reported(tmp_path: Path) -> None:
    pytest.importorskip("optuna")
    data = of_tree(tmp_path)  # whose clips have no masks
    content = sweep(
        tmp_path / "out",
        mini=None,
        prepare=data["prepare"],
        variants=data["variants"],
        methods={"coral": method("coral", data=["masks"], keys={"batch_size": [2, 3, 4, 5]})},
        search={"name": "optuna", "points": 4},
    )
    with pytest.raises(ViddaError, match=r"\[2/7\] randomize: masks, gs2gr failed: .*no sidecar"):
        run(loaded(content), dry_run=False, resume=False)
    (row,) = TrialTable(tmp_path / "out").rows.values()
    assert row.status == "failed"
    assert row.reason.endswith("DONE does not exist: randomize: masks, gs2gr failed")


@pytest.mark.deep
def test_optuna_s_proposals_are_run_and_chosen_from_side_by_side(
    tree: Path, tmp_path: Path
) -> None:
    pytest.importorskip("optuna")
    pytest.importorskip("ray")
    out = tmp_path / "out"
    content = of(
        tree,
        out,
        methods={
            "coral": method("coral", keys={"method.weight": {"low": 0.1, "high": 10, "log": True}})
        },
        search={"name": "optuna", "points": 2, "together": 2},
        select_point="entropy",
        select_epoch="information_maximization",
        executor={"name": "ray", "workers": 2},
    )
    assert run(loaded(content), dry_run=False, resume=False) == 0
    rows = list(TrialTable(out).rows.values())
    assert [row.status for row in rows] == ["finished"] * 2
    weights = [row.keys["method.weight"] for row in rows]
    assert len(set(weights)) == 2 and all(0.1 <= weight <= 10 for weight in weights)
    best = max(rows, key=lambda row: row.scores["entropy"])
    text = (out / "sweep.md").read_text()
    assert f"| coral | method.weight {json.dumps(best.keys['method.weight'])} |" in text
    chosen = json.loads((best.run / "selection.json").read_text())
    assert chosen["select"] == "information_maximization"
    # Another session proposes the same and has nothing to do.
    times = sessions(out)
    assert run(loaded(content), dry_run=False, resume=True) == 0
    assert [row.keys for row in TrialTable(out).rows.values()] == [row.keys for row in rows]
    assert sessions(out) == times


@pytest.mark.slow
def test_a_dry_run_tells_the_trials_and_changes_nothing(
    tree: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    content = of(tree, out, keys={"batch_size": [2, 4]}, seeds=[0, 1])
    file = tmp_path / "sweep.yaml"
    file.write_text(json.dumps(content))
    assert main(["sweep", str(file), "--dry-run"]) == 0
    said = capsys.readouterr().out
    assert "2 methods, 2 seeds, tasks gs2gr: 2 methods and tasks" in said
    assert "coral, gs2gr: 4 trials" in said and "dry run of prepare" in said
    assert not out.exists()
    (tmp_path / "out").mkdir()
    (out / "thesis.txt").write_text("")
    assert main(["sweep", str(file)]) == 2
    assert "not made by vidda sweep" in capsys.readouterr().err
