#!/usr/bin/env bash
# Pillow 13.0.0: what a frame of an animated PNG looks like depends on the frames read before it.
#
# Expected: image.seek(k) composes frame k as a player shows it, however one gets there. A frame with
#   the disposal "previous" is taken away again, to what was there before it was painted.
# Seen: after reading every frame in turn, a frame that follows one with that disposal still shows
#   what should have been taken away; a jump from the first frame gives the right picture, which is
#   also what FFmpeg decodes. The part to restore is copied after the frame was painted into it.
# Hurts: whoever turns animated PNGs (stickers, exports of annotation tools) into clips: reading in
#   one pass and reading chosen frames give different pixels, and no error.
# Remedy: open the file anew for each frame, or decode animated PNGs by FFmpeg.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q --disable-pip-version-check pillow==13.0.0 av==18.1.0 numpy==2.4.6

"$folder/venv/bin/python" - "$folder" <<'PYTHON'
import sys

import av
import numpy as np
from PIL import Image

file = sys.argv[1] + "/spots.png"
frames = []
for number in range(4):  # a dot that wanders; what is not painted is transparent
    pixels = np.zeros((32, 32, 4), np.uint8)
    if number == 0:
        pixels[...] = (40, 40, 40, 255)
    pixels[8 * number : 8 * number + 8, :8] = (250, 250, 250, 255)
    frames.append(Image.fromarray(pixels, "RGBA"))
PREVIOUS, OVER = 2, 1
frames[0].save(file, save_all=True, append_images=frames[1:], disposal=PREVIOUS, blend=OVER)

with Image.open(file) as image:
    in_turn = []
    for number in range(image.n_frames):
        image.seek(number)
        in_turn.append(np.asarray(image.convert("RGB")).astype(int))
jumped = []
for number in range(len(in_turn)):
    with Image.open(file) as image:
        image.seek(number)
        jumped.append(np.asarray(image.convert("RGB")).astype(int))
with av.open(file) as container:
    ffmpeg = [f.to_ndarray(format="rgb24").astype(int) for f in container.decode(video=0)]


def off(one, other):
    return [int(abs(a - b).max()) for a, b in zip(one, other)]


print("levels between one pass and jumps, frame by frame:", off(in_turn, jumped))
print("levels between jumps and FFmpeg:", off(jumped, ffmpeg))
if max(off(in_turn, jumped)) < 100:
    sys.exit("CHANGED: a frame no longer depends on those read before it")
PYTHON
