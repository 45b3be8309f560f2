"""What the job says of its time, and how it measures a stage."""

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from tests.experiment.jobs import job, loaded
from vidda.errors import ViddaError
from vidda.experiment import job_progress
from vidda.experiment.experiment_plan import make_plan
from vidda.experiment.job_progress import StageDurations, StageKind, progress_text
from vidda.experiment.process import (
    ProcessUsage,
    StageServer,
    last_line,
    run_vidda,
    tree_mib,
)
from vidda.experiment.stage import Stage
from vidda.experiment.stage_records import STAGES_FILE, StageRecords, format_duration
from vidda.experiment.stage_session import Run


def measured(seconds: float, status: int = 0) -> ProcessUsage:
    return ProcessUsage(status, seconds, 100.0 + seconds, 2 * seconds)


def kinds(stages: Sequence[Stage]) -> list[StageKind]:
    return [(stage.kind, stage.command) for stage in stages]


def test_the_time_to_go_is_what_others_of_the_kind_took(tmp_path: Path) -> None:
    content = job(tmp_path / "out", seeds=[0, 1, 2])
    stages = make_plan(loaded(content)).stages
    trainings = [stage for stage in stages if stage.command == "train"]
    records = StageRecords(tmp_path)

    def text(spent: list[float], waiting: list[StageKind], at_once: int = 1) -> str:
        running = [(("train tiny", "train"), seconds) for seconds in spent]
        found = list(records.by_name.values())
        return progress_text(running, waiting, found, records.seconds + max(spent), at_once)

    assert text([3.0], kinds(trainings[1:])) == (
        "0:03 so far, 6 stages to go, none measured yet (train tiny)"
    )
    assert text([3.0], []) == "0:03 so far, 1 stage to go, none measured yet (train tiny)"
    for number, seconds in enumerate((10.0, 20.0)):
        records.add(trainings[number], measured(seconds), seconds)
    assert text([5.0], kinds(trainings[3:])) == "0:35 so far, about 0:55 to go"
    assert text([5.0, 5.0], kinds(trainings[4:]), at_once=2) == "0:35 so far, about 0:25 to go"
    assert text([5.0], [], at_once=2) == "0:35 so far, about 0:10 to go", "no sooner for two"
    assert text([25.0], []) == "0:55 so far, about 0:00 to go"
    assert text([5.0], kinds([*trainings[3:], *stages[-1:]])) == (
        "0:35 so far, about 0:55 to go for 4 of 5 stages, the others not measured yet (report)"
    )
    others = [("evaluate tiny", "evaluate"), *(("translate a", "translate"), ("report", "report"))]
    assert text([5.0], [*others, ("camera b", "camera")]).endswith(
        "5 stages to go, 4 of them not measured yet (evaluate tiny, translate a, report, ...)"
    )
    assert text([5.0], [("train other", "train")]).endswith("about 0:25 to go"), "of the command"


def test_a_stage_that_failed_foretells_nothing(tmp_path: Path) -> None:
    stages = make_plan(loaded(job(tmp_path / "out"))).stages
    records = StageRecords(tmp_path)
    records.add(stages[0], measured(5.0, status=2), 5.0)
    assert StageDurations(list(records.by_name.values())).estimate(("mini", "mini")) is None


def test_records_add_up_over_sessions_and_stay_on_the_disk(tmp_path: Path) -> None:
    (stage, *_) = make_plan(loaded(job(tmp_path / "out"))).stages
    records = StageRecords(tmp_path)
    records.add(stage, measured(5.0, status=-9), 5.0)
    records.add(stage, measured(2.5), 2.5)
    again = StageRecords(tmp_path).by_name["mini"]
    assert (again.seconds, again.peak_mib, again.cpu_s) == (7.5, 105.0, 15.0)
    assert (again.sessions, again.status) == (2, 0)
    assert json.loads((tmp_path / STAGES_FILE).read_text())["seconds"] == 7.5
    (tmp_path / STAGES_FILE).write_text("{}")
    with pytest.raises(ViddaError, match=r"stages\.json: not written by vidda run; delete it"):
        StageRecords(tmp_path)


