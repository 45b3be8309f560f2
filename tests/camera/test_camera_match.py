"""The camera of a domain is estimated on its clips and given to others."""

import json
from dataclasses import replace
from functools import cache
from pathlib import Path

import cv2
import numpy as np
import pytest
from scipy.special import erf

from vidda.camera import light, random_walk, shake, sharpness
from vidda.camera.camera_statistics import CameraStatistics
from vidda.camera.estimate import estimate_cameras, luma, measure_changes, measure_clip
from vidda.camera.match import CameraMatch, match_camera
from vidda.errors import ViddaError
from vidda.mini import capture, layout
from vidda.mini.clip import FACTORS, render

SIZE, FRAMES = 96, 10
NOTHING = CameraMatch(
    shake=False, motion_blur=False, blur=False, exposure=False, drift=False, noise=False
)


@cache
def plans(kind: str) -> tuple[layout.ClipPlan, ...]:
    """Twelve clips of another seed than the one that the estimators were tuned on."""
    found = layout.plans(5, layout.Sizes(4, 1, 4, 1), FACTORS)
    return tuple(p for p in found if p.path.startswith(kind) and "train" in p.lists[0])[::2][:12]


@cache
def rendered(kind: str, without: frozenset[str] = frozenset()) -> tuple[np.ndarray, ...]:
    return tuple(
        render(replace(p.scene, factors=p.scene.factors - without), FRAMES, 8.0, SIZE).frames
        for p in plans(kind)
    )


@cache
def estimated(kind: str) -> CameraStatistics:
    return estimate_cameras(rendered(kind))


@cache
def texture(seed: int = 0, size: int = 160) -> np.ndarray:
    """(size, size, 3) float32: ground of all scales with angular stones on it."""
    rng = np.random.default_rng(seed)
    noise = rng.standard_normal((size, size, 3)).astype(np.float32)
    image = 110.0 + sum(2.5 * s * cv2.GaussianBlur(noise, (0, 0), s) for s in (2.0, 4.0, 8.0))
    for _ in range(14):
        x, y = rng.integers(10, size - 10, 2).tolist()
        color = rng.uniform(20, 235, 3).tolist()
        cv2.rectangle(image, (x, y), (x + 12, y + 9), color, -1)
    # As no lens gives steps from pixel to pixel, no interpolation can move them either.
    return cv2.GaussianBlur(image, (0, 0), 0.7)


def shaken(path: np.ndarray, smear: np.ndarray | None = None, side: int = 112) -> np.ndarray:
    """The texture seen by a camera on a path (T, 3), (T, side, side, 3) float32."""
    still = np.zeros_like(path) if smear is None else smear
    wide = shake.shake_frames(np.stack([texture()] * len(path)), path, still)
    edge = (wide.shape[1] - side) // 2
    return wide[:, edge : edge + side, edge : edge + side]


def wandering(frames: int, pixels: float, turn: float, seed: int = 1) -> np.ndarray:
    steps = np.random.default_rng(seed).normal(size=(frames - 1, 3)) * [pixels, pixels, turn]
    return np.concatenate([np.zeros((1, 3)), np.cumsum(steps, axis=0)])


def rounded(frames: np.ndarray) -> np.ndarray:
    return np.rint(np.clip(frames, 0, 255)).astype(np.uint8)


@pytest.mark.parametrize(("pixels", "turn"), [(0.3, 0.002), (1.5, 0.01), (4.0, 0.02)])
def test_a_known_movement_is_found(pixels: float, turn: float) -> None:
    path = wandering(8, pixels, turn)
    found = shake.motion_steps(luma(rounded(shaken(path))))
    error = found - np.diff(path, axis=0)
    for t, turned in enumerate(np.diff(path[:, 2])):
        # The turn is about the frame's middle, not about where that was moved to before.
        x, y = path[t, :2]
        error[t, 0] -= x * (1 - np.cos(turned)) + y * np.sin(turned)
        error[t, 1] -= y * (1 - np.cos(turned)) - x * np.sin(turned)
    assert np.abs(error[:, :2]).max() < 0.02 + 0.01 * pixels
    assert np.abs(error[:, 2]).max() < 0.0005 + 0.02 * turn


