#!/usr/bin/env bash
# scikit-video 1.1.11 (numpy 1.23.5): multi-scale SSIM of a video with itself is 1.87.
#
# Expected: skvideo.measure.msssim combines five scales by the weights of Wang et al. (2003), as powers
#   in a product or as factors in a sum; equal videos get 1, and nothing gets more.
# Seen: the weight of the last scale (0.1333) is applied by neither. The sum is therefore 0.8667 too
#   large: 1.87 for equal frames, 1.8 for noisy ones. In the product, the default, the coarsest scale
#   counts by its first power in place of its 0.1333rd: where brightness is off, which only that
#   scale measures, 0.84 is reported in place of 0.98. Nothing is raised.
# Hurts: comparisons of translated or compressed clips with published figures, and the ranking of
#   methods: a shift of brightness costs much more than blur and noise.
# Remedy: compute it with piq or torchmetrics; ssim of the same package is right.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q --disable-pip-version-check \
    numpy==1.23.5 scipy==1.10.1 pillow==9.5.0
"$folder/venv/bin/pip" install -q --disable-pip-version-check --no-deps scikit-video==1.1.11

"$folder/venv/bin/python" -W ignore - <<'PYTHON'
import sys

import numpy as np
from scipy.ndimage import correlate1d, gaussian_filter
from skvideo.measure import msssim, ssim_full

WEIGHTS = np.array([0.0448, 0.2856, 0.3001, 0.2363, 0.1333])
random = np.random.default_rng(0)
clip = gaussian_filter(random.uniform(0, 1, (2, 192, 256)), (0, 3, 3))
clip = 60 + 135 * (clip - clip.min()) / (clip.max() - clip.min())
CHANGED = {
    "equal": clip,
    "noisy": clip + random.normal(0, 10, clip.shape),
    "darker": clip - 60,
}


def half(frames):
    for axis in (1, 2):
        frames = correlate1d(frames, [0.5, 0.5], axis)
    return frames[:, 1::2, 1::2]


def by_the_paper(one, other, method):
    parts = []
    for scale in range(5):
        whole, _, contrast, _ = ssim_full(one, other)
        parts.append(whole if scale == 4 else contrast)
        one, other = half(one), half(other)
    parts = np.array(parts).T
    return (np.prod(parts**WEIGHTS, 1) if method == "product" else parts @ WEIGHTS).mean()


found, right = {}, {}
for name, other in CHANGED.items():
    for method in ("product", "sum"):
        found[name, method] = float(msssim(clip, other, method=method).mean())
        right[name, method] = float(by_the_paper(clip, other, method))
        print(f"{name:7} {method:8} {found[name, method]:.3f}, by the paper {right[name, method]:.3f}")
assert abs(right["equal", "sum"] - 1) < 1e-3 and abs(found["equal", "product"] - 1) < 1e-3
if found["equal", "sum"] < 1.01 and abs(found["darker", "product"] - right["darker", "product"]) < 0.05:
    sys.exit("The behaviour has changed: all five scales are weighted.")
PYTHON
