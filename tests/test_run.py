"""The run folder: refusals, kills at any instant, resumes that equal a run without a kill."""

import json
import random
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import ClassVar

import pytest

from vidda import config as configs
from vidda.config import Config
from vidda.errors import ViddaError
from vidda.run import RunFolder


class Sub(Config):
    lr: float = 0.1
    steps: int = 3
    workers: int = 0


class Job(Config):
    may_change: ClassVar[frozenset[str]] = frozenset({"sub.workers"})

    name: str = "a"
    sub: Sub = Sub()


PRINTS = {"source": "abc"}

# A training loop in small: ten metrics and a checkpoint of two files in each round, without end.
# A step takes a millisecond, as if it computed something: however late the killer wakes up on a
# busy machine, there are steps left to kill.
LOOP = f"""
import sys
import time
from pathlib import Path
sys.path.insert(0, {str(Path(__file__).parent)!r})
from test_run import PRINTS, Job, RunFolder
with RunFolder.open(Path(sys.argv[1]), Job(), PRINTS, resume=True) as run:
    last = run.checkpoints.last_step or 0
    if last == 30:
        run.checkpoints.link("best", 30)
    for step in range(last + 1, int(sys.argv[2]) + 1):
        time.sleep(0.001)
        run.record(step, {{"loss": 1 / step}})
        if step % 10 == 0:
            with run.checkpoint(step, keep=2) as folder:
                (folder / "a").write_text(str(step) * 20000)
                (folder / "b").write_text(str(step) * 20000)
            if step == 30:
                run.checkpoints.link("best", 30)
            print(step, flush=True)
    run.finish()
"""


def start_loop(path: Path, steps: int) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", LOOP, str(path), str(steps)],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )


def open_run(
    path: Path, job: Job | None = None, *, resume: bool = False, **prints: str
) -> RunFolder:
    return RunFolder.open(path, job or Job(), prints or PRINTS, resume=resume)


def steps_in(path: Path) -> list[int]:
    lines = (path / "metrics.jsonl").read_text().splitlines()
    return [json.loads(line)["step"] for line in lines]


def save(run: RunFolder, step: int, keep: int = 2) -> None:
    with run.checkpoint(step, keep=keep) as folder:
        (folder / "weights").write_text(str(step))


def names(path: Path) -> set[str]:
    return {p.name for p in (path / "checkpoints").iterdir()}


def test_a_finished_run_holds_everything(tmp_path: Path) -> None:
    path = tmp_path / "run"
    with open_run(path) as run:
        run.record(1, {"loss": 0.5})
        run.record(2, {"loss": float("nan")})
        save(run, 2)
        assert not (path / "DONE").exists()
        run.finish()
    assert run.finished and (path / "DONE").exists()
    assert (path / "metrics.jsonl").read_text() == (
        '{"step": 1, "loss": 0.5}\n{"step": 2, "loss": null}\n'
    )
    assert "lr: 0.1" in (path / "config.yaml").read_text()
    facts = json.loads((path / "provenance.json").read_text())
    assert facts["fingerprints"] == PRINTS
    session = facts["sessions"][0]
    assert session["python"] == ".".join(map(str, sys.version_info[:3]))
    assert session["packages"]["numpy"] and session["command"] == sys.argv
    assert "finished" in (path / "log.txt").read_text()
    assert run.last_checkpoint() == path / "checkpoints" / "000002"


def test_a_run_is_never_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "run"
    open_run(path).close()
    with pytest.raises(ViddaError, match=r"holds an unfinished run.*--resume"):
        open_run(path)
    with open_run(path, resume=True) as run:
        run.finish()
    with pytest.raises(ViddaError, match=r"holds a finished run; choose another folder$"):
        open_run(path)
    before = {p: p.stat().st_mtime_ns for p in path.iterdir() if p.name != ".lock"}
    assert open_run(path, resume=True).finished
    assert before == {p: p.stat().st_mtime_ns for p in path.iterdir() if p.name != ".lock"}


@pytest.mark.parametrize("resume", [True, False])
def test_a_folder_of_something_else_is_left_alone(tmp_path: Path, resume: bool) -> None:
    (tmp_path / "thesis.tex").write_text("words")
    with pytest.raises(ViddaError, match="not empty and holds no run"):
        open_run(tmp_path, resume=resume)
    assert [p.name for p in tmp_path.iterdir()] == ["thesis.tex"]
    with pytest.raises(ViddaError, match=r"thesis\.tex is a file"):
        open_run(tmp_path / "thesis.tex", resume=resume)


