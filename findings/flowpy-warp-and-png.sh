#!/usr/bin/env bash
# flowpy 0.6.0 (numpy 1.23.5): warping by no motion blurs, and fast motion is saved as its opposite.
#
# Expected: forward_warp(image, flow) moves the image by the flow; by a flow of zero it returns the
#   image. flow_write writes KITTI's 16 bit PNG, which holds -512 to 512 pixels; KITTI's own writer
#   limits what is beyond.
# Seen: (1) forward_warp averages the four nearest points with weights exp(-distance), even where one
#   of them falls exactly on the pixel: of a still image each pixel keeps 48%. A checkerboard of 0
#   and 255 comes back as gray. (2) beyond 512 pixels the 16 bits overflow: a motion of 600 pixels
#   to the right is read back as 424 to the left, and marked as valid. Nothing is raised.
# Hurts: consistency losses and checks by warping ("how far is the warped frame from the next"), which
#   measure the blur; flow of large frames or long steps between frames.
# Remedy: forward_warp(..., k=1) or backward_warp; np.clip(flow, -512, 511.98), or the format .flo.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q --disable-pip-version-check \
    flowpy==0.6.0 numpy==1.23.5 scipy==1.10.1 matplotlib==3.7.5 pypng==0.20220715.0

"$folder/venv/bin/python" -W ignore - "$folder" <<'PYTHON'
import sys

import flowpy
import numpy as np

still = np.zeros((32, 32, 2), np.float32)
board = (255 * (np.indices((32, 32)).sum(0) % 2)).astype(np.uint8)
step = np.repeat([[0, 255]], 32, 0).repeat(16, 1).astype(np.uint8)
blur = {}
for name, image in (("checkerboard", board), ("edge", step)):
    off = {
        "forward_warp": flowpy.forward_warp(image, still),
        "forward_warp, k=1": flowpy.forward_warp(image, still, k=1),
        "backward_warp": flowpy.backward_warp(image, still),
    }
    off = {how: int(np.abs(found.astype(int) - image).max()) for how, found in off.items()}
    blur[name] = off["forward_warp"]
    print(f"{name}, flow of zero, largest change in levels: {off}")
    assert off["backward_warp"] == off["forward_warp, k=1"] == 0

file = sys.argv[1] + "/flow.png"
read = {}
for speed in (100.0, 500.0, 600.0, -600.0):
    flow = np.zeros((4, 4, 2))
    flow[..., 0] = speed
    flowpy.flow_write(file, flow)
    read[speed] = float(flowpy.flow_read(file)[0, 0, 0])  # NaN were it marked as not valid
    print(f"{speed:+.0f} pixels to the right, written as PNG and read again: {read[speed]:+.0f}")
assert read[100] == 100 and read[500] == 500
if min(blur.values()) < 50 and read[600] > 500:
    sys.exit("The behaviour has changed: a still image stays sharp, fast motion keeps its direction.")
PYTHON