@pytest.mark.parametrize("back", [False, True])
def test_an_image_is_moved_by_fractions_of_a_pixel(back: bool) -> None:
    down, right = np.mgrid[:60, :80].astype(np.float64)

    def waves(x: np.ndarray, y: np.ndarray) -> np.ndarray:
        return (np.sin(0.9 * x) + np.cos(0.7 * y + 0.5 * x)).astype(np.float32)

    motion = np.array([0.4, -1.3, 0.03])
    x, y = right - 39.5, down - 29.5
    away_x, away_y = (x, y) if back else (x - motion[0], y - motion[1])
    cosine, sine = np.cos(motion[2]), np.sin(motion[2]) * (1 if back else -1)
    came_x, came_y = cosine * away_x - sine * away_y, sine * away_x + cosine * away_y
    if back:
        came_x, came_y = came_x + motion[0], came_y + motion[1]
    found = shake.Movable(waves(x, y)).moved(motion, back=back)
    assert np.abs(found - waves(came_x, came_y))[6:-6, 6:-6].max() < 0.05
    assert np.abs(shake.Movable(waves(x, y)).moved(np.zeros(3)) - waves(x, y)).max() == 0.0


def test_a_person_who_moves_before_a_still_scene_is_no_shake() -> None:
    for clip in rendered("syn/ground")[:6]:
        assert np.abs(shake.motion_steps(luma(clip))[:, :2]).max() < 0.04
        assert min(np.abs(np.diff(clip.astype(float), axis=0)).max(axis=(1, 2, 3))) > 30.0


@pytest.mark.parametrize("kind", ["real/ground", "real/air"])
def test_the_shake_of_real_clips_is_found_within_a_tenth(kind: str) -> None:
    truth = []
    for plan in plans(kind):
        s = plan.scene
        lens = capture.draw_lens(s.seed, s.factors, FRAMES, SIZE, s.view, s.altitude_m)
        truth.append(random_walk.step_deviation(np.diff(lens.path, axis=0))[:2])
    found = SIZE * np.array([camera.shake[:2] for camera in estimated(kind).cameras])
    expected = np.array(truth)
    assert np.sqrt((found**2).mean()) == pytest.approx(np.sqrt((expected**2).mean()), rel=0.1)
    assert np.corrcoef(found.ravel(), expected.ravel())[0, 1] > 0.95


def test_large_frames_are_measured_at_a_working_size_in_their_own_pixels() -> None:
    path = wandering(4, 4.0, 0.005)
    small = shaken(path, side=112)
    large = np.stack([cv2.resize(f, (448, 448), interpolation=cv2.INTER_CUBIC) for f in small])
    found = measure_changes(rounded(large)).motion_steps
    np.testing.assert_allclose(found[:, :2], 4.0 * np.diff(path, axis=0)[:, :2], atol=0.8)


@pytest.mark.parametrize("deviation", [0.6, 1.0, 2.0, 3.5])
def test_a_known_blur_is_found_within_a_seventh(deviation: float) -> None:
    down, across = np.mgrid[:160, :160].astype(np.float64)
    image = np.full((160, 160), 60.0)
    for x, y, turn, gray in ((45, 40, 0.2, 90.0), (110, 60, 0.5, 60.0), (70, 120, 1.0, 120.0)):
        along = (across - x) * np.cos(turn) + (down - y) * np.sin(turn)
        beside = (down - y) * np.cos(turn) - (across - x) * np.sin(turn)
        inside = [
            (erf((v + 20) / deviation / 2**0.5) - erf((v - 20) / deviation / 2**0.5)) / 2.0
            for v in (along, beside)
        ]
        image += gray * inside[0] * inside[1]
    frame = np.random.default_rng(0).normal(np.stack([image] * 3, axis=-1), 1.0)
    found = sharpness.edge_blur(luma(rounded(frame[None])))
    assert found == pytest.approx(deviation, rel=0.15)


