#!/usr/bin/env bash
# pose-format 0.15.0 (numpy 2.4.6): cropping a copy of a pose changes the size of the original.
#
# Expected: pose.copy() is independent of the pose; get_components returns "a Pose object containing new
#   components". Normalizing either leaves the original alone.
# Seen: a copy has its own points and the *same* header. copy.focus() crops the copy's points and
#   replaces width and height for both: the original keeps coordinates of a frame of 640 x 480
#   under a header of, say, 100 x 200. Components share the sizes in the same way: after
#   normalize_pose_size(hand) the whole body is said to be 512 x 512. Written files keep the error.
# Hurts: whoever divides coordinates by the header's size to compare cameras or to feed a network, or
#   draws poses over their video: they are off by the ratio of the sizes, without any error, and
#   only where a preview or a normalized copy was made before.
# Remedy: copy.deepcopy(pose).
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q --disable-pip-version-check numpy==2.4.6 scipy==1.17.1 tqdm==4.70.1
"$folder/venv/bin/pip" install -q --disable-pip-version-check --no-deps pose-format==0.15.0

"$folder/venv/bin/python" - "$folder" <<'PYTHON'
import copy
import sys

import numpy as np
from pose_format import Pose
from pose_format.numpy import NumPyPoseBody
from pose_format.pose_header import PoseHeader, PoseHeaderDimensions
from pose_format.utils.generic import normalize_pose_size
from pose_format.utils.openpose import OpenPose_Components


def person():
    header = PoseHeader(0.2, PoseHeaderDimensions(640, 480), OpenPose_Components)
    random = np.random.default_rng(0)
    points = random.uniform([300, 200], [400, 400], (8, 1, header.total_points(), 2))
    return Pose(header, NumPyPoseBody(25, points, np.ones(points.shape[:3])))


def size(pose):
    return pose.header.dimensions.width, pose.header.dimensions.height


def written(pose):
    with open(sys.argv[1] + "/person.pose", "wb") as file:
        pose.write(file)
    with open(sys.argv[1] + "/person.pose", "rb") as file:
        return Pose.read(file.read())


sizes = {}
for name, how in (
    ("pose.copy().focus()", lambda pose: pose.copy().focus()),
    ("normalize_pose_size(pose.get_components([...]))",
     lambda pose: normalize_pose_size(pose.get_components(["hand_left_keypoints_2d"]))),
    ("copy.deepcopy(pose).focus()", lambda pose: copy.deepcopy(pose).focus()),
):  # fmt: skip
    pose = person()
    before, x = size(pose), float(pose.body.data[0, 0, 0, 0])
    how(pose)
    again = written(pose)
    sizes[name] = size(again)
    assert np.isclose(again.body.data[0, 0, 0, 0], x)  # its points stay where they were
    print(f"{name}: the original's size was {before}, is {size(again)}; "
          f"its first point at {x / before[0]:.2f} of the width, now {x / size(again)[0]:.2f}")  # fmt: skip
assert sizes.pop("copy.deepcopy(pose).focus()") == (640, 480)
if set(sizes.values()) == {(640, 480)}:
    sys.exit("The behaviour has changed: copies have a header of their own.")
PYTHON
