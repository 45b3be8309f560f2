"""MiniRoCoG's person, cameras and drawing."""

import math

import numpy as np
import pytest

from vidda.mini import gestures, raster, rooms, shadows
from vidda.mini.body import Body, Limbs, Posture, joints, limbs
from vidda.mini.cameras import Viewpoint, aim_camera
from vidda.mini.clip import FACTORS, render
from vidda.mini.staging import Performer, Scene, find_joints
from vidda.sidecar import COCO_17, REGIONS

TIMES = np.arange(24) / 12.0
AVERAGE = Body(1.75, 1.0, 1.0, short_sleeves=True, short_trousers=False, long_hair=False)


def style(left_handed: bool = False) -> gestures.Style:
    return gestures.Style(0.0, 9.0, 0.3, 1.0, 1.0, left_handed)


def standing(moments: int) -> Posture:
    zero = np.zeros(moments)
    return Posture(zero, zero, zero, zero, zero + 0.3)


def scene(**changes: object) -> Scene:
    values: dict[str, object] = {
        "gesture": gestures.ROCOG["Rally"],
        "person": Performer(AVERAGE, 0, False, 1.0, 1.0, 1.0),
        "view": "ground",
        "viewpoint": Viewpoint(0.0, 1.5, 10.0),
        "altitude_m": None,
        "terrain": "Grassy Terrain",
        "sun_preset": 0,
        "mocap": True,
        "factors": FACTORS,
        "seed": (0, 1),
        "outfit_seed": (0, 2),
        "surroundings_seed": (0, 3),
    }
    return Scene(**{**values, **changes})  # type: ignore[arg-type]


@pytest.mark.parametrize("gesture", gestures.GESTURES)
def test_arm_directions_are_unit_vectors_and_mirror_with_the_hand(gesture: str) -> None:
    right, left = (
        gestures.arms(gestures.ROCOG[gesture], TIMES, style(side)) for side in (False, True)
    )
    assert right.shape == (24, 2, 2, 3)
    np.testing.assert_allclose(np.linalg.norm(right, axis=-1), 1.0, atol=1e-9)
    np.testing.assert_array_equal(right, left[:, ::-1])


@pytest.mark.parametrize("gesture", gestures.GESTURES)
def test_only_two_armed_gestures_move_both_arms(gesture: str) -> None:
    arms = gestures.arms(gestures.ROCOG[gesture], TIMES, style())
    other_moves = np.ptp(arms[:, 1], axis=0).max() > 0.1
    assert other_moves == (gesture in gestures.TWO_ARMED)
    assert np.ptp(arms[:, 0], axis=0).max() > 0.1


def test_halt_is_held_and_every_other_gesture_repeats() -> None:
    settled = TIMES > 0.6
    for gesture in gestures.GESTURES:
        moves = (
            np.ptp(gestures.arms(gestures.ROCOG[gesture], TIMES, style())[settled, 0], axis=0).max()
            > 0.2
        )
        assert moves == (gesture != "Halt"), gesture


def test_gestures_differ_from_each_other_by_more_than_their_own_amplitude() -> None:
    tracks = [gestures.arms(gestures.ROCOG[g], TIMES, style()).ravel() for g in gestures.GESTURES]
    for n, first in enumerate(tracks):
        for second in tracks[n + 1 :]:
            assert np.abs(first - second).mean() > 0.05


def test_bones_keep_their_length_and_feet_stay_on_the_ground() -> None:
    points = joints(
        AVERAGE, standing(24), gestures.arms(gestures.ROCOG["Attention"], TIMES, style())
    )
    assert set(COCO_17) <= points.keys()
    for first, second in (("right_shoulder", "right_elbow"), ("right_elbow", "right_wrist")):
        length = np.linalg.norm(points[first] - points[second], axis=-1)
        np.testing.assert_allclose(length, length[0])
    ankles = np.stack([points["left_ankle"], points["right_ankle"]])
    assert (ankles[..., 2] > 0.0).all() and (ankles[..., 2] < 0.12).all()
    assert points["right_shoulder"][0, 0] > 0 > points["left_shoulder"][0, 0]
    top = points["crown"][0, 2] + 0.05 * AVERAGE.height_m
    assert math.isclose(top, AVERAGE.height_m, rel_tol=0.03)


