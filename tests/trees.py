"""Small datasets on disk, for the tests of vidda.data."""

import csv
import json
from collections.abc import Iterable
from pathlib import Path

import pytest

from vidda.data.prepare import PrepareConfig, run
from vidda.errors import ViddaError

CLASSES = ("Advance", "Attention", "Rally")

GESTURES_XML = """<?xml version="1.0" encoding="utf-16"?>
<GestureVideoPlaylist><gestureVideos>
  <GestureVideo><startTime>1.25</startTime><endTime>3.5</endTime><gesture>Advance</gesture>
    <gestureSpeed>1</gestureSpeed><visualRealism>Animated</visualRealism><race>Caucasian</race>
    <thickness>Thin</thickness><mocapAnimationTrigger /></GestureVideo>
  <GestureVideo><startTime>2</startTime><endTime>4</endTime><gesture>Rally</gesture>
    <gestureSpeed>1.25</gestureSpeed><visualRealism>Mocap</visualRealism><race>EastIndian</race>
    <thickness>Thick</thickness><mocapAnimationTrigger>S01_Rally_R01_02</mocapAnimationTrigger>
  </GestureVideo>
</gestureVideos></GestureVideoPlaylist>
"""

SCENES_XML = """<?xml version="1.0" encoding="utf-16"?>
<SyntheticDataset><scenes>
  <SyntheticScene><terrain>Grassy Terrain</terrain><target>MaleCivilian</target><cameraParameters>
    <yRotation>30</yRotation><distanceToTarget>5</distanceToTarget><height>1.75</height>
  </cameraParameters></SyntheticScene>
  <SyntheticScene><terrain>Desert Terrain</terrain><target>FemaleCivilian</target><cameraParameters>
    <yRotation>90</yRotation><distanceToTarget>4.5</distanceToTarget><height>4.25</height>
  </cameraParameters></SyntheticScene>
</scenes></SyntheticDataset>
"""

SYN_A = "Scene0_0_Advance_30_1_2022_17_5_16.mp4"

SYN_R = "Scene1_1_S01_Rally_R01_02_30_1_2022_17_9_1.mp4"


def rocog_lists() -> dict[str, list[str]]:
    """The twelve official lists at their smallest, in RoCoG-v2's own names."""
    syn = [f"syn/VIEW/Advance/{SYN_A} 0", f"syn/VIEW/Rally/{SYN_R} 2"]
    train = [f"real/ground/{c}/S01_10m_ground_2_label{k + 1}_start{k}7.mp4 {k}"
             for k, c in enumerate(CLASSES)]  # fmt: skip
    air = [f"real/air/{c}/S05_15m_hover_label{k + 1}_start{k}.mp4 {k}"
           for k, c in enumerate(CLASSES)]  # fmt: skip
    lists = {
        "real_ground_train": train,
        "real_ground_train_tsonly": train[:2],
        "real_ground_val_tsonly": train[2:],
        "real_ground_test": ["real/ground/Rally/S04b_10m_ground_label3_start4170.mp4 2"],
        "real_air_train": air,
        "real_air_train_tsonly": air[:2],
        "real_air_val_tsonly": air[2:],
        "real_air_test": ["real/air/Rally/S00_30m_hover_label3_start4170.mp4 2"],
    }
    for view in ("ground", "air"):
        lists[f"syn_{view}_train"] = [line.replace("VIEW", view) for line in syn]
        val = "Scene1_0_Advance_30_1_2022_18_0_0.mp4"
        lists[f"syn_{view}_val"] = [f"syn/{view}/Advance/{val} 0"]
    return lists


def rocog_tree(root: Path, *, lists: dict[str, list[str]] | None = None) -> Path:
    """A RoCoG-v2 tree of files that are not empty but hold no video either."""
    lists = rocog_lists() if lists is None else lists
    (root / "annotations").mkdir(parents=True)
    (root / "simulation_info").mkdir()
    (root / "class_dict.json").write_text(json.dumps(dict(enumerate(CLASSES))))
    for name, lines in lists.items():
        (root / "annotations" / f"{name}.txt").write_text("".join(f"{line}\n" for line in lines))
    for name, text in {"ground": SCENES_XML, "ground_gestures": GESTURES_XML}.items():
        (root / "simulation_info" / f"rocog_{name}.xml").write_text(text)
    touch(root, (line.rpartition(" ")[0] for lines in lists.values() for line in lines))
    return root


def touch(root: Path, paths: Iterable[str]) -> None:
    """Files of one byte, with their folders."""
    for path in paths:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_bytes(b"x")


def config(root: Path, out: Path, dataset: dict[str, object], **more: object) -> PrepareConfig:
    """A config of `vidda prepare`, validated as the command line does it."""
    data = {"root": str(root), "out": str(out), "dataset": dataset, **more}
    return PrepareConfig.model_validate_json(json.dumps(data), strict=True)


ROCOG: dict[str, object] = {"name": "rocog_v2"}


def settings(tmp_path: Path, **more: object) -> PrepareConfig:
    return config(tmp_path / "root", tmp_path / "out", ROCOG, **more)


def prepare(tmp_path: Path, *, dry_run: bool = False, resume: bool = False, **more: object) -> int:
    return run(settings(tmp_path, **more), dry_run=dry_run, resume=resume)


def refusal(tmp_path: Path, *, resume: bool = False, **more: object) -> str:
    with pytest.raises(ViddaError) as caught:
        prepare(tmp_path, resume=resume, **more)
    return str(caught.value)


def problems(tmp_path: Path) -> list[tuple[str, str]]:
    with (tmp_path / "out" / "problems.csv").open(newline="") as file:
        return [(row["kind"], row["where"]) for row in csv.DictReader(file)]
