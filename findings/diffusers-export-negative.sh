#!/usr/bin/env bash
# diffusers 0.42.1 (numpy 2.4.6): export_to_video writes uint8 frames as their negative.
#
# Expected: export_to_video(frames, path) writes a list of PIL images or of numpy arrays; no range
#   or type of the arrays is named, and frames read from a video are uint8 arrays of 0 to 255.
# Seen: every array is multiplied by 255 and cast to uint8. For uint8 frames the product wraps
#   around modulo 256, and 255 * x is -x: the file holds the negative of the video. As it is still
#   a clean, smooth video of the right shapes and motion, programs do not notice.
# Hurts: pipelines that mix generated frames (floats in 0..1) with frames read from a file (uint8),
#   and translated training sets: colours are inverted, edges and poses look right.
# Remedy: pass PIL images, or frame / 255.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q --disable-pip-version-check \
    diffusers==0.42.1 numpy==2.4.6 pillow==12.0.0 imageio==2.38.1 imageio-ffmpeg==0.8.1 av==18.1.0

"$folder/venv/bin/python" - "$folder" <<'PYTHON'
import sys

import av
import numpy as np
from diffusers.utils import export_to_video
from PIL import Image

path = sys.argv[1] + "/clip.mp4"
levels = (20, 60, 100, 140, 220)
frames = [np.full((64, 64, 3), level, np.uint8) for level in levels]


def written(frames):
    export_to_video(frames, path, fps=10)
    with av.open(path) as container:
        decoded = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
    return [round(float(frame.mean())) for frame in decoded]


as_pictures = written([Image.fromarray(frame) for frame in frames])
as_arrays = written(frames)
print(f"grey levels {levels}: from PIL {as_pictures}, from uint8 arrays {as_arrays}")
if max(abs(a - b) for a, b in zip(as_arrays, levels)) < 10:
    sys.exit("The behaviour has changed: uint8 frames are written as they are.")
PYTHON
