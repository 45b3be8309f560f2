#!/usr/bin/env bash
# imageio 2.38.1 (PyAV 18.1.0): frame i of a transport or programme stream is another frame.
#
# Expected: imageio.v3.imread(file, plugin="pyav", index=i) returns the frame that is i-th when the
#   file is read through; whether it may seek by the rate is decided from the container, and these
#   files do have a constant rate.
# Seen: for .ts (H.264) and .mpg (MPEG-2) the index is turned into a time counted from 0, and
#   seeked. Their clocks start later, and a seek in them lands on a keyframe before or *after* that
#   time; the frame is then counted from there by its clock. Nearly every index gives another
#   frame, and many of them the same one. mp4 and mkv of the same frames are right, as they are
#   read through.
# Hurts: broadcast, surveillance and body-camera recordings (.ts) and old action data sets (.mpg):
#   sparse sampling by index trains on repeated and wrong frames, and frame-wise labels do not fit.
# Remedy: iio.imiter and count, or imread(..., constant_framerate=False).
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q --disable-pip-version-check \
    imageio==2.38.1 av==18.1.0 numpy==2.4.6 pillow==12.0.0

"$folder/venv/bin/python" - "$folder" <<'PYTHON'
import sys

import av
import imageio.v3 as iio
import numpy as np

COUNT = 40


def write(path, codec):
    with av.open(path, "w") as container:
        stream = container.add_stream(codec, rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 64, "yuv420p"
        stream.codec_context.gop_size = 12
        for i in range(COUNT):
            grey = np.full((64, 64, 3), 6 * i, np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(grey, format="rgb24")))
        container.mux(stream.encode())


def by_index(path, **settings):
    found = []
    for i in range(COUNT):
        try:
            found.append(round(iio.imread(path, plugin="pyav", index=i, **settings).mean() / 6))
        except (StopIteration, EOFError, IndexError) as error:
            found.append(type(error).__name__)
    return found


wrong = {}
for ending, codec in (("mp4", "libx264"), ("mkv", "libx264"), ("ts", "libx264"), ("mpg", "mpeg2video")):
    path = f"{sys.argv[1]}/clip.{ending}"
    write(path, codec)
    through = [round(frame.mean() / 6) for frame in iio.imiter(path, plugin="pyav")]
    assert len(through) == COUNT
    found = by_index(path)
    wrong[ending] = sum(a != b for a, b in zip(found, through))
    slow = sum(a != b for a, b in zip(by_index(path, constant_framerate=False), through))
    print(f"{ending}: {wrong[ending]} of {len(found)} indices give another frame"
          f" ({slow} with constant_framerate=False); indices 0 to 7 give {found[:8]}")  # fmt: skip
if not wrong["ts"] and not wrong["mpg"]:
    sys.exit("The behaviour has changed: each index gives its frame.")
PYTHON
