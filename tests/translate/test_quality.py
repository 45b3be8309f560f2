"""The figures of a translated clip, and what keeps it out of the manifest."""

import json

import numpy as np
import pytest
from clips import moving

from vidda.control.controls import Controls
from vidda.control.flow import DisConfig
from vidda.control.keypoints import Pose
from vidda.translate import quality
from vidda.translate.keep_if import KeepIf

NO_CONTROLS = Controls(None, None, None, None, None, None, None)
FLOW = DisConfig().build()


def shifted(frames: int = 6, dx: int = 2, dy: int = -1) -> np.ndarray:
    """(T, 48, 64, 3) uint8: a still texture whose content moves by (dx, dy) pixels a frame."""
    wide = moving(1, 112, 128)[0]
    return np.stack(
        [wide[32 - t * dy : 80 - t * dy, 32 - t * dx : 96 - t * dx] for t in range(frames)]
    )


def known_motion(frames: int = 6, dx: int = 2, dy: int = -1) -> tuple[np.ndarray, np.ndarray]:
    """Flow to the frame before of `shifted`, and the rim that has come in since."""
    motion = np.zeros((frames, 48, 64, 2), np.float32)
    motion[1:] = (-dx, -dy)
    hidden = np.zeros((frames, 48, 64), bool)
    hidden[1:, :, :dx] = True
    hidden[1:, dy:, :] = True
    return motion, hidden


def test_warp_error_is_the_noise_that_the_motion_does_not_explain() -> None:
    clip, (motion, hidden) = shifted(), known_motion()
    assert quality.warp_error(clip, motion, hidden) == pytest.approx(0.0, abs=1e-12)
    noise = np.random.default_rng(0).normal(0.0, 8.0, clip.shape)
    noisy = np.rint(np.clip(clip * 0.5 + 60.0 + noise, 0, 255)).astype(np.uint8)
    expected = 2 * (8.0 / 255.0) ** 2
    assert quality.warp_error(noisy, motion, hidden) == pytest.approx(expected, rel=0.05)


def test_only_visible_pixels_count() -> None:
    clip, (motion, hidden) = shifted(), known_motion()
    spoilt = clip.copy()
    spoilt[:, :10, :10] = np.random.default_rng(0).integers(0, 256, (len(clip), 10, 10, 3))
    assert quality.warp_error(spoilt, motion, hidden) > 1e-3
    hidden[:, :12, :12] = True
    assert quality.warp_error(spoilt, motion, hidden) == pytest.approx(0.0, abs=1e-12)
    assert quality.warp_error(clip, motion, np.ones_like(hidden)) is None


def test_flow_epe_is_the_difference_in_speed() -> None:
    motion, hidden = known_motion()
    hidden[:, :8] = hidden[:, -8:] = True
    hidden[:, :, :8] = hidden[:, :, -8:] = True
    same = quality.flow_epe(shifted(), motion, hidden, FLOW)
    faster = quality.flow_epe(shifted(dx=4), motion, hidden, FLOW)
    assert same is not None and same < 0.2
    assert faster == pytest.approx(2.0, abs=0.3)


