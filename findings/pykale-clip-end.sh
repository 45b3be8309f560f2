#!/usr/bin/env bash
# pykale 0.2.1 (torch 2.13.0, pillow 12.0.0): training never sees the end of a clip.
#
# Expected: VideoFrameDataset divides the range from a clip's first to its last frame into
#   num_segments segments and takes a random place in each (training) or the middle (test).
# Seen: in training a segment is the number of frames divided by num_segments, *rounded down*, and
#   the remainder at the clip's end is in no segment. Of 15 frames in 8 segments, segments have one
#   frame: every epoch gets frames 0 to 7, without any randomness, and the second half of the
#   clip is never seen. Of 31 frames the last 7 are not. The test's places span the whole clip, up
#   to twice as far apart, so training and test see the movement at different speeds.
# Hurts: video domain adaptation on short clips (gestures, egocentric actions), this library's own
#   subject: the outcome of an action is not in the training data, and lengths differ by domain.
# Remedy: lengths that are multiples of num_segments, or a subclass with a rounding like the test's.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q --disable-pip-version-check \
    torch==2.13.0 numpy==2.4.6 pillow==12.0.0
"$folder/venv/bin/pip" install -q --disable-pip-version-check --no-deps pykale==0.2.1

"$folder/venv/bin/python" -W ignore - "$folder" <<'PYTHON'
import sys
from pathlib import Path

import numpy as np
from kale.loaddata.videos import VideoFrameDataset
from PIL import Image

root = Path(sys.argv[1]) / "frames"
SEGMENTS, READINGS = 8, 300
never = {}
for length in (15, 31, 32):
    (root / f"clip{length}").mkdir(parents=True)
    for i in range(length):
        Image.new("RGB", (8, 8), (i, i, i)).save(root / f"clip{length}" / f"img_{i:05d}.png")
    rows = root / f"clip{length}.txt"
    rows.write_text(f"clip{length} 0 {length - 1} 0\n")  # folder, first and last frame, class

    def frames(**settings):
        data = VideoFrameDataset(
            str(root), str(rows), num_segments=SEGMENTS, imagefile_template="img_{:05d}.png", **settings
        )
        return [int(np.asarray(frame)[0, 0, 0]) for frame in data[0][0]]

    np.random.seed(0)
    read = [frames(random_shift=True) for _ in range(READINGS)]
    never[length] = sorted(set(range(length)) - {frame for clip in read for frame in clip})
    print(f"{length} frames, {SEGMENTS} segments: {len({*map(tuple, read)})} different training clips in"
          f" {READINGS} readings, such as {read[0]}; test {frames(test_mode=True)};"
          f" never in training {never[length]}")  # fmt: skip
assert not never[32]
if not never[15] and not never[31]:
    sys.exit("The behaviour has changed: training sees all of a clip.")
PYTHON