def test_every_changed_key_and_manifest_is_named(tmp_path: Path) -> None:
    open_run(tmp_path).close()
    changed = Job(name="b", sub=Sub(lr=0.2))
    with pytest.raises(ViddaError) as refused:
        open_run(tmp_path, changed, resume=True, source="xyz", target="new")
    text = str(refused.value)
    assert "name was 'a', now is 'b'" in text
    assert "sub.lr was 0.1, now is 0.2" in text
    assert "manifest source was 'abc', now is 'xyz'" in text
    assert "manifest target was 'absent', now is 'new'" in text
    assert "steps" not in text
    open_run(tmp_path, resume=True).close()


def test_keys_that_do_not_matter_may_change(tmp_path: Path) -> None:
    open_run(tmp_path).close()
    open_run(tmp_path, Job(sub=Sub(workers=4)), resume=True).close()
    assert "workers: 0" in (tmp_path / "config.yaml").read_text()


def test_resume_in_a_new_folder_starts_a_run(tmp_path: Path) -> None:
    with open_run(tmp_path / "new", resume=True) as run:
        assert run.last_checkpoint() is None
        run.finish()


def test_metrics_are_cut_back_to_the_checkpoint(tmp_path: Path) -> None:
    with open_run(tmp_path) as run:
        for step in (0, 1, 2):
            run.record(step, {"loss": 1.0})
        save(run, 2)
        run.record(3, {"loss": 1.0})
    with (tmp_path / "metrics.jsonl").open("a") as file:
        file.write('{"step": 4, "lo')
    with open_run(tmp_path, resume=True) as run:
        assert steps_in(tmp_path) == [0, 1, 2]
        run.record(3, {"loss": 1.0})
    assert steps_in(tmp_path) == [0, 1, 2, 3]
    (tmp_path / "metrics.jsonl").write_text('{"step": 1}\nnonsense\n{"step": 2}\n')
    with pytest.raises(ViddaError, match=r"metrics\.jsonl:2: not a line of metrics"):
        open_run(tmp_path, resume=True)


def test_without_a_checkpoint_the_metrics_start_anew(tmp_path: Path) -> None:
    with open_run(tmp_path) as run:
        run.record(0, {"loss": 1.0})
    with open_run(tmp_path, resume=True) as run:
        run.record(0, {"loss": 1.0})
    assert steps_in(tmp_path) == [0]


def test_metrics_out_of_order_are_refused(tmp_path: Path) -> None:
    with open_run(tmp_path) as run:
        run.record(5, {"loss": 1.0})
        with pytest.raises(ValueError, match="too late"):
            run.record(4, {"loss": 1.0})
        save(run, 5)
        with pytest.raises(ValueError, match="too late"):
            run.record(5, {"loss": 1.0})
        with pytest.raises(ValueError, match="not after checkpoint 5"):
            save(run, 5)


def test_old_checkpoints_go_unless_they_are_named(tmp_path: Path) -> None:
    with open_run(tmp_path) as run:
        for step in (10, 20, 30, 40):
            save(run, step)
            if step == 10:
                run.checkpoints.link("best", 10)
    assert names(tmp_path) == {"000010", "000030", "000040", "best", "last"}
    assert (tmp_path / "checkpoints/last").readlink() == Path("000040")
    assert (tmp_path / "checkpoints/best/weights").read_text() == "10"


def test_a_kill_between_a_checkpoint_and_its_link_is_put_right(tmp_path: Path) -> None:
    with open_run(tmp_path) as run:
        save(run, 10)
        save(run, 20)
        run.checkpoints.link("last", 10)
    with open_run(tmp_path, resume=True) as run:
        assert run.last_checkpoint() == tmp_path / "checkpoints/000020"
    assert (tmp_path / "checkpoints/last").readlink() == Path("000020")


def test_a_checkpoint_that_fails_leaves_nothing(tmp_path: Path) -> None:
    with open_run(tmp_path) as run:
        save(run, 1)
        with pytest.raises(RuntimeError), run.checkpoint(2) as folder:
            (folder / "half").write_text("x")
            raise RuntimeError("no memory")
        assert names(tmp_path) == {"000001", "last"}
        assert run.last_checkpoint() == tmp_path / "checkpoints/000001"