def test_missing_blur_is_what_brings_a_clip_to_the_blur_wanted() -> None:
    gray = luma(rendered("syn/ground")[0])
    further = sharpness.missing_blur(gray, 1.2)
    assert sharpness.edge_blur(sharpness.blur_frames(gray, further)) == pytest.approx(1.2, rel=0.05)
    assert sharpness.missing_blur(sharpness.blur_frames(gray, 2.0), 1.2) == 0.0


@pytest.mark.parametrize("share", [0.0, 0.5, 1.0])
def test_the_shutter_is_found_from_frames_of_different_speed(share: float) -> None:
    sums = np.zeros(2)
    for seed in range(3):
        path = wandering(12, 1.5, 0.0, seed)
        frames = rounded(shaken(path, share * np.gradient(path, axis=0)))
        sums += sharpness.shutter_sums(luma(frames), shake.motion_steps(luma(frames)))
    assert sharpness.shutter_share(sums) == pytest.approx(share, abs=0.15)


@pytest.mark.parametrize("pixels", [0.0, 1.0])
@pytest.mark.parametrize(("deviation", "grain"), [(1.0, 0.0), (3.0, 0.0), (3.0, 0.8)])
def test_known_noise_is_found_also_on_a_moving_image(
    deviation: float, grain: float, pixels: float
) -> None:
    # Textured everywhere: what is flat must be looked for.
    lab = light.to_lab(rounded(shaken(wandering(6, pixels, 0.0))))
    wanted = np.array([deviation, deviation / 2, deviation / 2])
    noisy = light.to_rgb(light.add_noise(np.random.default_rng(0), lab, wanted, grain))
    camera = measure_clip(noisy).camera
    # Correlated noise survives interpolation, against which white noise is made up for.
    tolerance = 0.35 if grain and pixels else 0.15
    np.testing.assert_allclose(camera.noise, wanted, rtol=tolerance, atol=0.1)
    assert camera.grain == pytest.approx(grain, abs=0.35)


def test_a_clip_without_noise_has_none() -> None:
    camera = measure_clip(rendered("syn/ground")[0]).camera
    assert max(camera.noise) < 0.05 and camera.grain == 0.0


def test_a_known_fade_is_found_on_a_moving_image() -> None:
    lab = light.to_lab(rounded(shaken(wandering(8, 0.5, 0.0))))
    fade = np.array([0.8, -0.3, 0.5])
    faded = light.to_rgb(lab + (np.arange(8)[:, None] * fade)[:, None, None].astype(np.float32))
    camera = measure_clip(faded).camera
    np.testing.assert_allclose(camera.fade, fade, atol=0.08)
    assert max(camera.flicker) < 0.25


def test_a_walk_keeps_trend_strength_and_memory() -> None:
    rng = np.random.default_rng(0)
    tremor = [np.diff(rng.normal(0.0, 1.0, (40, 1)), axis=0) for _ in range(100)]
    known = random_walk.autocorrelation(tremor)
    assert known[0] == 1.0 and known[1] == pytest.approx(-0.5, abs=0.05)
    paths = [
        random_walk.sample_walk(rng, 40, np.array([0.3]), np.array([2.0]), known)
        for _ in range(100)
    ]
    steps = [np.diff(path, axis=0) for path in paths]
    np.testing.assert_allclose([s.mean() for s in steps], 0.3, atol=1e-9)
    np.testing.assert_allclose([s.std() for s in steps], 2.0, atol=1e-9)
    np.testing.assert_allclose([path.mean() for path in paths], 0.0, atol=1e-9)
    assert np.abs(random_walk.autocorrelation(steps)[:3] - known[:3]).max() < 0.08


def test_nothing_that_moves_has_the_memory_of_white_noise() -> None:
    assert random_walk.autocorrelation([np.zeros((5, 1)), np.zeros((0, 1))]).ravel().tolist() == [
        1,
        0,
        0,
        0,
        0,
    ]


