#!/usr/bin/env bash
# moviepy 2.2.1 (imageio-ffmpeg 0.8.1): the last frame is lost on reading and on writing.
#
# Expected: VideoFileClip(file).iter_frames() gives each of the file's frames once, and
#   ImageSequenceClip(frames, fps).write_videofile() writes them all.
# Seen: both go through a duration in seconds. The reader takes it from ffmpeg's printed text,
#   which has two decimals, and rounds the count down: 30 of 31 frames at 30 fps. The writer steps
#   through [0, duration) by 1 / fps in floating point, and for many lengths stops one frame early.
#   Whether a frame is lost depends on the length and the rate. Nothing is said.
# Hurts: frame-wise labels, poses and masks that no longer count as many rows as the video has
#   frames; clips cut into many short pieces can lose a frame each; every read-edit-write round
#   can shorten the clip again.
# Remedy: count frames (PyAV: sum(1 for _ in container.decode(video=0))) and read and write with a
#   library that works by frames.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q --disable-pip-version-check \
    moviepy==2.2.1 imageio-ffmpeg==0.8.1 av==18.1.0 numpy==2.4.6

"$folder/venv/bin/python" - "$folder" <<'PYTHON'
import sys

import av
import numpy as np
from moviepy import ImageSequenceClip, VideoFileClip

path = sys.argv[1] + "/clip.mp4"


def write_by_frames(frames, fps):
    with av.open(path, "w") as container:
        stream = container.add_stream("mpeg4", rate=fps)
        stream.width, stream.height, stream.pix_fmt = 64, 64, "yuv420p"
        for frame in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode())


def count_by_frames():
    with av.open(path) as container:
        return sum(1 for _ in container.decode(video=0))


read_short, written_short = [], []
lengths = range(8, 65, 4)
for fps in (24, 25, 30, 50):
    for length in (*lengths, 31):
        frames = [np.full((64, 64, 3), 3 * i, np.uint8) for i in range(length)]
        write_by_frames(frames, fps)
        assert count_by_frames() == length
        with VideoFileClip(path) as clip:
            if (found := sum(1 for _ in clip.iter_frames())) != length:
                read_short.append((fps, length, found))
        ImageSequenceClip(frames, fps=fps).write_videofile(path, logger=None)
        if (found := count_by_frames()) != length:
            written_short.append((fps, length, found))

tried = 4 * (len(lengths) + 1)
print(f"read, not all frames: {len(read_short)} of {tried} files, (fps, frames, read):", read_short[:4])
print(f"written, not all frames: {len(written_short)} of {tried} clips, (fps, frames, written):",
      written_short[:4])  # fmt: skip
if not read_short and not written_short:
    sys.exit("The behaviour has changed: all frames are read and written.")
PYTHON
