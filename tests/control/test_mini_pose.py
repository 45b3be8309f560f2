"""The pose estimator that vidda ships: it finds poses, and its script makes what vidda can load."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

pytest.importorskip("mmengine")

from safetensors.torch import load_file

import vidda
from tests.sidecars import write_clip
from tools.mini_diffusion.gate import estimate_poses, score
from tools.mini_pose import augment, examples, model
from tools.mini_pose.recipe import AugmentConfig, Recipe
from tools.train_mini_pose import main
from vidda import config
from vidda.control.keypoints import JOINTS, Pose
from vidda.control.mmpose_estimator import MMPose, MMPoseConfig
from vidda.data import save_manifest
from vidda.errors import ViddaError
from vidda.mini.clip import FACTORS, RenderedClip, render
from vidda.mini.layout import Sizes, plans
from vidda.types import ClipRecord, Manifest

SHIPPED = Path(vidda.__file__).parent / "assets" / "mini_pose"
CHANCE = torch.Generator
STILL = AugmentConfig(shift=0.0, turn=0.0, zoom=(1.0, 1.0), color=0.0, noise=0.0)
SEED = 77
"""Of MiniRoCoG's clips here; another than that of the clips that were learned from."""


def clips(frames: int, size: int, real: bool) -> list[RenderedClip]:
    """A clip from the ground and one from the air."""
    factors = FACTORS if real else frozenset()
    found = [p for p in plans(SEED, Sizes(1, 1, 1, 1), FACTORS) if p.scene.factors == factors]
    both = [next(p for p in found if p.scene.view == view) for view in ("ground", "air")]
    return [render(plan.scene, frames, 8.0, size) for plan in both]


def truth(clip: RenderedClip) -> Pose:
    return Pose(clip.keypoints[:, None, :, :2], clip.keypoints[:, None, :, 2] / 2)


@pytest.fixture(scope="module")
def shipped() -> MMPose:
    return MMPoseConfig(
        model=SHIPPED / model.CONFIG, weights=SHIPPED / model.WEIGHTS, device="cpu"
    ).build()


def test_what_is_shipped_is_small_and_as_the_script_makes_it() -> None:
    files = {file.name: file.stat().st_size for file in SHIPPED.iterdir()}
    assert set(files) == {model.CONFIG, model.WEIGHTS, "README.md"}
    assert sum(files.values()) <= model.LIMIT_BYTES
    assert json.loads((SHIPPED / model.CONFIG).read_text()) == model.content()
    assert "Not measured" not in (SHIPPED / "README.md").read_text()


def test_it_finds_the_joints_of_people_that_it_never_saw(shipped: MMPose) -> None:
    for clip in clips(frames=4, size=112, real=False):
        given = truth(clip)
        found = estimate_poses(shipped, clip.frames)
        assert score(given, found).all > 0.95
        # Left is not right, and one frame's pose is not another person's.
        swapped = Pose(found.keypoints[:, :, augment.MIRRORED], found.scores)
        assert score(given, swapped).all < 0.6
        visible = clip.keypoints[..., 2] == 2
        assert (found.scores[:, 0][visible] > 0.3).mean() > 0.9


def test_boxes_and_frames_may_have_other_sizes(shipped: MMPose) -> None:
    clip = clips(frames=1, size=112, real=False)[0]
    wide = np.zeros((1, 224, 400, 3), np.uint8)
    wide[:, 50:162, 200:312] = clip.frames
    box = np.array([[[200, 50, 312, 162]]], np.float32)
    record = ClipRecord("one", "one.mp4", None, "synthetic", "ground")
    found = shipped.estimate(wide, box, record, Path())
    whole = shipped.estimate(clip.frames, None, record, Path())
    np.testing.assert_allclose(found.keypoints - [200, 50], whole.keypoints, atol=0.5)


def test_the_whole_frame_is_what_mmpose_cuts_out() -> None:
    from mmpose.structures.bbox import get_warp_matrix

    flip = torch.tensor([False, True])
    for before in (112, 64):
        moves = augment.random_affines(2, before, 112, flip, STILL, CHANCE().manual_seed(0))
        side = np.full(2, float(before))
        theirs = get_warp_matrix(side / 2, side, 0.0, output_size=(112, 112))
        np.testing.assert_allclose(moves[0], theirs, atol=1e-4)
        corner = torch.tensor([3.0, 5.0, 1.0])
        straight, mirrored = moves @ corner
        assert mirrored[0] == pytest.approx(111 - straight[0]) and mirrored[1] == straight[1]


def test_joints_go_where_their_pictures_go() -> None:
    count, wrist = 16, JOINTS.index("left_wrist")
    joints = torch.zeros(count, 17, 3)
    joints[:, wrist] = torch.tensor([40.0, 25.0, 1.0])
    frames = torch.zeros(count, 96, 96, 3, dtype=torch.uint8)
    frames[:, 24:27, 39:42] = 255
    chosen = AugmentConfig(color=0.0, noise=0.0, blur=0.2)
    images, moved = augment.augment(frames, joints, 112, chosen, CHANCE().manual_seed(1))
    sides = set()
    for image, points in zip(images, moved, strict=True):
        (found,) = torch.nonzero(points[:, 2]).flatten().tolist()
        sides.add(JOINTS[found])
        weight = image.mean(dim=0)
        rows, columns = torch.meshgrid(torch.arange(112.0), torch.arange(112.0), indexing="ij")
        center = torch.stack([(weight * columns).sum(), (weight * rows).sum()]) / weight.sum()
        assert torch.allclose(points[found, :2], center, atol=0.3)
    assert sides == {"left_wrist", "right_wrist"}


