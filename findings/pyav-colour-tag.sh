#!/usr/bin/env bash
# PyAV 18.1.0: setting a stream's colour space or range on writing shifts the colours.
#
# Expected: stream.encode() takes RGB frames and converts them to the stream's pixel format. With
#   codec_context.colorspace (BT.709, say) and color_range set, it converts to these, as the frame's
#   own reformat(dst_colorspace=..., dst_color_range=...) does, and a reader gets the colours back.
# Seen: the two attributes only label the stream. The automatic conversion stays BT.601 of limited
#   range, and every reader that believes the label converts back by another matrix: pure green
#   comes back as (0, 215, 0), red gets 23 levels of green; labelled as full range, white becomes
#   235 and black 16. The file is valid, the shift is smooth, and nothing is said.
# Hurts: data sets re-encoded with "the right" tag for HD, next to untagged ones: a colour shift
#   between two domains that only the writing made.
# Remedy: frame.reformat(format="yuv420p", dst_colorspace=..., dst_color_range=...) before encode,
#   and the tags as well; or no tags.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q --disable-pip-version-check av==18.1.0 numpy==2.4.6

"$folder/venv/bin/python" - "$folder" <<'PYTHON'
import sys

import av
import numpy as np
from av.video.reformatter import ColorRange, Colorspace

COLOURS = {"red": (255, 0, 0), "green": (0, 255, 0), "white": (255,) * 3, "black": (0,) * 3}
BT709, FULL = 1, 2


def round_trip(space=None, full=False, convert=False):
    path = sys.argv[1] + "/clip.mp4"
    with av.open(path, "w") as container:
        stream = container.add_stream("libx264", rate=25, options={"crf": "1"})
        stream.width, stream.height, stream.pix_fmt = 1280, 720, "yuv420p"
        if space:
            stream.codec_context.colorspace = space
        if full:
            stream.codec_context.color_range = FULL
        for colour in COLOURS.values():
            picture = np.broadcast_to(np.uint8(colour), (720, 1280, 3)).copy()
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            if convert:
                frame = frame.reformat(
                    format="yuv420p",
                    dst_colorspace=Colorspace.ITU709 if space else Colorspace.ITU601,
                    dst_color_range=ColorRange.JPEG if full else ColorRange.MPEG,
                )
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    with av.open(path) as container:
        back = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
    return {name: back[i].mean((0, 1)).round().astype(int).tolist() for i, name in enumerate(COLOURS)}


def shift(back):
    return max(abs(a - b) for name in COLOURS for a, b in zip(back[name], COLOURS[name]))


plain, tagged, full = round_trip(), round_trip(BT709), round_trip(full=True)
print(f"no tags: {plain}\nBT.709: {tagged}\nfull range: {full}")
right = round_trip(BT709, convert=True)
print(f"BT.709 and converted to it: {right}")
assert shift(plain) < 5 and shift(right) < 5
if shift(tagged) < 5 and shift(full) < 5:
    sys.exit("The behaviour has changed: frames are converted to the stream's colour space.")
PYTHON