def test_every_region_but_background_is_worn() -> None:
    points = joints(AVERAGE, standing(1), gestures.arms(gestures.ROCOG["Halt"], TIMES[:1], style()))
    body = limbs(AVERAGE, points)
    assert set(body.region.tolist()) == set(range(1, len(REGIONS)))


def test_camera_in_front_sees_the_right_hand_on_the_left_and_up_is_up() -> None:
    camera = aim_camera(Viewpoint(0.0, 1.5, 10.0), 1.0, 2.8, 112, (0.0, 0.0))
    (middle, right, head), depth = camera.project(
        np.array([[0.0, 0.0, 1.0], [0.5, 0.0, 1.0], [0.0, 0.0, 1.7]])
    )
    np.testing.assert_allclose(middle, 55.5, atol=1e-6)
    assert right[0] < middle[0] and head[1] < middle[1]
    assert math.isclose(depth[0], 10.0, rel_tol=1e-6)
    assert math.isclose(middle[0] - right[0], 0.5 * 112 / 2.8, rel_tol=0.01)


@pytest.mark.parametrize("view", [Viewpoint(0.4, 1.5, 10.0), Viewpoint(2.0, 15.0, 22.0)])
def test_ground_coordinates_project_back_to_their_pixels(view: Viewpoint) -> None:
    camera = aim_camera(view, 1.0, 2.8, 64, (0.05, -0.02))
    where, depth = camera.ground(64, 64)
    rows, columns = np.nonzero(np.isfinite(depth))
    world = np.column_stack([where[rows, columns], np.zeros(len(rows))])
    pixels, again = camera.project(world)
    np.testing.assert_allclose(pixels, np.column_stack([columns, rows]), atol=1e-6)
    np.testing.assert_allclose(again, depth[rows, columns])
    if view.height_m < 2.0:
        assert np.isinf(depth[0]).all() and np.isfinite(depth[-1]).all()


def test_a_tilted_camera_turns_the_image_about_its_middle() -> None:
    points = np.array([[0.0, 0.0, 1.0], [0.5, 0.2, 1.4], [-0.3, 0.1, 0.4]])
    level = aim_camera(Viewpoint(0.2, 1.4, 4.0), 1.0, 2.8, 112, (0.0, 0.0)).project(points)[0]
    tilted = aim_camera(Viewpoint(0.2, 1.4, 4.0, roll=0.3), 1.0, 2.8, 112, (0.0, 0.0))
    cosine, sine = math.cos(0.3), math.sin(0.3)
    # A camera tilted to its right sees the world turned to the left.
    turned = (level - 55.5) @ np.array([[cosine, -sine], [sine, cosine]]) + 55.5
    np.testing.assert_allclose(tilted.project(points)[0], turned, atol=1e-6)


def test_the_floor_of_a_room_is_where_the_camera_sees_it() -> None:
    room = rooms.draw_room(np.random.default_rng(3), 0.4)
    lamp = rooms.draw_lamp(np.random.default_rng(4))
    camera = aim_camera(Viewpoint(0.4, 1.5, 4.0, roll=0.1), 0.9, 2.8, 48, (0.05, 0.0))
    image, floor_at = rooms.render_room(room, lamp, camera, 48)
    rows, columns = np.nonzero(floor_at[..., 0] < 1e3)
    world = np.column_stack([floor_at[rows, columns], np.zeros(len(rows))])
    pixels = camera.project(world)[0]
    assert len(rows) > 300 and image.min() >= 0.0 and np.isfinite(image).all()
    np.testing.assert_allclose(pixels, np.column_stack([columns, rows]), atol=0.5)


def test_an_orbiting_camera_keeps_its_distance() -> None:
    view = Viewpoint(0.0, 10.0, 20.0, orbit=0.3)
    places = [aim_camera(view, 1.0, 2.8, 64, (0.0, 0.0), t).position for t in (0.0, 1.0, 2.0)]
    distances = [np.linalg.norm(place - [0.0, 0.0, 1.0]) for place in places]
    np.testing.assert_allclose(distances, 20.0)
    assert np.linalg.norm(places[1] - places[0]) > 1.0


