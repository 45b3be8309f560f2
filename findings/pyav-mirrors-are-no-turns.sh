#!/usr/bin/env bash
# PyAV 18.1.0: VideoFrame.rotation says -180 of a clip that is mirrored left to right, 0 of one that
# is mirrored upside down.
#
# Expected: `rotation` is the angle by which a player turns the picture. A display matrix that
#   mirrors (front cameras, screen recorders) is no turn; one reads 0, None, or is told otherwise.
# Seen: of a left-right mirror `rotation` is 180 in size: who turns by it gets the picture upside
#   down, which is neither what was stored nor what a player shows. Of an up-down mirror it is 0: who
#   turns by it changes nothing, and the picture stays upside down. FFmpeg's own player and command
#   line mirror both. The side data DISPLAYMATRIX has the whole matrix.
# Hurts: data sets of phone videos: some clips, of all the same person and phone, are upside down.
# Remedy: read the matrix from frame.side_data and apply all of it.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q --disable-pip-version-check av==18.1.0 numpy==2.4.6

"$folder/venv/bin/python" - "$folder" <<'PYTHON'
import sys
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

WIDTH, HEIGHT = 96, 64
folder = Path(sys.argv[1])
picture = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
picture[: HEIGHT // 2, : WIDTH // 2] = 200  # only the upper left is light
with av.open(str(folder / "plain.mp4"), "w") as container:
    stream = container.add_stream("libx264", rate=10)
    stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
    for number in range(4):
        frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
        frame.pts, frame.time_base = number, Fraction(1, 10)
        container.mux(stream.encode(frame))
    container.mux(stream.encode())

# The matrix of the track header (ISO/IEC 14496-12, 8.3.2): rows (a b u) (c d v) (x y w).
MATRICES = {
    "left-right": (-1, 0, 0, 1, WIDTH, 0),
    "up-down": (1, 0, 0, -1, 0, HEIGHT),
    "half turn": (-1, 0, 0, -1, WIDTH, HEIGHT),
}
seen = {}
for name, (a, b, c, d, x, y) in MATRICES.items():
    content = bytearray((folder / "plain.mp4").read_bytes())
    at = content.find(b"tkhd") + 44
    numbers = (a << 16, b << 16, 0, c << 16, d << 16, 0, x << 16, y << 16, 1 << 30)
    content[at : at + 36] = b"".join(n.to_bytes(4, "big", signed=True) for n in numbers)
    file = folder / "turned.mp4"
    file.write_bytes(content)
    with av.open(str(file)) as container:
        seen[name] = next(container.decode(video=0)).rotation
print("VideoFrame.rotation by display matrix:", seen)
if not (abs(seen["left-right"]) == 180 and seen["up-down"] == 0):
    sys.exit("CHANGED: a mirror is no longer told as a turn")
PYTHON
