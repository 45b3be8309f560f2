"""Several stages at once: what needs another waits for it, and one that fails ends the others."""

import os
import re
import threading
from contextlib import suppress
from pathlib import Path

import pytest

from vidda.config import dump
from vidda.data.derived import derive_file, derive_folder
from vidda.errors import ViddaError
from vidda.experiment.executor import child_variables, open_executor
from vidda.experiment.executor_config import ExecutorConfig, LocalExecutor, RayExecutor
from vidda.experiment.scheduler import Scheduler
from vidda.experiment.stage import Stage
from vidda.experiment.stage_graph import StageGraph
from vidda.experiment.stage_records import StageRecords
from vidda.mini.job import MiniConfig


def rendering(out: Path, clips: int, *inputs: Path, seed: int = 0) -> Stage:
    """A stage of vidda mini that needs these files first."""
    config = MiniConfig(
        out=out, seed=seed, size=32, frames=4, syn_train=clips, syn_val=1, real_train=6,
        real_test=1, jobs=1,
    )  # fmt: skip
    done = out / "class_dict.json"
    return Stage(out.name, "mini", "mini", config, out, done, inputs, title=f"render {out.name}")


def refused(out: Path) -> Stage:
    """A stage of vidda mini that fails at once."""
    config = MiniConfig(out=out, real_factors=("rain",))
    return Stage(out.name, "mini", "mini", config, out, out / "DONE", (), title=f"snow {out.name}")


def run_all(stages: list[Stage], out: Path, records: StageRecords, config: ExecutorConfig) -> None:
    with open_executor(config, out) as executor:
        Scheduler(executor, records).run_all(stages)


def processes(folder: Path) -> list[Path]:
    """Those with a folder in their command, or that print into it, as places in /proc."""
    found = []
    for place in Path("/proc").glob("[0-9]*"):
        try:
            command, output = (place / "cmdline").read_bytes(), (place / "fd/1").readlink()
            if str(folder).encode() in command or output.is_relative_to(folder):
                found.append(place)
        except OSError:
            continue  # ended meanwhile
    return found


def test_a_stage_whose_videos_were_lost_is_not_complete(tmp_path: Path) -> None:
    stage = rendering(tmp_path / "first", 1)
    (tmp_path / "stages").mkdir()
    stage.config_file(tmp_path).write_text(dump(stage.config))
    derive_file(stage.out, "syn/a.mp4", "a", lambda place: [place.write_bytes(b"frames")][:0])
    assert not stage.complete(tmp_path)
    stage.done.write_text("{}")
    assert stage.complete(tmp_path)
    (stage.out / "syn" / "a.mp4").write_bytes(b"")
    assert not stage.complete(tmp_path)


def test_a_personalization_whose_result_was_lost_is_not_complete(tmp_path: Path) -> None:
    run = tmp_path / "learned"
    config, done = MiniConfig(out=run), run / "DONE"
    stage = Stage("learned", "", "personalize", config, run, done, (), title="")
    (tmp_path / "stages").mkdir()
    stage.config_file(tmp_path).write_text(dump(stage.config))
    with derive_folder(run, "result", "result") as folder:
        (folder / "weights.safetensors").write_bytes(b"weights")
    stage.done.write_text("")
    assert stage.complete(tmp_path)
    (run / "result" / "weights.safetensors").unlink()
    assert not stage.complete(tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("at_once", [1, 2])
def test_what_needs_another_stage_waits_for_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], at_once: int
) -> None:
    first = rendering(tmp_path / "first", 1)
    second = rendering(tmp_path / "second", 1, first.done)
    third = rendering(tmp_path / "third", 1)
    stages, records = [first, second, third], StageRecords(tmp_path)
    run_all(stages, tmp_path, records, LocalExecutor(at_once=at_once))
    assert all(stage.complete(tmp_path) for stage in stages)
    printed = capsys.readouterr().err
    began = [
        re.findall(r"\[\d/3\] render \w+", line.partition(": ")[0]) for line in printed.splitlines()
    ]
    if at_once == 1:
        assert ["[1/3] render first"] in began and ["[2/3] render second"] in began
        assert all(len(names) == 1 for names in began)
    else:
        assert began[0] == ["[1/3] render first", "[3/3] render third"]
        assert records.seconds < sum(one.seconds for one in records.by_name.values())
    assert printed.index("[1/3] render first: done") < printed.index("[2/3] render second: done")
    run_all(stages, tmp_path, records, LocalExecutor(at_once=at_once))
    assert {one.sessions for one in records.by_name.values()} == {1}, "nothing is done twice"