def test_a_ball_covers_its_disc_and_is_nearest_in_its_middle() -> None:
    ball = np.array([[[0.0, 0.0, 1.0]]])
    body = Limbs(ball, ball, np.array([0.5]), np.array([0.5]), np.array([2]))
    white = raster.Cloth(np.ones((1, 1, 3), np.float32), 1.0)
    sun = raster.Sun(np.array([0.0, 0.0, 1.0]), np.ones(3), np.zeros(3), 0.02, 1.0)
    camera = aim_camera(Viewpoint(0.0, 1.0, 10.0), 1.0, 2.0, 200, (0.0, 0.0))
    layers = raster.render_person(body, {2: white}, sun, [camera], 200)
    assert math.isclose(layers.cover.sum(), math.pi * 50**2, rel_tol=0.01)
    assert math.isclose(layers.depth[0, 100, 100], 9.5, abs_tol=0.02)
    assert set(np.unique(layers.region)) == {0, 2}
    # Lit from above: the upper half is bright, the lower half gets no sun.
    assert layers.color[0, 60, 100].mean() > 0.5 and layers.color[0, 140, 100].mean() < 0.01


def test_times_rendered_together_are_those_rendered_one_by_one() -> None:
    rng = np.random.default_rng(0)
    # Tapered limbs of two textures at random places: some hide others, some are out of the image.
    ends = rng.normal([0.0, 0.0, 1.0], [1.0, 1.0, 0.5], (2, 5, 9, 3))
    radii, region = rng.uniform(0.02, 0.3, (2, 9)), rng.integers(1, 3, 9)
    cloth = {
        1: raster.Cloth(rng.random((1, 1, 3), np.float32), 90.0),
        2: raster.Cloth(rng.random((8, 6, 3), np.float32), 40.0),
    }
    sun = raster.Sun(np.array([0.6, 0.0, 0.8]), np.ones(3), np.full(3, 0.3), 0.02, 1.0)
    view = Viewpoint(0.3, 4.0, 10.0, orbit=0.4)
    cameras = [aim_camera(view, 1.0, 3.0, 48, (0.0, 0.0), t) for t in range(5)]
    together = raster.render_person(Limbs(*ends, *radii, region), cloth, sun, cameras, 48)
    assert {0, 1, 2} == set(np.unique(together.region))
    for t in range(5):
        body = Limbs(*ends[:, t : t + 1], *radii, region)
        alone = raster.render_person(body, cloth, sun, cameras[t : t + 1], 48)
        for name in ("color", "cover", "region", "depth"):
            np.testing.assert_array_equal(getattr(together, name)[t], getattr(alone, name)[0])


def test_a_shadow_falls_away_from_the_sun() -> None:
    stick = np.array([[[0.0, 0.0, 0.0]]]), np.array([[[0.0, 0.0, 1.0]]])
    body = Limbs(*stick, np.array([0.05]), np.array([0.05]), np.array([2]))
    east = np.array([1.0, 0.0, 1.0]) / math.sqrt(2.0)
    sun = raster.Sun(east, np.ones(3), np.full(3, 0.3), 0.02, 1.0)
    shade = shadows.shadow_maps(body, sun)[0]
    rows, columns = np.nonzero(shade > 0.5)
    half, scale = shadows.SHADOW_PIXELS / 2, shadows.SHADOW_PIXELS / shadows.SHADOW_SIDE_M
    assert columns.min() >= half - 1.2 * scale and columns.max() <= half + 0.2 * scale
    assert columns.mean() < half - 0.3 * scale
    assert abs(rows.mean() - half) < 2


def test_the_same_scene_gives_the_same_clip_and_another_seed_another() -> None:
    first, again = render(scene(), 4, 8.0, 64), render(scene(), 4, 8.0, 64)
    other = render(scene(seed=(0, 99)), 4, 8.0, 64)
    assert first.frames.shape == (4, 64, 64, 3) and first.frames.dtype == np.uint8
    np.testing.assert_array_equal(first.frames, again.frames)
    np.testing.assert_array_equal(first.keypoints, again.keypoints)
    assert not np.array_equal(first.frames, other.frames)


