"""The built-in VideoMAE's script: it makes what vidda loads, from motions that are no gesture."""

import json
from copy import deepcopy
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

import vidda
from tools.mini_diffusion.loop import Machine
from tools.mini_videomae import augment, clips, motions, network, store
from tools.mini_videomae.augment import Batch
from tools.mini_videomae.learner import Learner
from tools.mini_videomae.optimizer import MuonAndAdamW
from tools.mini_videomae.recipe import AugmentConfig, ClipsConfig, Recipe
from tools.train_mini_videomae import main
from vidda import config
from vidda.mini import layout
from vidda.mini.gesture_file import BUILT_IN, load_gestures
from vidda.mini.gestures import REST, arms, draw_performance
from vidda.mini.layout import Sizes, plans
from vidda.mini.staging import _arms, draw_style
from vidda.recognize.train_config import TrainConfig
from vidda.recognize.videomae import VideoMaeConfig
from vidda.recognize.videomae_start import VideoMaeFolder

TINY = [
    "seed=3",
    "clips.motions=3",
    "clips.renders=2",
    "clips.held_out=3",
    "clips.frames=8",
    "clips.rendered=48",
    "clips.size=36",
    "clips.shard=4",
    "model.size=32",
    "model.width=16",
    "model.layers=2",
    "model.mlp=16",
    "training.steps=3",
    "training.batch=2",
    "training.save=2",
    "training.look=3",
    "training.warmup=1",
    "jobs=1",
    "device=cpu",
]


SHIPPED = Path(vidda.__file__).parent / "assets" / "mini_videomae"
FINE_TUNING = Path(__file__).parents[1] / "configs" / "train" / "mini_videomae.yaml"


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def recipe(folder: Path, *more: str) -> Recipe:
    return config.load(
        Recipe, None, [f"out={folder}", f"rendered={folder / 'clips'}", *TINY, *more]
    )


def test_what_is_shipped_is_small_and_as_the_script_makes_it(tmp_path: Path) -> None:
    files = {file.name: file.stat().st_size for file in SHIPPED.iterdir()}
    assert set(files) == {"config.json", network.WEIGHTS, "README.md"}
    assert sum(files.values()) <= network.LIMIT_BYTES
    assert "Not measured" not in (SHIPPED / "README.md").read_text()
    chosen = Recipe(out=tmp_path)
    made = network.build(chosen.model, 2, chosen.clips.frames, seed=0)
    network.save(made, chosen.model, chosen.clips.frames, tmp_path)
    version = "transformers_version"
    one, other = (json.loads((f / "config.json").read_text()) for f in (SHIPPED, tmp_path))
    assert {**one, version: ""} == {**other, version: ""}
    shapes = [
        {name: value.shape for name, value in load_file(folder / network.WEIGHTS).items()}
        for folder in (SHIPPED, tmp_path)
    ]
    assert shapes[0] == shapes[1]


def test_vidda_train_starts_from_what_is_shipped() -> None:
    chosen = config.load(TrainConfig, FINE_TUNING, [])
    model = chosen.model.build(7).state_dict()
    for name, value in load_file(SHIPPED / network.WEIGHTS).items():
        assert torch.equal(model[name], value.float()), name
    assert isinstance(chosen.model, VideoMaeConfig)
    assert chosen.model.without_weights().build(7).state_dict().keys() == model.keys()


def test_its_features_tell_motions_of_other_people_apart() -> None:
    start = VideoMaeFolder(path=Path("builtin:mini_videomae"))
    shipped = VideoMaeConfig(frames=16, size=48, input="motion", start=start).build(7).eval()
    drawn = [store.motion(99, number) for number in range(6)]  # none that it was trained on
    frames = [
        clips.render_clip((99, number, n), motion, 16, 72, 48).frames
        for number, motion in enumerate(drawn)
        for n in range(3)
    ]
    video = torch.from_numpy(np.stack(frames)).float()[:, None].expand(-1, 3, -1, -1, -1) / 255
    with torch.no_grad():
        features = shipped(video).features
    features = torch.nn.functional.normalize(features - features.mean(0), dim=1)
    alike = features @ features.T - 9.0 * torch.eye(len(features))
    motion = torch.arange(len(features)) // 3
    assert float((motion[alike.argmax(1)] == motion).float().mean()) > 0.5  # 0.12 by chance


def test_performances_of_every_gesture_are_near_it() -> None:
    # Otherwise the distance of motions to gestures would mean nothing.
    moments = np.arange(8, 24) / 8.0
    for file in BUILT_IN:
        for name, gesture in load_gestures(file).items():
            found = []
            for plan in plans(5, Sizes(1, 1, 1, 1), frozenset())[::4]:
                style = draw_style(rng(len(found)), plan.scene, 9.0)
                performed = draw_performance(rng(len(found)), gesture)
                found.append(motions.distance_deg(arms(performed, moments, style)))
            assert max(found) < motions.NEAREST_DEG, (file, name)


