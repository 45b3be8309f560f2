"""`vidda mask`: people followed over clips, sidecars with named regions, a manifest of them."""

import csv
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from scipy.ndimage import label
from torchvision.models import get_model

from tests.sidecars import rendered, write_clip
from vidda import video
from vidda.config import dump, load
from vidda.control.blazepose import BlazePoseConfig
from vidda.control.mask import person_mask
from vidda.control.mask_job import MaskJobConfig, run
from vidda.control.mask_rcnn import MaskRcnnConfig
from vidda.control.mask_tracks import MaskTracker
from vidda.data import load_manifest
from vidda.data.manifest import save_manifest
from vidda.data.randomize import RandomizeConfig
from vidda.data.randomize import run as randomize
from vidda.errors import ViddaError
from vidda.experiment.stage import Stage
from vidda.files import write_text
from vidda.sidecar import PERSON_REGIONS, mask_regions, read_mask
from vidda.types import ClipRecord, Manifest

SIDE, FRAMES = 48, 8
WEIGHTS = Path(__file__).parents[2] / "weights" / "blazepose"


class BrightPeople:
    """A source of masks without a network: each bright area of a frame is a person."""

    def find_masks(
        self, frames: Iterable[np.ndarray], clip: ClipRecord, root: Path
    ) -> Iterator[np.ndarray]:
        for frame in frames:
            areas, count = label(frame.min(axis=2) > 128)
            numbers = np.arange(1, count + 1)[:, None, None]
            yield (areas == numbers).astype(np.float32)


