#!/usr/bin/env bash
# decord 0.6.0: the colours of a video of odd width or height are off by tens of levels.
#
# Expected: the frames of a 4:2:0 video are those that FFmpeg's own conversion gives, as they are,
#   to the level, for even sizes.
# Seen: for an odd width or height (crops around people have them) decord's colours differ from
#   FFmpeg's by up to 95 levels near edges of colour (in the clip made here), in MPEG-4 and VP8 alike; the frames are the
#   right ones, only their halved colour planes are laid over the picture otherwise.
# Hurts: recognizers trained on clips read by one library and used on clips read by another.
# Remedy: write even sizes, or read odd ones by PyAV.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q --disable-pip-version-check decord==0.6.0 av==18.1.0 numpy==2.4.6

"$folder/venv/bin/python" - "$folder" <<'PYTHON'
import sys
from fractions import Fraction

import av
import decord
import numpy as np


def most(width, height, codec, suffix):
    """The largest difference, in levels, between decord's frames and FFmpeg's."""
    file = f"{sys.argv[1]}/{width}x{height}{suffix}"
    rng = np.random.default_rng(0)
    with av.open(file, "w") as container:
        stream = container.add_stream(codec, rate=10)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        stream.bit_rate = 4_000_000
        for number in range(6):
            blocks = rng.integers(0, 256, (8, 8, 3), np.uint8)
            picture = blocks.repeat(16, 0).repeat(16, 1)[:height, :width]
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="rgb24")
            frame.pts, frame.time_base = number, Fraction(1, 10)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    with av.open(file) as container:
        right = np.stack([f.to_ndarray(format="rgb24") for f in container.decode(video=0)])
    reader = decord.VideoReader(file)
    got = reader.get_batch(range(len(reader))).asnumpy()
    return int(abs(got.astype(int) - right).max())


found = {
    f"{codec} {width}x{height}": most(width, height, codec, suffix)
    for codec, suffix in (("mpeg4", ".avi"), ("libvpx", ".webm"))
    for width, height in ((64, 48), (63, 47))
}
for name, levels in found.items():
    print(f"{name}: up to {levels} levels off")
odd = [levels for name, levels in found.items() if "63x47" in name]
even = [levels for name, levels in found.items() if "64x48" in name]
if min(odd) < 10 or max(even) > 2:
    sys.exit("CHANGED: odd sizes are no longer worse than even ones")
PYTHON