@pytest.mark.parametrize("view", ["ground", "air"])
@pytest.mark.parametrize("factors", [frozenset(), FACTORS])
def test_truth_lies_on_the_person(view: str, factors: frozenset[str]) -> None:
    air = view == "air"
    viewpoint = Viewpoint(0.1, 15.0, 22.0, orbit=0.1) if air else Viewpoint(0.1, 1.5, 10.0)
    altitude = 15.0 if air else None
    clip = render(
        scene(view=view, viewpoint=viewpoint, altitude_m=altitude, factors=factors), 6, 8.0, 112
    )
    on, seen = 0, 0
    for keypoints, mask, box, depth in zip(
        clip.keypoints, clip.mask, clip.box, clip.depth, strict=True
    ):
        rows, columns = np.nonzero(mask)
        assert box.tolist() == [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
        np.testing.assert_array_equal(depth < 65535, mask > 0)
        for x, y, visible in keypoints:
            if visible == 2:
                seen += 1
                x0, y0 = round(float(x)), round(float(y))
                on += bool(mask[max(y0 - 1, 0) : y0 + 2, max(x0 - 1, 0) : x0 + 2].any())
    assert seen > 50 and on / seen > 0.97


def test_keypoints_3d_are_seen_by_one_camera_at_the_keypoints() -> None:
    """The direct linear transform finds the camera from both, and no frame contradicts it."""
    clip = render(scene(factors=frozenset()), 6, 8.0, 112)
    world = clip.keypoints_3d.reshape(-1, 3).astype(float)
    seen = clip.keypoints[..., :2].reshape(-1, 2).astype(float)
    assert clip.keypoints_3d.dtype == np.float32 and clip.keypoints_3d.shape == (6, 17, 3)
    whole = np.column_stack([world, np.ones(len(world))])
    unit = (seen - seen.mean(0)) / seen.std()
    rows = [
        np.concatenate([whole, np.zeros_like(whole), -unit[:, :1] * whole], axis=1),
        np.concatenate([np.zeros_like(whole), whole, -unit[:, 1:] * whole], axis=1),
    ]
    camera = np.linalg.svd(np.concatenate(rows))[2][-1].reshape(3, 4)
    projected = whole @ camera.T
    at = projected[:, :2] / projected[:, 2:] * seen.std() + seen.mean(0)
    np.testing.assert_allclose(at, seen, atol=0.05)
    named = dict(zip(COCO_17, clip.keypoints_3d[-1], strict=True))
    assert 0.0 < named["left_ankle"][2] < 0.2 < named["nose"][2] < AVERAGE.height_m
    assert named["right_shoulder"][0] > named["left_shoulder"][0]
    assert named["nose"][1] > named["left_ear"][1]


@pytest.mark.parametrize("factors", [frozenset(), FACTORS])
def test_joints_are_found_without_rendering(factors: frozenset[str]) -> None:
    clip = render(scene(factors=factors), 4, 8.0, 64)
    pixels, meters = find_joints(scene(factors=factors), 4, 8.0, 64)
    np.testing.assert_allclose(pixels, clip.keypoints[..., :2], atol=1e-4)
    np.testing.assert_allclose(meters, clip.keypoints_3d, atol=1e-6)


def test_each_factor_changes_the_picture_by_itself() -> None:
    plain = render(scene(factors=frozenset()), 3, 8.0, 64).frames.astype(float)
    for factor in FACTORS:
        changed = render(scene(factors=frozenset([factor])), 3, 8.0, 64).frames
        assert np.abs(changed - plain).mean() > 0.5, factor


def test_factors_leave_the_movement_alone() -> None:
    factors = FACTORS - {"camera"}
    plain, real = (render(scene(factors=f), 4, 8.0, 64) for f in (frozenset(), factors))
    np.testing.assert_allclose(plain.keypoints[..., :2], real.keypoints[..., :2], atol=1e-4)