@pytest.fixture
def bright(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(MaskRcnnConfig, "build", lambda _: BrightPeople())


def square(t: int, top: int = 10, side: int = 16) -> np.ndarray:
    """The pixels of a person in frame t, who moves to the right."""
    mask = np.zeros((SIDE, SIDE), bool)
    mask[top : top + side, 4 + 2 * t : 4 + 2 * t + side] = True
    return mask


def write_videos(
    folder: Path, count: int = 3, hidden: tuple[int, ...] = (), length: int = FRAMES
) -> None:
    """Write videos of a bright person, of `length` frames; hidden: those without them."""
    for number in range(count):
        frames = np.full((length, SIDE, SIDE, 3), 20, np.uint8)
        for t in set(range(length)) - set(hidden):
            frames[t][square(t)] = 230
        video.write(folder / "deep" / f"{number}.mp4", frames, 8)


def config(folder: Path, **changes: object) -> MaskJobConfig:
    content = {
        "input": str(folder / "videos"),
        "out": str(folder / "out"),
        "source": {"name": "mask_rcnn", "weights": "w.safetensors", "device": "cpu"},
        **changes,
    }
    file = folder / "config.yaml"
    file.write_text(json.dumps(content))  # JSON is YAML
    return load(MaskJobConfig, file)


def start(job: MaskJobConfig, *, resume: bool = False) -> int:
    return run(job, dry_run=False, resume=resume)


def overlap(a: np.ndarray, b: np.ndarray) -> float:
    return float((a & b).sum() / (a | b).sum())


def tracked(shares: Iterable[np.ndarray], *, main: bool = False, gap: int = 3) -> np.ndarray:
    """The masks of a clip, from (P, H, W) shares of each frame, unsmoothed."""
    tracker = MaskTracker(SIDE, SIDE, gap)
    for one in shares:
        tracker.add(np.asarray(one, np.float32).reshape(-1, SIDE, SIDE))
    return np.array(list(tracker.masks(0.5, 0.0, main=main)))


def test_people_are_followed_whatever_their_order() -> None:
    large, small = (
        [square(t, top, side) for t in range(FRAMES)] for top, side in ((2, 20), (30, 10))
    )
    frames = [
        [a, b] if t % 2 else [b, a] for t, (a, b) in enumerate(zip(large, small, strict=True))
    ]
    both = tracked(frames)
    np.testing.assert_array_equal(both, np.array(large) | np.array(small))
    np.testing.assert_array_equal(tracked(frames, main=True), large)


def test_a_false_detection_in_one_frame_is_nobody() -> None:
    frames = [[square(t, 2)] for t in range(FRAMES)]
    frames[3].append(square(3, 30))
    np.testing.assert_array_equal(tracked(frames), [one[0] for one in frames])
    alone = tracked([[square(0)]])
    np.testing.assert_array_equal(alone[0], square(0), "but in an image it is")


@pytest.mark.parametrize("gap", [2, 3])
def test_short_gaps_get_the_nearest_mask_and_long_ones_stay_empty(gap: int) -> None:
    frames = [[square(t)] if t not in (2, 3, 4) else [] for t in range(FRAMES)]
    found = tracked(frames, gap=gap)
    for t in (2, 3):
        np.testing.assert_array_equal(found[t], square(1) if gap == 3 else np.zeros_like(found[t]))
    np.testing.assert_array_equal(found[4], square(5) if gap == 3 else np.zeros_like(found[4]))
    np.testing.assert_array_equal(found[5], square(5))


def test_smoothing_removes_flicker_and_keeps_a_fast_hand() -> None:
    shares = np.zeros((5, SIDE, SIDE), np.float32)
    shares[:, 10:30, 10:30] = 1.0
    shares[2, 12, 12] = 0.3  # a hole in one frame
    shares[2, 35, 35] = 0.6  # an unsure pixel in one frame
    shares[2, 10:12, 40:44] = 1.0  # a hand that passes by
    tracker = MaskTracker(SIDE, SIDE, 0)
    for one in shares:
        tracker.add(one[None])
    masks = np.array(list(tracker.masks(0.5, 0.4, main=False)))
    assert masks[2, 12, 12] and not masks[2, 35, 35]
    assert masks[2, 10:12, 40:44].all() and not masks[[1, 3], 10:12, 40:44].any()


def test_sidecars_and_a_manifest_of_the_same_clips(tmp_path: Path, bright: None) -> None:
    write_videos(tmp_path / "videos")
    assert run(config(tmp_path), dry_run=True, resume=False) == 0
    assert not (tmp_path / "out").exists()
    assert start(config(tmp_path)) == 0
    manifest = load_manifest(tmp_path / "out")
    assert [clip.id for clip in manifest.clips] == [f"deep/{n}.mp4" for n in range(3)]
    assert manifest.root == tmp_path
    for clip in manifest.clips:
        assert clip.path == f"videos/{clip.id}", "the clips are not copied"
        assert clip.meta["sidecar"] == f"out/sidecar/{clip.id}.npz"
        assert clip.meta["mask"] == "mask_rcnn" and clip.meta["mask_found"] == "1"
        mask, regions = read_mask(clip, manifest.root, FRAMES, None)
        assert mask.dtype == np.uint8 and regions == PERSON_REGIONS
        assert overlap(mask > 0, np.array([square(t) for t in range(FRAMES)])) > 0.8
        found = person_mask(clip, manifest.root, None, SIDE, SIDE)
        np.testing.assert_array_equal(found, mask > 0)
    with pytest.raises(ViddaError, match="a finished run"):
        start(config(tmp_path))
    with pytest.raises(ViddaError, match="threshold"):
        start(config(tmp_path, threshold=0.4), resume=True)


def test_randomize_reads_these_sidecars(
    tmp_path: Path, bright: None, capsys: pytest.CaptureFixture[str]
) -> None:
    write_videos(tmp_path / "videos")
    assert start(config(tmp_path)) == 0
    settings = RandomizeConfig(input=tmp_path / "out", out=tmp_path / "random", jobs=1)
    assert randomize(settings, dry_run=False, resume=False) == 0
    assert "the masks of 3 of 3 clips tell no clothes from skin" in capsys.readouterr().out
    after = load_manifest(tmp_path / "random")
    assert [clip.meta["randomized"] for clip in after.clips] == ["background"] * 3
    for clip in after.clips:
        frames = video.read(after.root / clip.path)
        assert frames[0][12:24, 7:17].min() > 190, "the person is still there"


def test_an_older_sidecar_is_complemented_and_stays_as_it_is(
    tmp_path: Path, bright: None, capsys: pytest.CaptureFixture[str]
) -> None:
    clip = rendered(frames=4, size=64)
    record = write_clip(tmp_path / "videos", clip)
    video.write(tmp_path / "videos" / record.path, np.full((4, 64, 64, 3), 200, np.uint8), 8)
    source = Manifest((tmp_path / "videos").absolute(), ("Advance",), (record,))
    save_manifest(source, tmp_path / "videos" / "manifest.csv")
    assert start(config(tmp_path)) == 0
    assert "1 clips have masks already" in capsys.readouterr().out
    manifest = load_manifest(tmp_path / "out")
    (new,) = manifest.clips
    assert (new.id, new.label, new.domain, new.view) == ("one", 0, "synthetic", "ground")
    assert mask_regions(new, manifest.root) == PERSON_REGIONS
    with np.load(manifest.root / new.meta["sidecar"], allow_pickle=False) as content:
        np.testing.assert_array_equal(content["keypoints"], clip.keypoints)
        np.testing.assert_array_equal(content["box"], clip.box)
        assert content["mask"].all()
    np.testing.assert_array_equal(read_mask(record, source.root, 4, None)[0], clip.mask)


def test_clips_without_people_are_left_out_and_listed(
    tmp_path: Path, bright: None, capsys: pytest.CaptureFixture[str]
) -> None:
    write_videos(tmp_path / "videos", count=2)
    write_videos(tmp_path / "videos" / "few", count=1, hidden=(0, 1, 2, 3, 7))
    assert start(config(tmp_path)) == 0
    assert [c.id for c in load_manifest(tmp_path / "out").clips] == ["deep/0.mp4", "deep/1.mp4"]
    assert "1 of 3 clips left out" in capsys.readouterr().out
    with (tmp_path / "out" / "rejected.csv").open() as stream:
        assert [*csv.reader(stream)][1:] == [
            ["few/deep/0.mp4", "someone is found in 38% of the frames"]
        ]
    nobody = config(tmp_path, clips=["few*"], out=str(tmp_path / "none"))
    with pytest.raises(ViddaError, match=r"no clip .* source\.boxes\.name=detector"):
        start(nobody)


def test_what_is_lost_of_a_finished_run_is_made_again(tmp_path: Path, bright: None) -> None:
    write_videos(tmp_path / "videos", count=2)
    job, out = config(tmp_path), tmp_path / "out"
    assert start(job) == 0
    first, second = out / "sidecar/deep/0.mp4.npz", out / "sidecar/deep/1.mp4.npz"
    whole = {file: file.read_bytes() for file in (first, second, out / "manifest.csv")}
    for damage in (
        lambda: first.write_bytes(b""),
        first.unlink,
        (out / "manifest.csv").unlink,
        lambda: shutil.rmtree(first.parent),
    ):
        damage()
        assert start(job, resume=True) == 0
        assert {file: file.read_bytes() for file in whole} == whole and (out / "DONE").exists()


def test_a_stage_of_a_job_is_not_complete_without_its_sidecars(
    tmp_path: Path, bright: None
) -> None:
    write_videos(tmp_path / "videos", count=1)
    job, out = config(tmp_path), tmp_path / "out"
    stage = Stage("masks", "masks", "mask", job, out, out / "DONE", (), title="masks")
    write_text(stage.config_file(tmp_path), dump(job))
    assert start(job) == 0 and stage.complete(tmp_path)
    (out / "sidecar/deep/0.mp4.npz").unlink()
    assert not stage.complete(tmp_path)


def test_mistakes_are_reported_before_anything_is_written(tmp_path: Path, bright: None) -> None:
    write_videos(tmp_path / "videos", count=2)
    broken = tmp_path / "videos" / "deep" / "1.mp4"
    broken.write_bytes(broken.read_bytes()[:300])
    root = (tmp_path / "videos").absolute()
    clips = tuple(
        ClipRecord(str(n), f"deep/{n}.mp4", None, "real", "air", meta=meta)
        for n, meta in ((0, {"sidecar": "gone.npz"}), (1, {}))
    )
    save_manifest(Manifest(root, (), clips), root / "manifest.csv")
    with pytest.raises(ViddaError) as told:
        start(config(tmp_path))
    lines = str(told.value).splitlines()
    assert len(lines) == 2 and "no such sidecar" in lines[0] and "1.mp4" in lines[1]
    assert not (tmp_path / "out").exists()


def test_nothing_is_downloaded_unasked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "cache"))
    write_videos(tmp_path / "videos", count=1)
    source = {"name": "mask_rcnn", "device": "cpu"}
    with pytest.raises(ViddaError, match=r"maskrcnn.*\.pth.* not there; .* source\.download=true"):
        start(config(tmp_path, source=source))
    assert not (tmp_path / "out").exists() and not (tmp_path / "cache").exists()