def test_unsteady_performances_in_the_dataset_are_nearer_than_any_motion() -> None:
    moments = np.arange(6, 20) / 8.0
    for plan in plans(5, Sizes(1, 1, 1, 1), frozenset()):
        style = draw_style(rng(1), plan.scene, 9.0)
        poses = _arms(rng(2), plan.scene, moments, style)
        assert motions.distance_deg(poses[4:]) < motions.NEAREST_DEG


def test_no_motion_is_a_gesture_in_any_performance() -> None:
    for number in range(60):
        motion = store.motion(0, number)
        assert motions.distance_deg(motions.motion_poses(motion)) >= motions.NEAREST_DEG
        assert motion.means == ""
        poses = clips.draw_arms(rng(number), motion, np.arange(16) / clips.FPS)
        # On its way from and to the hanging arms, and unsteady, it may come a little nearer.
        raised = np.abs(poses - np.stack(REST)).max(axis=(1, 2, 3)) > 0.5
        if raised.sum() > 8:
            assert motions.distance_deg(poses[raised]) > 0.6 * motions.NEAREST_DEG


def test_motions_differ_and_follow_from_their_number() -> None:
    poses = [motions.motion_poses(store.motion(0, n)) for n in range(12)]
    again = motions.motion_poses(motions.draw_motion(rng((0, 5))))
    assert np.array_equal(poses[5], again)
    for n, one in enumerate(poses):
        for other in poses[:n]:
            assert np.abs(one - other).max() > 0.3
    moving = [np.ptp(one, axis=0).max() > 0.1 for one in poses]
    assert any(moving) and len(layout.GESTURES) == 7


def test_the_same_seed_renders_the_same_clip_with_its_joints_on_the_person() -> None:
    motion = store.motion(0, 1)
    first, second = (clips.render_clip((1, 2), motion, 4, 64, 48) for _ in range(2))
    other = clips.render_clip((1, 3), motion, 4, 64, 48)
    assert np.array_equal(first.frames, second.frames)
    assert not np.array_equal(first.frames, other.frames)
    assert first.frames.shape == (4, 48, 48) and first.frames.dtype == np.uint8
    assert np.allclose(np.linalg.norm(first.arms, axis=-1), 1.0, atol=1e-5)
    nose, hip = first.points[:, 0], first.points[:, 1:3].mean(axis=1)
    assert (nose[:, 1] < hip[:, 1]).all() and ((nose > 0) & (nose < 48)).all()


def test_points_go_where_their_pictures_go() -> None:
    count, wrist = 8, clips.POINTS.index("left_wrist")
    points = torch.full((count, 3, len(clips.POINTS), 2), -50.0)
    points[:, :, wrist] = torch.tensor([20.0, 12.0])
    video = torch.zeros(count, 3, 48, 48)
    video[:, :, 11:14, 19:22] = 1.0
    straight = torch.zeros(count, 3, 2, 2, 3)
    straight[:, :, 0] = 1.0
    chosen = AugmentConfig(noise=0.0)
    moved = augment.augment(
        Batch(video, straight, points), 56, chosen, torch.Generator().manual_seed(1)
    )
    row, column = torch.meshgrid(torch.arange(56.0), torch.arange(56.0), indexing="ij")
    sides = set()
    for frames, found, right in zip(moved.video, moved.points, moved.arms[:, :, 0], strict=True):
        mirrored = bool(right.sum() == 0)
        sides.add(mirrored)
        joint = augment.MIRRORED[wrist] if mirrored else wrist
        for image, at in zip(frames, found[:, joint], strict=True):
            center = torch.stack([(image * column).sum(), (image * row).sum()]) / image.sum()
            assert torch.allclose(at, center, atol=0.4)
    assert sides == {True, False}
    still = augment.center(Batch(video, straight, points), 24)
    assert torch.allclose(still.points[0, 0, wrist], torch.tensor([9.75, 5.75]))


def test_mistakes_are_said_in_a_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(tmp_path), "clips.motion=3"]) == 2
    assert "did you mean" in capsys.readouterr().err
    assert main([str(tmp_path), *TINY, "--measure", str(tmp_path)]) == 2
    assert "does not exist yet" in capsys.readouterr().err


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("mini_videomae")
    assert main([str(folder / "out"), f"rendered={folder / 'clips'}", *TINY]) == 0
    return folder


def test_stopped_it_resumes_to_the_very_same_weights(made: Path, tmp_path: Path) -> None:
    arguments = [str(tmp_path / "out"), f"rendered={made / 'clips'}", *TINY]
    assert main([*arguments, "--minutes", "0"]) == 3
    assert not (tmp_path / "out" / "result").exists()
    assert main(arguments) == 0
    one, other = (folder / "out" / "result" / network.WEIGHTS for folder in (made, tmp_path))
    assert one.read_bytes() == other.read_bytes()


