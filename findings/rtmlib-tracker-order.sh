#!/usr/bin/env bash
# rtmlib 0.0.16 (numpy 2.4.6): PoseTracker swaps people when the detector changes their order.
#
# Expected: PoseTracker follows people by the overlap of their boxes, and puts keypoints and scores
#   into the order of the track identities, so that row i of the result stays the same person.
# Seen: it uses each track's identity as an *index into the detections*. For three people that is
#   right only while the detector lists them in one order. A detector sorts by confidence, so the
#   order changes all the time: rows then hold another person than before, in an order that is
#   neither the detector's nor that of the identities. When somebody leaves, the index does not
#   exist, the error is swallowed, and everybody gets a new identity in every later frame.
# Hurts: skeleton-based recognition, and pose-conditioned generation, of more than two people:
#   limbs jump between bodies, and smoothing over time mixes people.
# Remedy: PoseTracker(..., tracking=False) and an association of one's own.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q --disable-pip-version-check \
    numpy==2.4.6 opencv-python-headless==5.0.0.93 tqdm==4.70.1 onnxruntime==1.31.1
"$folder/venv/bin/pip" install -q --disable-pip-version-check --no-deps rtmlib==0.0.16

"$folder/venv/bin/python" - <<'PYTHON'
import sys

import numpy as np
from rtmlib import PoseTracker

BOXES = np.array([[x, 100, x + 80, 300] for x in (50, 250, 450)], float)  # nobody moves


class Detector:
    det_mode = "human"
    order = [0, 1, 2]  # the people, most confident first

    def __call__(self, image):
        return BOXES[self.order]


class Pose:
    def __call__(self, image, bboxes):
        points = np.stack([np.linspace(box[:2], box[2:], 17) for box in bboxes])
        return points, np.full(points.shape[:2], 0.9)


class Solution:
    def __init__(self, **settings):
        self.det_model, self.pose_model = Detector(), Pose()


def rows(orders):
    tracker = PoseTracker(Solution)
    found = []
    for order in orders:
        tracker.det_model.order = order
        points, _ = tracker(np.zeros((400, 600, 3), np.uint8))
        found.append([int(x // 200) for x in points[:, 0, 0]])
        print(f"  detector's order {order}: rows hold people {found[-1]},", end=" ")
        print(f"identities kept for the detector's order {tracker.track_ids_last_frame}")
    return found, tracker.track_ids_last_frame


print("Three people stand still:")
swapped, _ = rows([[0, 1, 2], [0, 1, 2], [1, 2, 0], [2, 0, 1]])
print("Person 0 leaves, 1 and 2 stand still:")
_, identities = rows([[0, 1, 2], [0, 1, 2], [1, 2], [1, 2], [1, 2]])
if all(row == [0, 1, 2] for row in swapped) or list(identities) == [1, 2]:
    sys.exit("The behaviour has changed: people keep their row or their identity.")
PYTHON
