#!/usr/bin/env bash
# flow-vis 0.1 (numpy 2.4.6): clipping a flow deletes all motion to the left and upwards.
#
# Expected: flow_to_color(flow, clip_flow=10) limits the flow to ten pixels ("clip maximum of flow
#   values") and shows directions by the Middlebury colors. A clip within the limit looks the same.
# Seen: components are clipped from 0 to the maximum, so every negative one becomes zero. What moves to
#   the left or up is as white as what stands still, what moves to the right and up is shown as
#   moving to the right: three of four quadrants are wrong. Nor is the limit the scale: colors are
#   divided by the largest flow that is left, so frames of a clip are still not comparable.
# Hurts: flow videos, and recognition from colored flow: two classes that are mirror images ("push
#   left", "push right") turn into motion and no motion, and half of the people do not move.
# Remedy: scale by length yourself, flow / max(1, length / limit), and leave clip_flow out.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q --disable-pip-version-check flow-vis==0.1 numpy==2.4.6

"$folder/venv/bin/python" - <<'PYTHON'
import sys

import flow_vis
import numpy as np

MOTIONS = {  # pixels per frame, x to the right and y down
    "still": (0, 0), "right": (8, 0), "left": (-8, 0), "down": (0, 8), "up": (0, -8),
    "right and up": (5, -5), "left and up": (-5, -5), "left and down": (-5, 5),
}  # fmt: skip
flow = np.array([list(MOTIONS.values())], np.float32)
assert np.linalg.norm(flow, axis=-1).max() < 10
free = dict(zip(MOTIONS, flow_vis.flow_to_color(flow)[0].tolist()))
clipped = dict(zip(MOTIONS, flow_vis.flow_to_color(flow, clip_flow=10)[0].tolist()))
for name in MOTIONS:
    print(f"{name:14} without clip_flow {free[name]!s:16} with clip_flow=10 {clipped[name]}")
erased = [name for name in MOTIONS if name != "still" and clipped[name] == clipped["still"]]
assert all(free[name] != free["still"] for name in erased)
print("shown as still:", ", ".join(erased))

scale = [flow_vis.flow_to_color(np.full((1, 1, 2), [speed, 0.0]), clip_flow=10)[0, 0].tolist() for speed in (1, 8)]
print(f"1 and 8 pixels to the right, each in its own frame, clip_flow=10: {scale[0]} and {scale[1]}")
if "left" not in erased:
    sys.exit("The behaviour has changed: motion to the left survives clip_flow.")
PYTHON
