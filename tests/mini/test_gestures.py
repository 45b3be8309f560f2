"""Gestures as data: RoCoG-v2's seven as they were, thirteen drone commands, and a user's own."""

from pathlib import Path

import numpy as np
import pytest

from vidda.errors import ViddaError
from vidda.mini.body import Body, Posture, joints
from vidda.mini.gesture_file import BUILT_IN, Gesture, gesture_path, load_gestures
from vidda.mini.gestures import GESTURES, ROCOG, Style, arms, draw_performance

HELD = Style(-1.0, 99.0, 0.3, 1.0, 1.0, left_handed=False)
DRONE13 = load_gestures("drone13")
TRIES = 40
OLD = {
    "Advance": [
        (0.6010804, -0.5093342, -0.6158580, 0.6638783, -0.3057190, -0.6824965),
        (0.1834935, 0.9193596, 0.3480058, 0.1834935, 0.9193596, 0.3480058),
        (0.2586986, 0.9610201, 0.0975466, 0.2200633, 0.9680118, 0.1205213),
    ],
    "Attention": [
        (0.6187664, 0.0238921, -0.7852116, 0.5867383, 0.2368700, -0.7743583),
        (0.7981619, 0.0490916, 0.6004395, -0.3534083, 0.1562157, 0.9223336),
        (0.9672155, 0.0538891, 0.2481737, -0.0107852, 0.5744087, 0.8184976),
    ],
    "Rally": [
        (0.8388880, 0.0777575, -0.5387214, 0.7140165, 0.3359533, -0.6142604),
        (-0.1039792, -0.0408517, 0.9937401, -0.4026786, -0.1743624, 0.8985809),
        (0.1992813, 0.5714248, 0.7960908, -0.2317545, 0.7560948, 0.6120543),
    ],
    "MoveForward": [
        (0.2426371, 0.3853410, -0.8903031, 0.1068219, 0.5864895, -0.8028818),
        (0.3365771, 0.9415279, -0.0155247, -0.0299593, 0.3545872, 0.9345429),
        (0.3695352, 0.9041140, -0.2145263, -0.0138395, 0.5593975, 0.8287840),
    ],
    "Halt": [
        (0.8305496, 0.2342832, -0.5052710, 0.5270238, 0.7060768, -0.4729708),
        (0.1572259, 0.0982662, 0.9826616, 0.1572259, 0.0982662, 0.9826616),
        (0.5425400, 0.2102089, 0.8133035, 0.3965836, 0.4137842, 0.8194535),
    ],
    "FollowMe": [
        (0.3610521, 0.3316159, -0.8715918, 0.2769688, 0.5440825, -0.7919991),
        (0.5154490, 0.8512836, -0.0981251, -0.4387448, 0.5761100, 0.6896378),
        (0.5108629, 0.8070129, -0.2962251, -0.6683587, 0.6061690, 0.4311099),
    ],
    "MoveInReverse": [
        (0.2807706, -0.0342216, -0.9591646, 0.1807142, 0.8162628, -0.5486870),
        (0.4249316, 0.7528399, -0.5026582, 0.0202002, 0.8933109, 0.4489850),
        (0.3575477, 0.7628274, -0.5387523, 0.0353242, 0.9954481, 0.0885167),
    ],
}
"""Directions of the right arm, computed by the functions that the file of key poses replaced."""

WAVE = """
gestures:
  wave:
    one_arm:
      repeat:
        - {at: 0, upper: [1, 0, 0], forearm: [0.4, 0, 1]}
        - {at: 0.5, upper: [1, 0, 0], forearm: [-0.4, 0, 1]}
  point_and_raise:
    right_arm:
      hold: [{upper: [0, 1, 0]}]
    left_arm:
      hold: [{upper: [0, 0, 1]}]
"""


@pytest.mark.parametrize("name", GESTURES)
def test_the_seven_move_as_they_did_before_they_were_data(name: str) -> None:
    style = Style(0.05, 1.4, 0.4, 0.9, 0.8, left_handed=False)
    both = arms(ROCOG[name], np.array([0.2, 0.8, 1.5]), style)
    np.testing.assert_allclose(both[:, 0].reshape(3, 6), OLD[name], atol=1e-6)
    assert list(OLD) == list(GESTURES)
    assert draw_performance(np.random.default_rng(0), ROCOG[name]) is ROCOG[name]


