#!/usr/bin/env bash
# pycocotools 2.0.11 (numpy 2.4.6): a pose with one NaN is a perfect pose.
#
# Expected: COCOeval matches a predicted pose with a labelled person where their object keypoint
#   similarity (OKS) reaches a threshold of 0.5 to 0.95. A pose without a similarity reaches none.
# Seen: one coordinate that is NaN makes the OKS NaN, and the match is only refused where the OKS
#   is *less* than the threshold, which NaN never is. The pose counts as right at every threshold:
#   poses 300 pixels away get AP 0.0, the same poses with a single NaN in them get AP 1.0. No
#   warning. Boxes of NaN (iouType "bbox") do the same.
# Hurts: pose tools that mark a missing point by NaN, and anyone whose network diverged: the worst
#   model of a comparison is reported as the best.
# Remedy: assert that predictions are finite before COCO.loadRes; write missing points as 0, 0.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q --disable-pip-version-check pycocotools==2.0.11 numpy==2.4.6

"$folder/venv/bin/python" - <<'PYTHON'
import contextlib
import io
import sys

import numpy as np
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

random = np.random.default_rng(0)
poses = [np.c_[random.uniform(50, 150, (17, 2)), np.full(17, 2)] for _ in range(5)]


def average_precision(predicted):
    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO()
        truth.dataset = {
            "images": [{"id": i + 1, "width": 640, "height": 480} for i in range(5)],
            "categories": [{"id": 1, "name": "person"}],
            "annotations": [
                {"id": i + 1, "image_id": i + 1, "category_id": 1, "iscrowd": 0, "area": 1e4,
                 "bbox": [50, 50, 100, 100], "num_keypoints": 17, "keypoints": pose.ravel().tolist()}
                for i, pose in enumerate(poses)
            ],
        }  # fmt: skip
        truth.createIndex()
        results = truth.loadRes([
            {"image_id": i + 1, "category_id": 1, "score": 0.9, "keypoints": pose.ravel().tolist()}
            for i, pose in enumerate(predicted)
        ])
        evaluation = COCOeval(truth, results, "keypoints")
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return float(evaluation.stats[0])


far = [pose + [300, 300, 0] for pose in poses]
far_with_nan = [pose.copy() for pose in far]
for pose in far_with_nan:
    pose[0, 0] = np.nan
right, wrong, with_nan = map(average_precision, (poses, far, far_with_nan))
print(f"AP of the right poses {right:.2f}, 300 pixels away {wrong:.2f}, "
      f"300 pixels away with one NaN {with_nan:.2f}")  # fmt: skip
if wrong != 0 or with_nan != 1:
    sys.exit("The behaviour has changed: poses with a NaN are no longer counted as right.")
PYTHON