@pytest.mark.parametrize(
    "executor", [LocalExecutor(at_once=2), pytest.param(RayExecutor(), marks=pytest.mark.slow)]
)
def test_a_stage_that_fails_ends_the_others(tmp_path: Path, executor: ExecutorConfig) -> None:
    if isinstance(executor, RayExecutor):
        pytest.importorskip("ray")
    long = rendering(tmp_path / "long", 400)
    wrong = refused(tmp_path / "wrong")
    records, threads = StageRecords(tmp_path), threading.active_count()
    with pytest.raises(ViddaError, match=r"\[2/2\] snow wrong failed: .*rain"):
        run_all([long, wrong], tmp_path, records, executor)
    assert not long.complete(tmp_path) and set(records.by_name) == {"wrong"}
    assert not processes(tmp_path) and threading.active_count() == threads


@pytest.mark.slow
def test_a_stage_that_fails_stops_only_those_that_need_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    wrong = refused(tmp_path / "wrong")
    second = rendering(tmp_path / "second", 1, wrong.done)
    third = rendering(tmp_path / "third", 1, second.done)
    other = rendering(tmp_path / "other", 1)
    records = StageRecords(tmp_path)
    with open_executor(LocalExecutor(), tmp_path) as executor:
        scheduler = Scheduler(executor, records)
        ends = {s.name: end for s, end in scheduler.run([wrong, second, third, other])}
        again = {s.name: end for s, end in scheduler.run([second, other])}
    assert "rain" in ends["wrong"].reason and ends["wrong"].measured
    assert ends["second"].reason == f"{wrong.done} does not exist: snow wrong failed"
    assert ends["third"].reason == f"{second.done} does not exist: render second failed"
    assert ends["other"].reason == "" and other.complete(tmp_path)
    assert set(records.by_name) == {"wrong", "other"}, "what was not started has no record"
    assert again["other"].measured is None and again["other"].reason == "", "nothing is done twice"
    assert f"{wrong.done} does not exist; restore it" in again["second"].reason
    assert "[4/4] render other" in capsys.readouterr().err


def test_stages_are_taken_in_order_once_their_inputs_are_made(tmp_path: Path) -> None:
    first = rendering(tmp_path / "first", 1)
    second = rendering(tmp_path / "second", 1, first.out / "splits" / "train.csv")
    third = rendering(tmp_path / "third", 1, tmp_path / "elsewhere" / "train.csv")
    last = rendering(tmp_path / "last", 1, second.done, third.done)
    graph = StageGraph([second, first, third, last])
    assert [graph.take(), graph.take(), graph.take()] == [first, third, None]
    graph.end(third, failed=False)
    assert graph.take() is None
    graph.end(first, failed=True)
    assert graph.take() == second and graph.failed_need(second) == first
    graph.end(second, failed=True)
    assert graph.take() == last and graph.failed_need(last) == second and not graph.waiting


def test_stages_side_by_side_share_the_cores_and_the_gpus() -> None:
    assert child_variables(1, 8, ["0", "1"]) == [{}], "all of them"
    assert child_variables(3, 8, ["0"]) == [{"OMP_NUM_THREADS": "2"}] * 3
    assert child_variables(3, 2, ["4", "6"]) == [
        {"OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": device} for device in ("4", "6", "4")
    ]


@pytest.mark.slow
def test_each_child_sees_one_of_the_gpus_that_its_parent_sees(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "700")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3, 5")
    stages = [rendering(tmp_path / name, 1) for name in ("first", "second")]
    found: dict[bytes, set[bytes]] = {}
    with open_executor(LocalExecutor(at_once=2), tmp_path) as executor:
        futures = [executor.start(stage) for stage in stages]
        while not all(future.done() for future in futures):
            for place in processes(tmp_path):
                with suppress(OSError):  # ended meanwhile
                    for variable in (place / "environ").read_bytes().split(b"\0"):
                        name, _, value = variable.partition(b"=")
                        found.setdefault(name, set()).add(value)
    assert found[b"CUDA_VISIBLE_DEVICES"] == {b"3", b"5"}
    assert b"700" not in found[b"OMP_NUM_THREADS"] and len(found[b"OMP_NUM_THREADS"]) == 1
    assert os.environ["CUDA_VISIBLE_DEVICES"] == "3, 5"
    assert all(future.result().reason == "" for future in futures)