def damage(file: Path, how: str) -> None:
    """Leave of a file what a bad disk or a broken copy leaves."""
    content = file.read_bytes()
    if how == "missing":
        file.unlink()
    else:
        kinds = {
            "cut": content[: len(content) // 2],
            "emptied": b"",
            "garbage": b"\xff" * len(content),
        }
        file.write_bytes(kinds[how])


@pytest.mark.parametrize("how", ["missing", "cut", "emptied", "garbage"])
@pytest.mark.parametrize("name", ["weights", "contents.json"])
def test_a_damaged_checkpoint_is_named_and_the_one_before_is_taken(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str, how: str
) -> None:
    with open_run(tmp_path) as run:
        for step in (10, 20):
            run.record(step, {"loss": 1.0})
            save(run, step)
    damage(tmp_path / "checkpoints" / "000020" / name, how)
    with open_run(tmp_path, resume=True) as run:
        assert run.last_checkpoint() == tmp_path / "checkpoints" / "000010"
        assert steps_in(tmp_path) == [10]
        run.record(20, {"loss": 1.0})
        save(run, 20)
    told = [line for line in capsys.readouterr().err.splitlines() if "0000" in line]
    assert re.fullmatch(rf".*000020: {name} is (missing|damaged.*)", told[0])
    assert told[1] == "resuming from checkpoint 000010"
    assert all(line in (tmp_path / "log.txt").read_text() for line in told)
    assert names(tmp_path) == {"000010", "000020", "last"}
    open_run(tmp_path, resume=True).close()
    assert "000020" not in capsys.readouterr().err, "it is sound again"


def test_without_a_sound_checkpoint_the_run_starts_again(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with open_run(tmp_path) as run:
        run.record(10, {"loss": 1.0})
        save(run, 10)
        run.checkpoints.link("best", 10)
    damage(tmp_path / "checkpoints" / "000010" / "weights", "cut")
    (tmp_path / "checkpoints" / "000020").mkdir()
    with open_run(tmp_path, resume=True) as run:
        assert run.last_checkpoint() is None and steps_in(tmp_path) == []
    assert "no checkpoint is intact: the run starts again" in capsys.readouterr().err
    assert names(tmp_path) == set()


def test_a_checkpoint_is_no_better_than_the_one_that_it_needs(tmp_path: Path) -> None:
    with open_run(tmp_path) as run:
        for step, needs in ((10, 10), (20, 20), (30, 20)):
            with run.checkpoint(step, keep=9, needs=needs) as folder:
                (folder / "weights").write_text(str(step))
        run.checkpoints.link("best", 20)
    damage(tmp_path / "checkpoints" / "000020" / "weights", "garbage")
    with open_run(tmp_path, resume=True) as run:
        assert run.last_checkpoint() == tmp_path / "checkpoints" / "000010"
    assert names(tmp_path) == {"000010", "last"}


def test_what_others_put_beside_checkpoints_is_left_alone(tmp_path: Path) -> None:
    with open_run(tmp_path) as run:
        save(run, 10)
    folder = tmp_path / "checkpoints"
    others = ("000010 (copy)", "10", "000099.tar")
    for name in others:
        (folder / name).mkdir()
    (folder / "last").unlink()
    shutil.copytree(folder / "000010", folder / "last")  # as a copy that follows links has it
    with open_run(tmp_path, resume=True) as run:
        assert run.last_checkpoint() == folder / "000010"
    assert names(tmp_path) == {"000010", "last", *others}
    assert (folder / "last").readlink() == Path("000010")


def test_damage_of_a_finished_run_is_told_and_nothing_is_touched(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with open_run(tmp_path) as run:
        save(run, 10)
        run.finish()
    damage(tmp_path / "checkpoints" / "000010" / "weights", "emptied")
    assert open_run(tmp_path, resume=True).finished
    assert "000010: weights is damaged (0 of 2 bytes); delete " in capsys.readouterr().err
    (tmp_path / "DONE").unlink()
    with open_run(tmp_path, resume=True) as run:
        assert run.last_checkpoint() is None


@pytest.mark.parametrize("text", ["", "{", "[]", '{"id": 1}', "\x00\x01"])
def test_a_damaged_record_is_named(tmp_path: Path, text: str) -> None:
    open_run(tmp_path).close()
    (tmp_path / "provenance.json").write_text(text)
    with pytest.raises(ViddaError, match=r"provenance\.json: damaged.*delete it") as told:
        open_run(tmp_path, resume=True)
    assert len(str(told.value).splitlines()) == 1
    (tmp_path / "provenance.json").unlink()
    open_run(tmp_path, resume=True).close()
    (tmp_path / "config.yaml").write_text("")
    with pytest.raises(ViddaError, match=r"^.*config\.yaml: empty; put it back"):
        open_run(tmp_path, resume=True)


def test_a_log_without_room_does_not_stop_the_run(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "log.txt").symlink_to("/dev/full")
    (tmp_path / "config.yaml").write_text(configs.dump(Job()))
    with open_run(tmp_path, resume=True) as run:
        run.finish()
    assert "Traceback" not in capsys.readouterr().err


def test_only_one_process_uses_a_folder(tmp_path: Path) -> None:
    process = start_loop(tmp_path, 10**9)
    assert process.stdout and process.stdout.readline() == "10\n"
    try:
        with pytest.raises(ViddaError, match=f"in use by another process \\({process.pid}\\)"):
            open_run(tmp_path, resume=True)
    finally:
        process.kill()
        process.wait()
    open_run(tmp_path, resume=True).close()


@pytest.mark.slow
def test_killed_at_any_instant_the_run_goes_on_as_if_nothing_had_been(tmp_path: Path) -> None:
    straight, killed = tmp_path / "straight", tmp_path / "killed"
    steps = 300
    assert start_loop(straight, steps).wait() == 0
    rng = random.Random(0)
    kills = 0
    for _ in range(100):
        if (killed / "DONE").exists():
            break
        process = start_loop(killed, steps)
        assert process.stdout
        if process.stdout.readline():  # killed only once it has got somewhere, so that it ends
            time.sleep(rng.uniform(0, 0.01))
            process.send_signal(signal.SIGKILL)
        kills += process.wait() == -signal.SIGKILL
        for folder in killed.glob("checkpoints/0*"):
            step = str(int(folder.name))
            assert (folder / "a").read_text() == (folder / "b").read_text() == step * 20000
    assert kills >= 3
    assert (killed / "metrics.jsonl").read_bytes() == (straight / "metrics.jsonl").read_bytes()
    assert names(killed) == names(straight) == {"000030", "000290", "000300", "best", "last"}
    assert (killed / "checkpoints/last").readlink() == Path("000300")


def test_a_run_that_dies_before_its_first_record_can_resume(tmp_path: Path) -> None:
    (tmp_path / ".lock").write_text("1\n")
    (tmp_path / ".config.0a1b.part.yaml").write_text("half")
    open_run(tmp_path).close()
    (tmp_path / "provenance.json").unlink()
    open_run(tmp_path, resume=True).close()
    assert json.loads((tmp_path / "provenance.json").read_text())["fingerprints"] == PRINTS


def test_a_run_folder_that_is_deleted_meanwhile_is_never_finished(tmp_path: Path) -> None:
    path = tmp_path / "run"
    for replaced in (False, True):
        with open_run(path) as run:
            run.record(1, {"loss": 1.0})
            shutil.rmtree(path)
            if replaced:
                open_run(path).close()
            with pytest.raises(ViddaError, match="was deleted or replaced while this run used it"):
                run.finish()
        assert not (path / "DONE").exists()
    shutil.rmtree(path)
    with pytest.raises(ViddaError, match="was deleted"), open_run(path):
        shutil.rmtree(path)
        (path / "result").write_text("x")


def test_a_finished_run_whose_results_are_lost_goes_on(tmp_path: Path) -> None:
    path = tmp_path / "run"
    with open_run(path) as run:
        run.finish()
    assert open_run(path, resume=True).finished
    with RunFolder.open(path, Job(), PRINTS, resume=True, whole=False) as run:
        assert not run.finished and not (path / "DONE").exists()
        run.finish()
    assert (path / "DONE").exists()


def test_what_kills_leave_is_gone_after_a_resume(tmp_path: Path) -> None:
    path = tmp_path / "run"
    with open_run(path) as run:
        for step in (10, 20, 30):
            with run.checkpoint(step, keep=9) as folder:  # as if killed before pruning
                (folder / "a").write_text(str(step))
            if step == 10:
                run.checkpoints.link("best", 10)
    (path / "predictions").mkdir()
    (path / "predictions" / ".val.0123456789ab.part.npz").write_bytes(b"half")
    with open_run(path, resume=True) as run:
        run.checkpoints.prune(1)
        run.finish()
    assert sorted(p.name for p in (path / "checkpoints").iterdir()) == [
        "000010",
        "000030",
        "best",
        "last",
    ]
    assert not list((path / "predictions").iterdir())


@pytest.mark.parametrize("place", ["file/run", "dangling", "dangling/run", "loop"])
def test_a_folder_that_cannot_be_made_is_told(tmp_path: Path, place: str) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "dangling").symlink_to("nowhere")
    (tmp_path / "loop").symlink_to("loop")
    with pytest.raises(ViddaError, match=r"cannot be made: .*; choose another folder"):
        open_run(tmp_path / place)
