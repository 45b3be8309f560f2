"""What goes along with a translated clip: sidecars, boxes, and the camera of the target."""

from dataclasses import replace
from pathlib import Path

import numpy as np

from tests.clips import moving
from tests.translate.translations import CLASSES, SIDE, config, media, settings, start
from vidda import video
from vidda.camera.target import CameraConfig, target_statistics
from vidda.data import load_manifest
from vidda.data.manifest import BOX_COLUMNS, save_manifest
from vidda.translate.box_columns import box_columns
from vidda.translate.plan import make_plan
from vidda.types import ClipRecord, Manifest


def translated_columns(status: int, out: Path) -> list[dict[str, str]]:
    """The further columns of a finished job's manifest."""
    assert status == 0
    return [dict(clip.meta) for clip in load_manifest(out).clips]


def write_target(folder: Path, size: tuple[int, int], shift: int = 0) -> Path:
    """A manifest of three clips of height and width `size`; shift: of their labels."""
    clips = []
    for number in range(3):
        video.write(folder / f"{number}.mp4", moving(6, *size, seed=number) // 2, 8)
        label = (number + shift) % 3
        clips.append(ClipRecord(f"t/{number}", f"{number}.mp4", label, "real", "ground"))
    target = folder / f"target{shift}.csv"
    save_manifest(Manifest(folder.absolute(), CLASSES, tuple(clips)), target)
    return target


def test_sidecars_go_along_at_the_new_size(translated: Path, source: Path) -> None:
    before, after = load_manifest(source), load_manifest(translated)
    for old, new in zip(before.clips, after.clips, strict=True):
        with (
            np.load(before.root / old.meta["sidecar"]) as truth,
            np.load(after.root / new.meta["sidecar"]) as moved,
        ):
            scale = 32 / SIDE
            expected = (truth["keypoints"][..., :2] + 0.5) * scale - 0.5
            assert np.allclose(moved["keypoints"][..., :2], expected, atol=1e-4)
            assert np.array_equal(moved["keypoints"][..., 2], truth["keypoints"][..., 2])
            assert np.allclose(moved["box"], truth["box"] * scale)
            assert np.array_equal(moved["mask"], truth["mask"])


def test_box_columns_are_scaled_as_the_frames_are(
    models: Path, source: Path, translated: Path, tmp_path: Path
) -> None:
    manifest = load_manifest(source)
    whole = {"box_x0": "3", "box_y0": "6", "box_x1": "30", "box_y1": "45.5"}
    cells = [whole, {**whole, "box_x0": "", "box_y0": "left"}, {}]
    clips = [
        replace(clip, meta={**clip.meta, **boxes, "left": "6", "right": "12"})
        for clip, boxes in zip(manifest.clips, cells, strict=True)
    ]
    save_manifest(replace(manifest, clips=tuple(clips)), tmp_path / "boxes.csv")
    content = settings(models, tmp_path / "boxes.csv", tmp_path / "run", size=[32, 24])
    found = translated_columns(start(content), tmp_path / "run")
    # 48 pixels became 24 wide and 32 high.
    assert [found[0][name] for name in whole] == ["1.5", "4", "15", "30.3333"]
    assert "box_x0" not in found[1] and found[1]["box_y0"] == "left" and found[1]["box_x1"] == "15"
    assert not found[2].keys() & whole.keys()
    assert {(columns["left"], columns["right"]) for columns in found} == {("6", "12")}


def test_columns_that_the_config_calls_boxes_are_scaled_and_none_holds_after_shake(
    source: Path, tmp_path: Path
) -> None:
    manifest = load_manifest(source)
    columns = ("left", "top", "right", "bottom")
    own = dict(zip(columns, ("6", "12", "24", "48"), strict=True))
    clip = replace(manifest.clips[0], meta={**own, "box_x0": "3"})
    pose = {"name": "onnx", "model": "x.onnx", "boxes": {"name": "manifest", "columns": columns}}
    job = config({"input": "a", "out": "b", "control": {"pose": pose}})
    frames = np.zeros((2, 32, 24, 3), np.uint8)
    scaled = {"left": "3", "top": "8", "right": "12", "bottom": "32", "box_x0": "1.5"}
    assert box_columns(job, clip, manifest.root, frames, shaken=False) == scaled
    gone = box_columns(job, clip, manifest.root, frames, shaken=True)
    assert gone == dict.fromkeys([*columns, *BOX_COLUMNS], "")


def test_the_targets_camera_is_measured_at_the_size_of_the_translations(
    models: Path, source: Path, tmp_path: Path
) -> None:
    """Where no size is asked for, that is the source's own, of 48 pixels."""
    target = write_target(tmp_path, (100, 120))
    found = []
    for name, size in (("own", None), ("named", SIDE), ("other", 32)):
        job = config(settings(models, source, tmp_path / name, size=size))
        job = job.model_copy(update={"camera": CameraConfig(target=target, clips=2)})
        plan = make_plan(job)
        assert job.camera is not None
        found.append(
            target_statistics(job.out, job.camera, plan.size, plan.backbone.multiple, plan.rate)
        )
    assert found[0] == found[1] != found[2]


def test_the_targets_camera_is_estimated_once_and_without_labels(
    models: Path, source: Path, translated: Path, tmp_path: Path
) -> None:
    written = []
    for name, shift in (("a", 0), ("b", 1)):
        target = write_target(tmp_path, (40, 48), shift)
        content = settings(models, source, tmp_path / f"run_{name}", limit=2)
        assert start({**content, "camera": {"target": str(target)}}) == 0
        written.append((tmp_path / f"run_{name}" / "camera.json").read_bytes())
    assert written[0] == written[1]
    one = load_manifest(tmp_path / "run_a")
    assert media(tmp_path / "run_a") == media(tmp_path / "run_b")
    assert not media(tmp_path / "run_a").items() & media(translated).items()
    assert "sidecar" not in one.clips[0].meta  # where it shakes, joints are elsewhere
    plain = load_manifest(translated)
    assert one.clips[0].meta["flow_epe"] == plain.clips[0].meta["flow_epe"]  # measured before