@pytest.mark.parametrize("view", ["ground", "air"])
def test_matched_clips_have_the_targets_statistics(view: str) -> None:
    synthetic, target = rendered(f"syn/{view}"), estimated(f"real/{view}")
    rng = np.random.default_rng(0)
    matched = [match_camera(clip, target, CameraMatch(), rng) for clip in synthetic]
    before, after = (estimate_cameras(clips) for clips in (synthetic, matched))

    def of(statistics: CameraStatistics, name: str, channels: slice = slice(None)) -> float:
        values = np.array([getattr(camera, name) for camera in statistics.cameras])
        return float(np.sqrt((values**2).mean(0)[channels].mean()))

    shifts = slice(0, 2)
    assert of(before, "shake", shifts) < 0.2 * of(target, "shake", shifts)
    assert of(after, "shake", shifts) == pytest.approx(of(target, "shake", shifts), rel=0.2)
    for name, tolerance in (("blur", 0.1), ("mean", 0.1), ("spread", 0.2)):
        channels = slice(0, 1) if name != "blur" else slice(None)
        values = [
            np.sqrt(
                np.square([np.atleast_1d(getattr(c, name))[channels] for c in s.cameras]).mean()
            )
            for s in (before, after, target)
        ]
        assert values[1] == pytest.approx(values[2], rel=tolerance), name
        assert name != "blur" or values[0] < 0.6 * values[2]
    assert of(before, "noise", slice(0, 1)) < 0.1 * of(target, "noise", slice(0, 1))
    assert of(after, "noise", slice(0, 1)) == pytest.approx(
        of(target, "noise", slice(0, 1)), rel=0.25
    )


def test_the_blur_added_is_the_one_that_the_camera_had() -> None:
    """The same scenes with and without a real lens: what is estimated blind is known here."""
    for sharp, taken in zip(
        rendered("real/ground", frozenset({"camera"})), rendered("real/ground"), strict=True
    ):
        blur = sharpness.edge_blur(luma(taken))
        assert blur is not None
        further = sharpness.missing_blur(luma(sharp), blur)
        assert 0.3 < further < 1.3


def test_a_clip_taken_by_such_a_camera_gets_nothing_more_of_it() -> None:
    clip = rendered("real/ground")[3]
    own = estimate_cameras([clip])
    again = match_camera(
        clip, own, CameraMatch(exposure=False, drift=False), np.random.default_rng(0)
    )
    assert np.abs(again.astype(int) - clip).mean() < 0.5


def test_the_same_seed_gives_the_same_clip_and_another_one_another() -> None:
    clip, target = rendered("syn/ground")[0], estimated("real/ground")
    first, again, other = (
        match_camera(clip, target, CameraMatch(), np.random.default_rng(seed)) for seed in (1, 1, 2)
    )
    assert first.dtype == np.uint8 and first.shape == clip.shape
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)


def test_a_generator_made_of_a_key_serves_as_well() -> None:
    rng = np.random.Generator(np.random.Philox(key=7))
    clip = rendered("syn/ground")[0]
    assert match_camera(clip, estimated("real/ground"), CameraMatch(), rng).shape == clip.shape


def test_everything_off_or_at_no_strength_leaves_the_clip_alone() -> None:
    clip, target = rendered("syn/ground")[0], estimated("real/ground")
    off, nothing = (
        match_camera(clip, target, config, np.random.default_rng(0))
        for config in (NOTHING, CameraMatch(strength=0.0))
    )
    np.testing.assert_array_equal(off, clip)
    # There and back through CIELAB a few values round to their neighbor.
    assert np.abs(nothing.astype(int) - clip).max() <= 1 and (nothing != clip).mean() < 1e-3


@pytest.mark.parametrize("effect", ["shake", "motion_blur", "blur", "exposure", "drift", "noise"])
def test_each_effect_is_a_switch_of_its_own(effect: str) -> None:
    clip = rendered("syn/ground")[1]
    target = estimated("real/ground").model_copy(update={"shutter": 1.0})
    config = NOTHING.model_copy(update={effect: True})
    changed = match_camera(clip, target, config, np.random.default_rng(4))
    assert not np.array_equal(changed, clip)
    moved = np.abs(shake.motion_steps(luma(changed))[:, :2]).max() > 0.1
    assert moved == (effect == "shake")


