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
from vidda.experiment.process import run_vidda
from vidda.experiment.side_by_side import run_stages
from vidda.experiment.stage import Stage
from vidda.experiment.stage_records import StageRecords
from vidda.mini.job import MiniConfig


def rendering(out: Path, clips: int, *inputs: Path, seed: int = 0) -> Stage:
    """A stage of vidda mini that needs these files first."""
    config = MiniConfig(
        out=out, seed=seed, size=32, frames=4, syn_train=clips, syn_val=1, real_train=6,
        real_test=1, jobs=1,
    )  # fmt: skip
    return Stage(out.name, "mini", "mini", config, out, out / "class_dict.json", inputs)


def processes(folder: Path) -> list[Path]:
    """Those with a folder in their command, as places in /proc."""
    found = []
    for place in Path("/proc").glob("[0-9]*"):
        try:
            if str(folder).encode() in (place / "cmdline").read_bytes():
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
    stage = Stage("learned", "", "personalize", MiniConfig(out=run), run, run / "DONE", ())
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
    run_stages(stages, tmp_path, records, at_once)
    assert all(stage.complete(tmp_path) for stage in stages)
    printed = capsys.readouterr().err
    began = [re.findall(r"\[\d/3\] \w+", line.partition(": ")[0]) for line in printed.splitlines()]
    if at_once == 1:
        assert ["[1/3] first"] in began and ["[2/3] second"] in began
        assert all(len(names) == 1 for names in began)
    else:
        assert began[0] == ["[1/3] first", "[3/3] third"]
        assert records.seconds < sum(one.seconds for one in records.by_name.values())
    assert printed.index("[1/3] first: done in") < printed.index("[2/3] second: done in")
    run_stages(stages, tmp_path, records, at_once)
    assert {one.sessions for one in records.by_name.values()} == {1}, "nothing is done twice"


def test_a_stage_that_fails_ends_the_others(tmp_path: Path) -> None:
    long = rendering(tmp_path / "long", 400)
    config = MiniConfig(out=tmp_path / "wrong", real_factors=("rain",))
    wrong = Stage("wrong", "mini", "mini", config, tmp_path / "wrong", tmp_path / "x", ())
    records, threads = StageRecords(tmp_path), threading.active_count()
    with pytest.raises(ViddaError, match=r"\[2/2\] wrong failed: .*rain"):
        run_stages([long, wrong], tmp_path, records, 2)
    assert not long.complete(tmp_path) and set(records.by_name) == {"wrong"}
    assert not processes(tmp_path) and threading.active_count() == threads


def test_a_share_of_the_cores(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    environments: list[bytes] = []

    def look() -> None:
        for place in processes(tmp_path):
            with suppress(OSError):  # ended meanwhile
                environments.append((place / "environ").read_bytes())

    arguments = ["mini", f"out={tmp_path / 'out'}", "size=32", "frames=4", "jobs=1", "--dry-run"]
    run_vidda(arguments, tmp_path / "log.txt", look, threads=1)
    known = [one for one in environments if one]  # nothing, of one that has just ended
    assert known and all(b"OMP_NUM_THREADS=1\0" in one for one in known)
    assert os.environ["OMP_NUM_THREADS"] == "7"
