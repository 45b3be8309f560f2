#!/usr/bin/env bash
# mmcv-lite 2.1.0 (mmengine 0.10.7, opencv 5.0.0.93): extracted frames are shifted after a look.
#
# Expected: VideoReader.cvt2frames(folder) writes the frames from `start`, default 0, to 000000.jpg
#   and on; the reader is a sequence (reader[i], iteration), so looking at it changes nothing.
# Seen: it only seeks if start is above 0. With the default it starts wherever the reader stands:
#   after reader[9], 000000.jpg holds frame 10, all others are shifted by 10, and the last 10 files
#   are missing. After a loop over the reader it writes nothing at all. The progress bar runs to
#   its end; nothing is raised.
# Hurts: raw-frame data sets whose annotations count frames (poses, boxes, start and end of an
#   action): a preview or a check of the first frame before the extraction shifts them.
# Remedy: a new VideoReader for each cvt2frames; count the files.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q --disable-pip-version-check \
    torch==2.13.0 numpy==2.4.6 opencv-python-headless==5.0.0.93 av==18.1.0 \
    addict==2.4.0 pyyaml==6.0.3 yapf==0.43.0 termcolor==3.3.0 rich==15.0.0 matplotlib==3.11.2
"$folder/venv/bin/pip" install -q --disable-pip-version-check --no-deps \
    mmengine==0.10.7 mmcv-lite==2.1.0

"$folder/venv/bin/python" -W ignore - "$folder" <<'PYTHON'
import sys
from pathlib import Path

import av
import cv2
import mmcv
import numpy as np

folder = Path(sys.argv[1])
path = str(folder / "clip.mp4")
with av.open(path, "w") as container:
    stream = container.add_stream("libx264", rate=25)
    stream.width, stream.height, stream.pix_fmt = 64, 64, "yuv420p"
    for i in range(40):
        frame = av.VideoFrame.from_ndarray(np.full((64, 64, 3), 6 * i, np.uint8), format="rgb24")
        container.mux(stream.encode(frame))
    container.mux(stream.encode())


def extracted(name, look):
    """Which frame each written file holds."""
    reader = mmcv.VideoReader(path)
    look(reader)
    reader.cvt2frames(str(folder / name), show_progress=False)
    files = sorted((folder / name).glob("*.jpg"))
    return [(file.name, round(cv2.imread(str(file)).mean() / 6)) for file in files]


fresh = extracted("fresh", lambda reader: None)
looked = extracted("looked", lambda reader: reader[9])
looped = extracted("looped", list)
for name, files in (("fresh reader", fresh), ("after reader[9]", looked), ("after a loop", looped)):
    print(f"{name}: {len(files)} files, (file, frame in it): {files[:2]} ... {files[-1:]}")
assert [frame for _, frame in fresh] == list(range(40))
if looked == fresh and looped == fresh:
    sys.exit("The behaviour has changed: looking at the reader does not shift the frames.")
PYTHON