def test_joints_that_leave_the_image_are_outside() -> None:
    joints = torch.tensor([[20.0, 50.0, 1.0], [94.0, 50.0, 1.0], [50.0, 50.0, 0.0]]).repeat(6, 1)
    near = torch.tensor([[[1.0, 0.0, 10.0], [0.0, 1.0, 0.0]]])
    still = torch.zeros(1, dtype=torch.bool)
    moved = augment.move_keypoints(joints[None, :17], near, still, 100)[0]
    assert moved[:3, 2].tolist() == [1.0, 0.0, 0.0]
    assert augment.MIRRORED[:3] == [0, 2, 1]
    assert [augment.MIRRORED[n] for n in augment.MIRRORED] == list(range(17))


def test_pictures_change_by_the_generator_alone() -> None:
    clip = clips(frames=4, size=112, real=False)[0]
    frames = torch.from_numpy(clip.frames)
    joints = torch.from_numpy(clip.keypoints)

    def changed(seed: int) -> torch.Tensor:
        return augment.augment(frames, joints, 112, AugmentConfig(), CHANCE().manual_seed(seed))[0]

    state = torch.get_rng_state()
    assert torch.equal(changed(1), changed(1)) and not torch.equal(changed(1), changed(2))
    assert torch.equal(torch.get_rng_state(), state)
    blurry = augment.blur(changed(1), 2.5, CHANCE().manual_seed(0))
    assert torch.allclose(blurry.mean(dim=(2, 3)), changed(1).mean(dim=(2, 3)), atol=0.02)
    assert blurry.var() < changed(1).var()


NORM = "backbone.layer3.0.bn1"
TINY = [
    "seed=3",
    "data.scenes=2",
    "data.held_out=1",
    "data.moments=2",
    "data.captions=1",
    "data.size=48",
    "data.shard=2",
    "data.jobs=1",
    "training.steps=2",
    "training.batch=4",
    "training.save=2",
    "training.look=2",
    "training.warmup=1",
    "device=cpu",
]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """A prepared MiniRoCoG, of which the real training clips are not even there; where it lies."""
    folder = tmp_path_factory.mktemp("data")
    records = []
    for real, split in ((False, "train"), (False, "val"), (True, "test")):
        for view, clip in zip(("ground", "air"), clips(4, 48, real), strict=True):
            name = f"{split}_{view}"
            write_clip(folder / "mini" / name, clip)
            records.append(
                ClipRecord(
                    id=name,
                    path=f"{name}/syn/ground/one.mp4",
                    label=0,
                    domain="real" if real else "synthetic",
                    view=view,
                    meta={"split": split, "sidecar": f"{name}/sidecar/syn/ground/one.npz"},
                )
            )
    never = ClipRecord("never", "never.mp4", 0, "real", "ground", meta={"split": "train"})
    manifest = Manifest(folder / "mini", ("Advance",), (*records, never))
    save_manifest(manifest, folder / "prepared" / "manifest.csv")
    return [f"clips={folder / 'prepared'}", f"pictures={folder / 'pictures'}"]


@pytest.mark.slow
def test_the_script_makes_a_model_and_resumes_to_the_very_same(
    data: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    one, other = tmp_path / "one", tmp_path / "other"
    assert main([str(one), *data, *TINY, "--measure"]) == 2
    assert "does not exist yet" in capsys.readouterr().err
    assert main([str(one), *data, *TINY]) == 0
    assert main([str(other), *data, *TINY, "--minutes", "0"]) == 3
    assert not (other / "result").exists()
    assert main([str(other), *data, *TINY]) == 0
    made, again = (load_file(out / "result" / model.WEIGHTS) for out in (one, other))
    assert made.keys() == again.keys()
    assert all(torch.equal(made[name], again[name]) for name in made)
    metrics = [json.loads(line) for line in (one / "metrics.jsonl").read_text().splitlines()]
    assert {"held_out/foundation/all", "held_out/synthetic/wrists"} <= metrics[-1].keys()
    assert (one / "samples" / "000002.png").exists()

    untrained = model.build(3).state_dict()
    for part in ("backbone.stem.0.conv", "backbone.layer3.0.bn1", "head.final_layer"):
        name = f"{part}.weight"
        assert not torch.equal(made[name], untrained[name].to(made[name].dtype)), name
    assert not torch.equal(made[f"{NORM}.running_var"], untrained[f"{NORM}.running_var"])

    card = one / "result" / "README.md"
    assert "Not measured yet" in card.read_text()
    assert main([str(one), *data, *TINY, "--measure"]) == 1  # two steps are too few
    assert "| real, air, test clips | 1 |" in card.read_text()


def test_mistakes_are_reported_in_a_line(
    data: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([str(tmp_path / "out"), "training.step=3"]) == 2
    assert "did you mean" in capsys.readouterr().err
    recipe = config.load(Recipe, None, [f"out={tmp_path}", *data, *TINY])
    with pytest.raises(ViddaError, match="no clip with domain=synthetic split=test"):
        examples.clips(recipe, domain="synthetic", split="test")