def test_a_wild_path_stays_within_the_largest_shift() -> None:
    frames = rounded(shaken(wandering(10, 12.0, 0.0)))
    target = estimate_cameras([frames])
    still = np.stack([frames[0]] * 10)
    config = NOTHING.model_copy(update={"shake": True, "largest_shift": 0.05})
    moved = match_camera(still, target, config, np.random.default_rng(0))
    steps = shake.motion_steps(luma(moved))
    places = np.cumsum(steps, axis=0)[:, :2]
    assert 1.0 < np.hypot(*places.T).max() < 2.2 * 0.05 * 112


def test_black_clips_are_left_out_and_counted() -> None:
    black, clip = np.zeros((4, 48, 48, 3), np.uint8), rendered("real/ground")[0]
    statistics = estimate_cameras([black, clip, np.full_like(black, 200)])
    assert (statistics.clips, statistics.left_out) == (1, 2)
    with pytest.raises(ViddaError, match="none of 1 target clips"):
        estimate_cameras([black])


@pytest.mark.parametrize(
    "shape", [(1, 64, 64, 3), (2, 64, 64, 3), (3, 8, 8, 3), (4, 17, 40, 3), (3, 4, 4, 3)]
)
def test_short_small_and_oblong_clips_are_matched_and_measured(shape: tuple[int, ...]) -> None:
    noise = np.random.default_rng(0).integers(0, 256, shape).astype(np.uint8)
    black = np.zeros(shape, np.uint8)
    target = estimated("real/ground")
    for clip in (noise, black):
        assert match_camera(clip, target, CameraMatch(), np.random.default_rng(0)).shape == shape
    statistics = estimate_cameras([noise])
    assert np.isfinite(np.array(statistics.cameras[0].noise)).all()
    assert match_camera(
        rendered("syn/air")[0], statistics, CameraMatch(), np.random.default_rng(0)
    ).any()


def test_statistics_survive_the_disk(tmp_path: Path) -> None:
    statistics = estimated("real/ground")
    file = tmp_path / "camera.json"
    statistics.write(file)
    assert CameraStatistics.read(file) == statistics
    assert len(json.loads(file.read_text())["cameras"]) == statistics.clips == len(plans("syn/air"))
    file.write_text("{}")
    with pytest.raises(ViddaError, match=r"camera\.json: not camera statistics.*estimate them"):
        CameraStatistics.read(file)
    with pytest.raises(ViddaError, match="not camera statistics"):
        CameraStatistics.read(tmp_path / "missing.json")


def test_vivid_clothes_stay_within_the_saturation_of_the_target() -> None:
    vivid = np.full((4, 64, 64, 3), 120, np.uint8)
    vivid[:, 20:44, 28:36] = [20, 90, 250]
    vivid[:, 44:60, 28:36] = [180, 60, 20]
    target = estimated("real")
    for camera, frames in zip(target.cameras, rendered("real"), strict=True):
        colors = light.chroma(light.to_lab(frames))
        assert camera.chroma == pytest.approx(np.quantile(colors, 0.99))
        alone = target.model_copy(update={"cameras": (camera,)})
        matched = match_camera(vivid, alone, CameraMatch(noise=False), np.random.default_rng(0))
        # Rounding to 8 bits adds a little.
        assert light.chroma(light.to_lab(matched)).max() < camera.chroma + 2.0

    own = light.to_lab(vivid)
    limited = light.limit_chroma(own, 30.0, 1.0)
    assert np.array_equal(limited[..., 0], own[..., 0])
    still = light.chroma(own) <= 30.0
    assert np.array_equal(limited[still], own[still])
    hue = [np.arctan2(lab[..., 2], lab[..., 1])[~still] for lab in (limited, own)]
    assert np.allclose(*hue, atol=1e-5)
    assert light.chroma(light.limit_chroma(own, 30.0, 0.5)).max() > 40.0