def test_a_flickering_translation_has_a_larger_ratio_than_a_steady_one() -> None:
    noise = np.random.default_rng(0).normal(0.0, 3.0, shifted().shape)
    source = np.clip(shifted() + noise, 0, 255).astype(np.uint8)
    steady = (255 - source // 2).astype(np.uint8)
    flicker = steady.astype(int) + np.array([0, 25, -10, 20, -25, 15])[:, None, None, None]
    jumping = np.clip(flicker, 0, 255).astype(np.uint8)
    calm, bad = (
        quality.measure_quality(source, clip, NO_CONTROLS, FLOW) for clip in (steady, jumping)
    )
    assert calm.warp_error_ratio is not None and bad.warp_error_ratio is not None
    assert calm.warp_error_ratio < 1.5 < 10.0 * calm.warp_error_ratio < bad.warp_error_ratio
    assert bad.warp_error_ratio == pytest.approx(bad.warp_error / bad.source_warp_error)
    assert calm.brightness_range < 1.0 < 5.0 < bad.brightness_range


def test_a_still_source_does_not_make_the_ratio_infinite() -> None:
    source = np.stack([moving(1)[0]] * 3)
    found = quality.measure_quality(source, source, NO_CONTROLS, FLOW)
    assert found.source_warp_error == 0.0 and found.warp_error_ratio == 1.0


def test_the_controls_flow_is_used_where_there_is_one() -> None:
    source = shifted()
    motion, hidden = quality.flow_to_previous(source, FLOW)
    assert not motion[0].any() and not hidden[0].any()
    given = Controls(None, None, None, motion, None, hidden, None)
    computed = quality.measure_quality(source, source, NO_CONTROLS, FLOW)
    assert quality.measure_quality(source, source, given, FLOW) == computed
    none_visible = Controls(None, None, None, motion, None, np.ones_like(hidden), None)
    assert quality.measure_quality(source, source, none_visible, FLOW).warp_error is None


def test_drift_is_reported_in_cielab_units_a_frame() -> None:
    gray = np.full((5, 16, 16, 3), 128, np.uint8)
    assert quality.brightness_drift(gray) == (0.0, 0.0)
    # sRGB 119 has L* 50.03, 120 has 50.43; the ramp is as good as straight.
    ramp = np.arange(100, 140, 10, dtype=np.uint8)[:, None, None, None] * np.ones(
        (1, 8, 8, 3), np.uint8
    )
    slope, farthest = quality.brightness_drift(ramp)
    assert slope == pytest.approx(4.0, abs=0.1) and farthest == pytest.approx(3 * slope, rel=0.02)
    assert quality.brightness_drift(ramp[::-1])[0] == pytest.approx(-slope)
    assert quality.color_drift(ramp) == (pytest.approx(0, abs=0.05), pytest.approx(0, abs=0.1))
    redder = gray[:4].copy()
    redder[..., 0] += np.arange(0, 40, 10, dtype=np.uint8)[:, None, None]
    slope, farthest = quality.color_drift(redder)
    assert slope > 2.0 and farthest == pytest.approx(3 * slope, rel=0.1)
    assert quality.color_drift(gray[:1]) == (0.0, 0.0)


def people(frames: int = 3) -> Pose:
    rng = np.random.default_rng(0)
    keypoints = rng.uniform(0, 30, (frames, 2, 17, 2)).astype(np.float32)
    keypoints[:, 1, :, 0] += 100.0
    return Pose(keypoints, np.ones((frames, 2, 17), np.float32))


def test_pose_agreement_does_not_depend_on_the_order_of_people() -> None:
    source = people()
    assert quality.pose_agreement(source, source) == 1.0
    swapped = Pose(source.keypoints[:, ::-1], source.scores[:, ::-1])
    assert quality.pose_agreement(source, swapped) == 1.0
    far = Pose(source.keypoints + np.float32([0.0, 9.0]), source.scores)
    assert quality.pose_agreement(source, far) == 0.0


def test_joints_and_people_that_are_not_found_again_are_wrong() -> None:
    source = people()
    scores = source.scores.copy()
    scores[:, :, ::2] = 0.0  # 9 of 17 joints
    assert quality.pose_agreement(source, Pose(source.keypoints, scores)) == pytest.approx(8 / 17)
    one = Pose(source.keypoints[:, 1:], source.scores[:, 1:])
    assert quality.pose_agreement(source, one) == 0.5
    nobody = Pose(np.zeros((3, 0, 17, 2), np.float32), np.zeros((3, 0, 17), np.float32))
    assert quality.pose_agreement(source, nobody) == 0.0
    # A joint that the source does not know is not judged.
    assert quality.pose_agreement(Pose(source.keypoints, scores), source) == 1.0
    assert quality.pose_agreement(Pose(source.keypoints, 0.0 * scores), source) is None


def test_a_joint_counts_from_the_threshold_on() -> None:
    source = people()
    scores = source.scores.copy()
    scores[:, :, ::2] = 0.5  # 9 of 17 joints, which are not found again
    seen = Pose(source.keypoints, np.where(scores == 0.5, 0.0, scores))
    unsure = Pose(source.keypoints, scores)
    assert quality.pose_agreement(unsure, seen, 0.5) == pytest.approx(8 / 17)
    assert quality.pose_agreement(unsure, seen, 0.51) == 1.0
    assert quality.pose_agreement(Pose(source.keypoints, 0.0 * scores), seen, 0.0) is None


def test_a_lost_arm_shows_in_the_wrists_alone() -> None:
    source = people()
    lost = source.keypoints.copy()
    side = np.ptp(lost[..., 1], axis=-1).max()
    lost[:, :, quality.WRISTS[0]] += np.float32([0.0, 0.15 * side])
    found = Pose(lost, source.scores)
    assert quality.pose_agreement(source, found) == 1.0
    controls = Controls(None, source, None, None, None, None, None)
    measured = quality.measure_quality(shifted(3), shifted(3), controls, FLOW, found=found)
    assert measured.pck == 1.0 and measured.wrist_pck == 0.5
    unseen = source.scores.copy()
    unseen[..., list(quality.WRISTS)] = 0.0
    assert quality.pose_agreement(Pose(lost, unseen), found, joints=quality.WRISTS) is None


def test_the_pose_enters_where_an_estimator_gave_one() -> None:
    source, pose = shifted(3), people()
    controls = Controls(None, pose, None, None, None, None, None)
    assert quality.measure_quality(source, source, controls, FLOW).pck is None
    assert quality.measure_quality(source, source, controls, FLOW, found=pose).pck == 1.0


def test_a_clip_of_one_frame_has_no_figures_of_movement() -> None:
    image = moving(1)
    found = quality.measure_quality(image, image, NO_CONTROLS, FLOW)
    assert found.warp_error is found.warp_error_ratio is found.flow_epe is None
    assert found.columns()["warp_error"] == "" and found.columns()["color_range"] == "0"
    assert json.loads(json.dumps(found.named()))["flow_epe"] is None
    assert quality.defects(image, image) == ()


def test_defects_are_named_with_their_frames() -> None:
    source = moving(5)
    assert quality.defects(source, source) == ()
    broken = source.astype(np.float32)
    broken[2, 3, 4, 0] = np.nan
    assert quality.defects(broken, source) == (
        "1 of 5 frames with NaN or infinite values, first frame 2",
    )
    black, plain, frozen = (source.copy() for _ in range(3))
    black[1:3] = 2
    plain[4] = (10, 200, 30)
    frozen[3:] = frozen[2]
    assert quality.defects(black, source) == ("2 of 5 frames black, first frame 1",)
    assert quality.defects(plain, source) == ("1 of 5 frames of one color, first frame 4",)
    assert quality.defects(frozen, source) == (
        "2 of 5 frames frozen while the source moves, first frame 3",
    )


def test_what_the_source_shows_itself_is_no_defect() -> None:
    still = np.stack([moving(1)[0]] * 4)
    assert quality.defects(still, still) == ()
    black = np.zeros((2, 16, 16, 3), np.uint8)
    assert quality.defects(black, black) == ()
    assert quality.defects(black, moving(2, 16, 16)) == ("2 of 2 frames black, first frame 0",)


def test_limits_say_which_figure_breaks_them() -> None:
    source = shifted()
    found = quality.measure_quality(source, source, NO_CONTROLS, FLOW)
    assert KeepIf().reasons(found) == ()
    assert KeepIf(max_warp_error_ratio=2.0, max_flow_epe=0.5).reasons(found) == ()
    bad = quality.Quality(0.1, 0.01, 10.0, None, 0.4, 0.3, -0.6, 3.0, 0.0, 0.0)
    limits = KeepIf(
        max_warp_error_ratio=2.5,
        max_flow_epe=0.5,
        min_pck=0.7,
        min_wrist_pck=0.5,
        max_brightness_slope=0.5,
    )
    assert limits.reasons(bad) == (
        "warp_error_ratio 10 is over keep_if.max_warp_error_ratio 2.5",
        "pck 0.4 is under keep_if.min_pck 0.7",
        "wrist_pck 0.3 is under keep_if.min_wrist_pck 0.5",
        "brightness_slope -0.6 is over keep_if.max_brightness_slope 0.5",
    )


def test_every_limit_judges_a_figure_that_exists() -> None:
    figures = set(quality.Quality.__dataclass_fields__)
    assert {key.partition("_")[2] for key in KeepIf.model_fields} <= figures


def test_a_limit_on_poses_needs_an_estimator() -> None:
    assert KeepIf(min_pck=0.5).problems(poses=True) == KeepIf().problems(poses=False) == []
    assert "keep_if.min_pck" in KeepIf(min_pck=0.5).problems(poses=False)[0]
    assert "keep_if.min_wrist_pck" in KeepIf(min_wrist_pck=0.5).problems(poses=False)[0]
