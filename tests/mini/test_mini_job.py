"""MiniRoCoG as a dataset on disk: RoCoG-v2's tree, the same from the same seed, resumable."""

import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
import xml.etree.ElementTree as ET
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from vidda import video
from vidda.cli import main
from vidda.mini import job, layout
from vidda.mini.clip import FACTORS
from vidda.mini.gestures import GESTURES
from vidda.mini.job import MiniConfig
from vidda.sidecar import default_sidecar

SIZES = MiniConfig(out=Path("unused")).sizes
SMALL = ["size=32", "frames=3", "syn_train=2", "syn_val=1", "real_train=10", "real_test=4"]


def digests(root: Path) -> dict[str, str]:
    files = sorted(path for path in root.rglob("*") if path.is_file())
    return {
        str(path.relative_to(root)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files
    }


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("mini") / "small"
    assert main(["mini", str(out), *SMALL, "seed=3"]) == 0
    return out


def test_default_layout_keeps_the_protocol() -> None:
    plans = layout.plans(0, SIZES, FACTORS)
    assert len({plan.path for plan in plans}) == len(plans) == 2170
    lists: dict[str, list[layout.ClipPlan]] = {}
    for plan in plans:
        for name in plan.lists:
            lists.setdefault(name, []).append(plan)
    assert {name: len(found) for name, found in lists.items()} == {
        f"{name.format(view)}": count
        for view in ("ground", "air")
        for name, count in {
            "syn_{}_train": 315,
            "syn_{}_val": 70,
            "real_{}_train": 420,
            "real_{}_train_tsonly": 336,
            "real_{}_val_tsonly": 84,
            "real_{}_test": 280,
        }.items()
    }
    for name, found in lists.items():
        assert len(set(Counter(plan.label for plan in found).values())) == 1, name
    for view in ("ground", "air"):
        subjects = {
            name: {Path(plan.path).name[:3] for plan in lists[f"real_{view}_{name}"]}
            for name in ("train", "train_tsonly", "val_tsonly", "test")
        }
        assert not subjects["train"] & subjects["test"]
        assert not subjects["train_tsonly"] & subjects["val_tsonly"]
    at_30 = [plan for plan in plans if plan.scene.altitude_m == 30.0]
    assert {plan.lists for plan in at_30} == {("real_air_test",)}
    assert {Path(plan.path).name[:3] for plan in at_30} == {"S00"}
    assert 0.25 < len(at_30) / len(lists["real_air_test"]) < 0.35


def test_synthetic_clips_vary_what_a_shortcut_could_use() -> None:
    """No class is tied to one scene, body or manner."""
    plans = [p for p in layout.plans(0, SIZES, FACTORS) if "syn_ground_train" in p.lists]
    for label in range(len(GESTURES)):
        own = [p.scene for p in plans if p.label == label]
        assert len({scene.viewpoint for scene in own}) >= 10
        assert {scene.terrain for scene in own} == {"Grassy Terrain", "Desert Terrain"}
        assert len({scene.person for scene in own}) == 2 * len(layout.BODIES)
        assert {scene.mocap for scene in own} == {True, False}


def test_tree_lists_and_sidecars(small: Path) -> None:
    classes = {int(k): v for k, v in json.loads((small / "class_dict.json").read_text()).items()}
    assert classes == dict(enumerate(GESTURES))
    listed = set()
    for name in sorted((small / "annotations").glob("*.txt")):
        for line in name.read_text().splitlines():
            path, label = line.rsplit(" ", 1)
            listed.add(path)
            assert Path(path).parent.name == classes[int(label)]
            if path.startswith("real"):
                assert f"label{int(label) + 1}_" in path
    assert listed == {str(p.relative_to(small)) for p in small.rglob("*.mp4")}
    path = sorted(listed)[0]
    info, truth = (
        video.probe(small / path),
        np.load(small / default_sidecar(path), allow_pickle=False),
    )
    assert (info.frames, info.width, info.height) == (3, 32, 32)
    assert truth["keypoints"].shape == (3, 17, 3) and truth["box"].shape == (3, 4)
    assert truth["keypoints_3d"].shape == (3, 17, 3) and truth["keypoints_3d"].dtype == np.float32
    assert truth["mask"].shape == truth["depth"].shape == (3, 32, 32)


def test_simulation_info_describes_the_videos(small: Path) -> None:
    for view in ("ground", "air"):
        info = small / "simulation_info"
        playlist = ET.parse(info / f"rocog_{view}_gestures.xml").findall(".//GestureVideo")
        scenes = ET.parse(info / f"rocog_{view}.xml").findall(".//SyntheticScene")
        assert len(scenes) == layout.SYN_SCENES
        names = [p.name for p in small.glob(f"syn/{view}/*/*.mp4")]
        assert len(names) == len(playlist) == 21
        for name in names:
            scene, index, gesture = name.removeprefix("Scene").split("_")[:3]
            entry = playlist[int(index)]
            assert entry.findtext("gesture") == gesture and int(scene) < len(scenes)
            start, end = (float(entry.findtext(tag, "")) for tag in ("startTime", "endTime"))
            assert 0.0 <= start < end <= 3 / 8


@pytest.mark.slow
def test_same_seed_same_files_whatever_the_number_of_processes(small: Path, tmp_path: Path) -> None:
    assert main(["mini", str(tmp_path / "again"), *SMALL, "seed=3", "jobs=1"]) == 0
    assert digests(tmp_path / "again") == digests(small)


@pytest.mark.slow
def test_killed_and_resumed_is_as_if_never_killed(small: Path, tmp_path: Path) -> None:
    out = tmp_path / "killed"
    command = [sys.executable, "-m", "vidda.cli", "mini", str(out), *SMALL, "seed=3"]
    job = subprocess.Popen(command, start_new_session=True, stderr=subprocess.DEVNULL)
    while not list(out.rglob("*.mp4")):
        assert job.poll() is None
        time.sleep(0.01)
    os.killpg(job.pid, signal.SIGKILL)
    job.wait()
    assert not (out / "annotations").exists()
    assert main(["mini", str(out), *SMALL, "seed=3"]) == 2
    assert main(["mini", str(out), *SMALL, "seed=3", "--resume"]) == 0
    assert digests(out) == digests(small)


def test_clips_that_are_lost_or_damaged_are_rendered_again(
    small: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "copy"
    shutil.copytree(small, out)
    clips = sorted(path.relative_to(out).as_posix() for path in out.rglob("*.mp4"))
    (out / clips[0]).write_bytes(b"")
    (out / clips[1]).unlink()
    flipped = bytearray((out / clips[2]).read_bytes())
    flipped[-1] ^= 1
    (out / clips[2]).write_bytes(flipped)
    (out / default_sidecar(clips[3])).write_bytes(b"")
    (out / "records" / f"{clips[4]}.json").write_bytes(b"{}")
    (out / "class_dict.json").unlink()
    assert main(["mini", str(out), *SMALL, "seed=3", "jobs=1", "--resume"]) == 0
    assert f"{len(clips) - 5} already there" in capsys.readouterr().out
    assert digests(out) == digests(small)


def test_a_folder_deleted_in_the_middle_is_not_finished(
    small: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    out = tmp_path / "copy"
    shutil.copytree(small, out)
    clips = sorted(out.rglob("*.mp4"))
    clips[0].unlink()

    def deleting(items: Iterable[Any], *, label: str, **shown: Any) -> Iterator[Any]:
        for item in items:
            yield item
            if label == "rendering":
                shutil.rmtree(out)

    monkeypatch.setattr(job, "track", deleting)
    assert main(["mini", str(out), *SMALL, "seed=3", "jobs=1", "--resume"]) == 1
    said = capsys.readouterr().out
    assert f"{len(clips)} clips were lost" in said and "done:" not in said
    assert not (out / "class_dict.json").exists()


def test_bad_input_is_one_line_and_nothing_is_written(
    small: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = digests(small)
    assert main(["mini", str(small), *SMALL, "seed=4", "--resume"]) == 2
    assert "seed is 3 there, 4 now" in capsys.readouterr().err
    assert main(["mini", str(tmp_path / "x"), "real_factors=[fog]"]) == 2
    assert "unknown fog; known are background, camera" in capsys.readouterr().err
    (tmp_path / "mine").write_text("thesis")
    assert main(["mini", str(tmp_path)]) == 2
    assert "not empty" in capsys.readouterr().err
    assert main(["mini", str(tmp_path / "y"), "--dry-run"]) == 0
    assert "2170 clips" in capsys.readouterr().out
    assert not (tmp_path / "x").exists() and not (tmp_path / "y").exists()
    assert digests(small) == before


def test_a_file_is_no_folder_for_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").touch()
    assert main(["mini", str(tmp_path / "file"), "--dry-run"]) == 2
    assert "file: is a file; choose a folder" in capsys.readouterr().err
