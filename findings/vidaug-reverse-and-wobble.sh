#!/usr/bin/env bash
# vidaug 1.5: time reversal loses a frame, temporal crops never reach the end, frames wobble.
#
# Expected: a library of video augmentations: InverseOrder inverts the order of the clip's frames,
#   TemporalRandomCrop crops at a random place, and spatial changes are the same in all frames of a
#   clip, as its rotations, shears, crops and flips are.
# Seen: (1) InverseOrder drops the clip's first frame: 16 frames become 15, and reversing twice
#   loses two. (2) TemporalRandomCrop never returns the last frame; of a clip one frame longer than
#   the crop it has one choice instead of two. (3) ElasticTransformation draws a new displacement
#   for each frame: a still clip moves.
# Hurts: training with them: batches that no longer stack (or, stacked after a resampling, clips
#   whose labels per frame are shifted), gestures whose end is never seen, motion that is noise.
# Remedy: clip[::-1]; random.randint(0, len(clip) - size); one displacement map for all frames.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q --disable-pip-version-check \
    numpy==1.26.4 scipy==1.11.4 scikit-image==0.22.0 pillow==10.4.0 opencv-python-headless==4.10.0.84
"$folder/venv/bin/pip" install -q --disable-pip-version-check --no-deps vidaug==1.5

"$folder/venv/bin/python" -W ignore - <<'PYTHON'
import random
import sys

import numpy as np
from vidaug import augmentors as va

random.seed(0)
np.random.seed(0)
picture = np.zeros((32, 32, 3), np.uint8)
picture[::8] = picture[:, ::8] = 255
clip = [picture + np.uint8(0) for _ in range(16)]
numbered = [np.full((4, 4, 3), i, np.uint8) for i in range(16)]


def numbers(frames):
    return [int(frame[0, 0, 0]) for frame in frames]


once = va.InverseOrder()(numbered)
twice = va.InverseOrder()(once)
print("reversed:", numbers(once))
print("reversed twice:", numbers(twice))
last = max(max(numbers(va.TemporalRandomCrop(12)(numbered))) for _ in range(500))
print(f"last frame ever in 500 random crops of 12 from frames 0 to 15: {last}")
moved = va.ElasticTransformation(alpha=20, sigma=2, order=1)(clip)
steps = [int(np.abs(a.astype(int) - b).max()) for a, b in zip(moved, moved[1:])]
print(f"largest change from frame to frame in a still clip after the elastic one: {max(steps)}")
turned = va.RandomShear(0.2, 0.2)(clip)
assert all((frame == turned[0]).all() for frame in turned)  # what the others do
if len(once) == 16 and last == 15 and max(steps) == 0:
    sys.exit("The behaviour has changed: no frame is lost, still clips stay still.")
PYTHON