@pytest.mark.parametrize("terminal", [False, True])
def test_a_stage_is_shown_with_the_last_that_it_said(
    terminal: bool, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("TTY_COMPATIBLE", str(int(terminal)))
    monkeypatch.setattr(job_progress, "PLAIN_INTERVAL_S", 0.0)
    with job_progress.show_progress(
        lambda: "[2/3] train", lambda: "step [bold]5[/bold] " + 200 * "x"
    ) as passing:
        passing()
    shown = capsys.readouterr().err
    assert "[2/3] train" in shown
    assert "[2/3] train | step [bold]5[/bold] xxx" in shown or terminal


def test_clock() -> None:
    assert [format_duration(s) for s in (0.4, 59.6, 3600, 3725)] == [
        "0:00",
        "1:00",
        "1:00:00",
        "1:02:05",
    ]


@pytest.fixture(params=["own process", "server"])
def run(request: pytest.FixtureRequest) -> Iterator[Run]:
    server = StageServer({})
    yield run_vidda if request.param == "own process" else server.run
    server.close()


def test_a_command_is_measured_and_its_output_kept(tmp_path: Path, run: Run) -> None:
    log = tmp_path / "log.txt"
    found = run(["mini", str(tmp_path / "out"), "--dry-run"], log, lambda: None)
    assert found.status == 0 and found.cpu_s > 0
    assert log.read_text().startswith("MiniRoCoG")
    size = log.stat().st_size
    assert run(["prepaer"], log, lambda: None).status == 2
    assert "did you mean 'prepare'" in last_line(log, size)
    assert last_line(tmp_path / "none") == ""


def test_a_command_is_ended_with_its_watcher(tmp_path: Path, run: Run) -> None:
    out = tmp_path / "mini"

    def stopped() -> None:
        if any(out.rglob("*.mp4")):
            raise KeyboardInterrupt

    log = tmp_path / "log.txt"
    with pytest.raises(KeyboardInterrupt):
        run(["mini", str(out), "jobs=1", "size=32", "frames=2"], log, stopped)
    assert last_line(log) == "ended by SIGTERM; the same command with --resume continues from here"
    assert not (out / "class_dict.json").exists()


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere nothing is forked")
def test_what_a_server_has_imported_its_next_commands_have_too(tmp_path: Path) -> None:
    log, server = tmp_path / "log.txt", StageServer({"VIDDA_TEST": "1"})
    arguments = ["mini", str(tmp_path / "out"), "--dry-run"]
    first, second = (server.run(arguments, log, lambda: None) for _ in range(2))
    assert first.status == second.status == 0
    assert second.cpu_s < first.cpu_s
    assert log.read_text().count("MiniRoCoG, seed 0") == 2

    def kill() -> None:
        children = Path(f"/proc/{os.getpid()}/task/{threading.get_native_id()}/children")
        for child in children.read_text().split():
            if b"vidda.experiment.child" in Path(f"/proc/{child}/cmdline").read_bytes():
                os.kill(int(child), signal.SIGKILL)

    assert server.run(arguments, log, kill).status == -signal.SIGKILL
    assert server.run(arguments, log, lambda: None).status == 0, "another server takes over"
    server.close()


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells")
def test_the_memory_of_a_process_is_that_of_its_children_too() -> None:
    hold = "import time; held = bytearray(100 << 20); print(flush=True); time.sleep(60)"
    start = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {hold!r}])"
    with subprocess.Popen([sys.executable, "-c", start], stdout=subprocess.PIPE) as process:
        assert process.stdout
        process.stdout.readline()
        found = tree_mib(process.pid)
        (child,) = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
        os.kill(int(child), signal.SIGKILL)
    assert 100 < found < 200
    assert tree_mib(process.pid) == 0
