#!/usr/bin/env bash
# bvh 0.3: the last frame of a motion is lost where the file does not end with a line break.
#
# Expected: Bvh(text).frames has the frames that the header announces ("Frames: 8").
# Seen: a line is only taken when the line break after it is read. A file that ends with its last
#   number, as "\n".join(lines) and several exporters write it, or text that was strip()ped, loses
#   its last frame. nframes still says 8, as it repeats the header; frames has 7, and
#   frames_joint_channels silently returns 7. Of a motion of one frame (a rest pose), nothing is left.
# Hurts: synthetic clips rendered from motion capture: poses and rendered frames differ in length by
#   one, the action's last pose is missing, and a loop jumps at its seam; files of one data set
#   differ by their writer.
# Remedy: Bvh(text + "\n"), and assert len(motion.frames) == motion.nframes.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q --disable-pip-version-check bvh==0.3

"$folder/venv/bin/python" - <<'PYTHON'
import sys

from bvh import Bvh

HEAD = """HIERARCHY
ROOT Hips
{
    OFFSET 0 0 0
    CHANNELS 3 Xposition Yposition Zposition
    End Site
    {
        OFFSET 0 10 0
    }
}
MOTION
"""


def text(count):
    rows = "\n".join(f"{number} 0 0" for number in range(count))
    return HEAD + f"Frames: {count}\nFrame Time: 0.0333333\n" + rows


lost = {}
for count in (8, 1):
    for end, name in (("\n", "a line break"), ("", "a number")):
        motion = Bvh(text(count) + end)
        places = [place for place, *_ in motion.frames_joint_channels("Hips", ["Xposition"])]
        lost[count, name] = motion.nframes - len(motion.frames)
        print(f"{count} frames, file ends with {name}: nframes {motion.nframes}, read {places}")
assert lost[8, "a line break"] == lost[1, "a line break"] == 0
if not lost[8, "a number"]:
    sys.exit("The behaviour has changed: the last frame is read.")
PYTHON