def test_without_its_files_blazepose_names_the_command(tmp_path: Path) -> None:
    write_videos(tmp_path / "videos", count=1)
    job = config(tmp_path, source={"name": "blazepose", "weights": str(tmp_path)})
    with pytest.raises(
        ViddaError, match=r"vidda weights blazepose|pip install 'vidda\[blazepose\]"
    ):
        start(job)
    assert not (tmp_path / "out").exists()


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file of random weights of Mask R-CNN that takes everything for people."""
    torch.manual_seed(0)
    model = get_model("maskrcnn_resnet50_fpn", weights=None, weights_backbone=None)
    model.roi_heads.box_predictor.cls_score.bias.data[1] += 8.0
    file = tmp_path_factory.mktemp("weights") / "w.safetensors"
    save_file(model.state_dict(), file)
    return file


@pytest.mark.slow
def test_mask_rcnn_gives_torchvisions_masks_of_people(weights: Path) -> None:
    from safetensors.torch import load_file

    settings = MaskRcnnConfig(
        model="maskrcnn_resnet50_fpn", weights=weights, size=64, people=3, device="cpu"
    )
    frames = np.random.default_rng(0).integers(0, 255, (2, SIDE, 64, 3), np.uint8)
    clip = ClipRecord("one", "one.mp4", None, "real", "air")
    found = list(settings.build().find_masks(iter(frames), clip, Path()))
    theirs = get_model(settings.model, weights=None, weights_backbone=None, min_size=64).eval()
    theirs.load_state_dict(load_file(weights))
    for frame, masks in zip(frames, found, strict=True):
        with torch.inference_mode():
            output = theirs([torch.from_numpy(frame).permute(2, 0, 1) / 255.0])[0]
        expected = output["masks"][(output["labels"] == 1) & (output["scores"] >= 0.5), 0][:3]
        assert masks.shape == (3, SIDE, 64) and masks.dtype == np.float32
        np.testing.assert_allclose(masks, expected.numpy(), atol=1e-3)


@pytest.mark.slow
def test_a_killed_job_resumes_to_the_same_files(tmp_path: Path, weights: Path) -> None:
    source = {
        "name": "mask_rcnn", "model": "maskrcnn_resnet50_fpn", "weights": str(weights),
        "size": 32, "people": 1, "device": "cpu",
    }  # fmt: skip
    write_videos(tmp_path / "videos", count=2, length=2)
    job = config(tmp_path, source=source, found=0)
    program = (
        "import sys; from pathlib import Path; from vidda.config import load;"
        "from vidda.control.mask_job import MaskJobConfig, run;"
        "run(load(MaskJobConfig, Path(sys.argv[1])), dry_run=False, resume=False)"
    )
    command = [sys.executable, "-c", program, str(tmp_path / "config.yaml")]
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    out = tmp_path / "out"
    while not (out / "sidecar" / "deep" / "0.mp4.npz").exists():
        assert process.poll() is None
        time.sleep(0.01)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert not (out / "DONE").exists()
    kept = (out / "sidecar" / "deep" / "0.mp4.npz").stat().st_mtime_ns
    assert start(job, resume=True) == 0
    assert (out / "sidecar" / "deep" / "0.mp4.npz").stat().st_mtime_ns == kept
    assert start(config(tmp_path, source=source, found=0, out=str(tmp_path / "whole"))) == 0
    for number in range(2):
        name = f"sidecar/deep/{number}.mp4.npz"
        assert (out / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()


@pytest.mark.skipif(not WEIGHTS.is_dir(), reason="vidda weights blazepose fetches the networks")
def test_blazepose_masks_nobody_in_an_empty_frame() -> None:
    clip = ClipRecord("one", "one.mp4", None, "real", "air")
    frames = np.zeros((2, SIDE, 64, 3), np.uint8)
    found = list(BlazePoseConfig(weights=WEIGHTS).build().find_masks(frames, clip, Path()))
    assert [masks.shape for masks in found] == [(0, SIDE, 64)] * 2