def test_what_it_makes_is_what_vidda_loads(made: Path) -> None:
    result = made / "out" / "result"
    assert "Not measured yet after fine-tuning" in (result / "README.md").read_text()
    weights = load_file(result / network.WEIGHTS)
    assert {value.dtype for value in weights.values()} == {torch.float16}
    loaded = VideoMaeConfig(
        frames=8, size=32, input="motion", start=VideoMaeFolder(path=result)
    ).build(7)
    state = loaded.state_dict()
    assert set(state) - set(weights) == {"classifier.weight", "classifier.bias"}
    assert all(torch.equal(state[name], value.float()) for name, value in weights.items())


def test_all_positions_give_the_recognizer_s_own_features(made: Path) -> None:
    chosen = recipe(made)
    built = network.build(chosen.model, 3, 8, seed=0).eval()
    video = torch.rand(2, 8, 32, 32)
    everything = torch.arange(16).expand(2, -1)
    with torch.no_grad():
        logits, directions, places = built(video, everything)
        own = built.encoder(video[:, None].expand(-1, 3, -1, -1, -1)).logits
    assert torch.allclose(logits, own, atol=1e-4)
    assert directions.shape == (2, 8, 2, 2, 3)
    assert places.shape == (2, 8, len(clips.POINTS), 16)


def test_what_is_hidden_has_no_effect(made: Path) -> None:
    built = network.build(recipe(made).model, 3, 8, seed=0).eval()
    visible = torch.tensor([[0, 1, 4, 5], [0, 1, 4, 5]])
    still = torch.rand(2, 8, 32, 32)
    other = still.clone()
    # Every statistic of the motion input stays: the hidden part is mirrored.
    other[:, :, 16:, 16:] = still[:, :, 16:, 16:].flip(3)
    with torch.no_grad():
        assert torch.allclose(built(still, visible)[0], built(other, visible)[0], atol=1e-4)


def test_it_learns_what_the_renderer_knows(made: Path) -> None:
    chosen = recipe(made, "training.lr=0.01", "training.batch=4", "training.unmasked=1.0")
    loaded = [store.load(made / "clips", chosen.clips, 3, part) for part in store.PARTS]
    learner = Learner(loaded[0], loaded[1], chosen, Machine(torch.device("cpu"), "fp32"))
    optimizer = MuonAndAdamW(learner.learned, ".layer.", chosen.training)
    losses = []
    for step in range(25):
        terms = learner.loss_terms(torch.arange(4), torch.Generator().manual_seed(step))
        torch.stack(list(terms.values())).sum().backward()
        optimizer.step()
        optimizer.zero_grad()
        losses.append({name: float(value.detach()) for name, value in terms.items()})
    for name in losses[0]:
        early, late = (np.mean([one[name] for one in part]) for part in (losses[:5], losses[-5:]))
        assert late < early, name


def test_the_optimizer_s_state_is_whole() -> None:
    def network_of(seed: int) -> dict[str, torch.nn.Parameter]:
        draw = torch.Generator().manual_seed(seed)
        shapes = {"a.layer.0.weight": (4, 6), "a.layer.0.bias": (4,), "head": (2, 4)}
        return {n: torch.nn.Parameter(torch.randn(s, generator=draw)) for n, s in shapes.items()}

    def steps(learned: dict[str, torch.nn.Parameter], optimizer: MuonAndAdamW, first: int) -> None:
        for step in range(first, first + 2):
            draw = torch.Generator().manual_seed(step)
            for value in learned.values():
                value.grad = torch.randn(value.shape, generator=draw)
            optimizer.step()

    training = Recipe(out=Path("x")).training
    whole = network_of(0)
    optimizer = MuonAndAdamW(whole, ".layer.", training)
    assert len(optimizer.param_groups) == 2
    steps(whole, optimizer, 0)
    again = {name: torch.nn.Parameter(value.detach().clone()) for name, value in whole.items()}
    other = MuonAndAdamW(again, ".layer.", training)
    other.load_state_dict(deepcopy(optimizer.state_dict()))
    steps(whole, optimizer, 2)
    steps(again, other, 2)
    assert all(torch.equal(whole[name], again[name]) for name in whole)


def test_shards_have_all_clips_and_every_motion(made: Path) -> None:
    chosen: ClipsConfig = recipe(made).clips
    train, held_out = (store.load(made / "clips", chosen, 3, part) for part in store.PARTS)
    assert len(train) == 6 and train.motion.tolist() == [0, 1, 2, 0, 1, 2]
    assert len(held_out) == 3 and train.frames.shape == (6, 8, 36, 36)
    assert not np.array_equal(train.frames[:3], held_out.frames)