def poses(name: str) -> list[dict[str, np.ndarray]]:
    """Joints, (3,) in body heights, of people who perform a drone command in their ways."""
    body = Body(1.0, 1.0, 1.0, short_sleeves=True, short_trousers=False, long_hair=False)
    still = Posture(*(np.zeros(1) for _ in range(4)), np.full(1, 0.2))
    found = []
    for seed in range(TRIES):
        performed = draw_performance(np.random.default_rng(seed), DRONE13[name])
        points = joints(body, still, arms(performed, np.ones(1), HELD))
        found.append({joint: at[0] for joint, at in points.items()})
    return found


def upright(p: dict[str, np.ndarray], side: str) -> bool:
    """Whether the elbow is away from the body and the forearm points up."""
    sign = 1.0 if side == "right" else -1.0
    fore = p[f"{side}_wrist"] - p[f"{side}_elbow"]
    out = sign * (p[f"{side}_elbow"] - p[f"{side}_shoulder"])[0]
    return bool(fore[2] > 0.1 and out > 0.09 and p[f"{side}_wrist"][2] < p["crown"][2] + 0.05)


def hangs(p: dict[str, np.ndarray], side: str) -> bool:
    return bool(p[f"{side}_wrist"][2] < 0.52 and abs(p[f"{side}_wrist"][0]) < 0.22)


def straight_out(p: dict[str, np.ndarray], side: str) -> bool:
    sign = 1.0 if side == "right" else -1.0
    wrist, shoulder = p[f"{side}_wrist"], p[f"{side}_shoulder"]
    return bool(sign * (wrist - shoulder)[0] > 0.26 and abs(wrist[2] - shoulder[2]) < 0.12)


def forward(p: dict[str, np.ndarray], side: str) -> bool:
    return bool((p[f"{side}_wrist"] - p[f"{side}_shoulder"])[1] > 0.11)


