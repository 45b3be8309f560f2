#!/usr/bin/env bash
# mmpose 1.3.2 (numpy 2.4.6): PCK counts people without a box as right, from the second call on.
#
# Expected: keypoint_pck_accuracy leaves out instances whose normalisation factor is 0 (no box, no
#   head size) and returns the same for the same arguments.
# Seen: it overwrites the zeros in the *caller's* norm_factor by 1e6. The next call with that array
#   (PCK at 0.05, then 0.1, then 0.2) no longer leaves these people out: their error is divided
#   by 1e6, so every point of theirs is right. keypoint_nme does the same to its mean error.
#   Beside it, keypoint_auc gives perfect predictions 0.95, not 1: its first threshold is 0, and
#   an error must be *below* the threshold.
# Hurts: pose evaluation at several thresholds in a loop: the first number is right, all others are
#   too good, more so the more boxes are missing; AUC compared with a tool that reaches 1.
# Remedy: pass norm_factor.copy(); divide the AUC by 0.95 (num_thrs 20).
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
pip=("$folder/venv/bin/pip" install -q --disable-pip-version-check)
"${pip[@]}" torch==2.13.0 numpy==2.4.6 scipy==1.17.1 opencv-python-headless==5.0.0.93 \
    addict==2.4.0 yapf==0.43.0 termcolor==3.3.0 rich==15.0.0 matplotlib==3.11.2 munkres==1.1.4 \
    json-tricks==3.17.3 six==1.17.0 pyyaml==6.0.3 cython==3.3.1 setuptools==84.2.1 wheel
"${pip[@]}" --no-deps mmengine==0.10.7 mmcv-lite==2.1.0 mmpose==1.3.2
# Its wheel was built for numpy 1.
"${pip[@]}" --no-deps --no-build-isolation --no-binary xtcocotools xtcocotools==1.14.3

"$folder/venv/bin/python" -W ignore - <<'PYTHON'
import sys

import numpy as np
from mmpose.evaluation.functional import keypoint_auc, keypoint_pck_accuracy

random = np.random.default_rng(0)
truth = random.uniform(0, 100, (4, 17, 2))
far = truth + 500  # not a single point is right
labelled = np.ones((4, 17), bool)
boxes = np.array([[50.0, 100], [40, 80], [0, 0], [0, 0]])  # two people have no box


def pck(threshold, boxes):
    return float(keypoint_pck_accuracy(far, truth, labelled, threshold, boxes)[1])


copied = [pck(threshold, boxes.copy()) for threshold in (0.05, 0.1, 0.2)]
shared = [pck(threshold, boxes) for threshold in (0.05, 0.1, 0.2)]
print("PCK at 0.05, 0.1, 0.2 where every point is 700 pixels off:")
print(f"  with a copy of the boxes each time {copied}, with the same array {shared}")
print(f"  the array afterwards: {boxes.tolist()}")
print(f"AUC of perfect predictions: {keypoint_auc(truth, truth, labelled, 100.0):.2f}")
if shared == copied:
    sys.exit("The behaviour has changed: the boxes are left as they were.")
PYTHON