def wrists(p: dict[str, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    return p["right_wrist"], p["left_wrist"]


def test_take_off_has_both_wrists_above_the_head() -> None:
    for p in poses("take_off"):
        assert all(wrist[2] > p["crown"][2] for wrist in wrists(p))


def test_land_left_and_right_have_the_persons_own_arm_out() -> None:
    for p in poses("land"):
        assert straight_out(p, "right") and straight_out(p, "left")
    for name, other in (("left", "right"), ("right", "left")):
        assert all(straight_out(p, name) and hangs(p, other) for p in poses(name))


def test_up_down_and_video_have_forearms_upright() -> None:
    for p in poses("video"):
        assert upright(p, "right") and upright(p, "left")
    for name, side, other in (("up", "right", "left"), ("down", "left", "right")):
        assert all(upright(p, side) and hangs(p, other) for p in poses(name))


def test_closer_and_further_point_to_the_front() -> None:
    for name, side, other in (("closer", "left", "right"), ("further", "right", "left")):
        for p in poses(name):
            assert forward(p, side) and hangs(p, other)
            assert p[f"{side}_wrist"][2] > p["pelvis"][2] + 0.08


def test_follow_crosses_the_forearms_in_front_of_the_chest() -> None:
    for p in poses("follow"):
        right, left = wrists(p)
        assert right[0] < left[0] and min(right[1], left[1]) > 0.02
        assert all(0.62 < wrist[2] < p["crown"][2] for wrist in (right, left))


def test_emergency_has_the_hands_at_the_head_and_the_elbows_out() -> None:
    for p in poses("emergency"):
        for side in ("right", "left"):
            assert np.linalg.norm(p[f"{side}_hand"] - p["head"]) < 0.13
            assert abs(p[f"{side}_elbow"][0]) > 0.19 > abs(p[f"{side}_wrist"][0])
            assert p[f"{side}_elbow"][2] > p[f"{side}_shoulder"][2]


def test_photo_has_the_hands_on_the_hips_and_the_elbows_out() -> None:
    for p in poses("photo"):
        for side in ("right", "left"):
            assert np.linalg.norm(p[f"{side}_hand"] - p[f"{side}_hip"]) < 0.11
            assert abs(p[f"{side}_elbow"][0]) > abs(p[f"{side}_wrist"][0]) + 0.05


def test_video_pause_has_the_hands_together_low_in_front() -> None:
    for p in poses("video_pause"):
        right, left = wrists(p)
        assert np.linalg.norm(right - left) < 0.16
        assert min(right[1], left[1]) > 0.02
        assert max(right[2], left[2]) < p["pelvis"][2] + 0.13


def test_a_drone_command_does_not_change_sides_with_the_hand() -> None:
    left_handed = Style(-1.0, 99.0, 0.3, 1.0, 1.0, left_handed=True)
    for gesture in DRONE13.values():
        np.testing.assert_array_equal(
            arms(gesture, np.ones(1), HELD), arms(gesture, np.ones(1), left_handed)
        )


@pytest.mark.parametrize("name", DRONE13)
def test_performances_differ_and_their_arms_are_unit_vectors(name: str) -> None:
    found = []
    for seed in range(TRIES):
        performed = draw_performance(np.random.default_rng(seed), DRONE13[name])
        found.append(arms(performed, np.ones(1), HELD)[0])
    np.testing.assert_allclose(np.linalg.norm(found, axis=-1), 1.0, atol=1e-9)
    moving = [n for n, movement in enumerate(DRONE13[name].movements) if movement]
    for arm in moving:
        assert np.std(np.stack(found)[:, arm], axis=0).max() > 0.05


def written(folder: Path, text: str) -> str:
    (folder / "mine.yaml").write_text(text)
    return str(folder / "mine.yaml")


def test_a_users_own_file_is_read(tmp_path: Path) -> None:
    found = load_gestures(written(tmp_path, WAVE))
    assert list(found) == ["wave", "point_and_raise"]
    style = Style(-1.0, 99.0, 0.5, 1.0, 1.0, left_handed=False)
    # Seven tenths of a second of a raise are past when the first cycle begins.
    start = -1.0 + 0.6 * 0.5
    wave = arms(found["wave"], start + np.array([1.0, 1.5, 1.25]), style)
    outward = wave[:, 0, 1, 0]
    np.testing.assert_allclose(
        outward, [0.4 / np.hypot(0.4, 1), -0.4 / np.hypot(0.4, 1), 0.0], atol=1e-9
    )
    both = arms(found["point_and_raise"], np.ones(1), style)[0]
    np.testing.assert_allclose(both[0], [[0, 1, 0]] * 2, atol=1e-9)
    np.testing.assert_allclose(both[1], [[0, 0, 1]] * 2, atol=1e-9)


POSE = "{upper: [1, 0, 0]}"


@pytest.mark.parametrize(
    ("movement", "said"),
    [
        ("one_arm: {hold: [{upper: [0, 0, 0]}]}", "hold.0.upper: 0, 0, 0 is no direction"),
        ("one_arm: {hold: [{upper: [0, 0, 1], forarm: [0, 0, 1]}]}", "did you mean 'forearm'"),
        ("one_arm: {}", "one_arm: give either hold or repeat"),
        (f"one_arm: {{hold: [{POSE}], repeat: [{POSE}]}}", "give either hold or repeat"),
        (
            f"one_arm: {{hold: [{POSE}, {{upper: [0, 0, 1], small: {POSE}}}]}}",
            "hold: small goes with one pose",
        ),
        (f"one_arm: {{repeat: [{POSE}]}}", "repeat: has one pose"),
        (f"one_arm: {{repeat: [{POSE}, {POSE}]}}", "times (at) are 0, 0; start at 0 and go up"),
        (
            f"one_arm: {{repeat: [{POSE}, {{at: 0.5, upper: [-1, 0, 0]}}]}}",
            "poses 0 and 1 are opposite",
        ),
        ("one_arm: {hold: [{at: 0.5, upper: [1, 0, 0]}]}", "hold: has no times"),
        (
            f"one_arm: {{hold: [{POSE}, {POSE}], circle: {{upper: 1, forearm: 1}}}}",
            "circle: goes with one pose",
        ),
        (f"one_arm: {{hold: [{POSE}]}}\n    left_arm: {{hold: [{POSE}]}}", "give one_arm, or both"),
        ("means: nothing", "give one_arm, or both_arms, or right_arm and left_arm"),
        ("one_arm: {hold: [{upper: [1, 0]}]}", "mine.yaml: gestures.bad.one_arm.hold.0.upper"),
    ],
)
def test_a_mistake_in_a_file_is_one_line(tmp_path: Path, movement: str, said: str) -> None:
    text = f"{WAVE}  bad:\n    {movement}\n"
    with pytest.raises(ViddaError) as error:
        load_gestures(written(tmp_path, text))
    assert said in str(error.value) and len(str(error.value).splitlines()) == 1
    assert str(error.value).startswith(f"{tmp_path / 'mine.yaml'}: gestures.bad")


def test_an_unknown_set_of_gestures_is_named_with_those_that_are_known(tmp_path: Path) -> None:
    with pytest.raises(ViddaError, match="'drone14' is neither a file nor one of rocog, drone13"):
        gesture_path("drone14")
    with pytest.raises(ViddaError, match=r"gestures: .*at least 2"):
        load_gestures(written(tmp_path, f"gestures: {{a: {{one_arm: {{hold: [{POSE}]}}}}}}"))


def test_every_built_in_gesture_says_what_it_means() -> None:
    for name in BUILT_IN:
        gestures: dict[str, Gesture] = load_gestures(name)
        assert all(gesture.means for gesture in gestures.values())
