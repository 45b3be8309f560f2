#!/usr/bin/env bash
# deep-sort-realtime 1.3.2 (numpy 2.4.6): a box without width gives everybody somebody else's pose.
#
# Expected: DeepSort.update_tracks takes detections and, in lists of the same order, their appearance
#   (embeds), masks (instance_masks) and whatever else belongs to them (others: a pose, a crop), and
#   returns tracks with what belonged to their detection.
# Seen: detections of no width or height are dropped first, the other lists are not shortened. From
#   that detection on, every person gets the appearance, mask and extra data of the one before: a
#   track keeps its identity and box and carries another person's pose, and learns the appearance
#   by which it will be recognized from another person, too.
# Hurts: skeletons per person for recognition: boxes that are cut at the edge of the picture have no
#   width whenever somebody leaves it, and the lists are then shifted for all who stay.
# Remedy: drop such boxes, with their appearance and data, before the call.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q --disable-pip-version-check \
    numpy==2.4.6 scipy==1.17.1 opencv-python-headless==5.0.0.93
"$folder/venv/bin/pip" install -q --disable-pip-version-check --no-deps deep-sort-realtime==1.3.2

"$folder/venv/bin/python" -W ignore - <<'PYTHON'
import sys

import numpy as np
from deep_sort_realtime.deepsort_tracker import DeepSort

APPEARANCE = dict(zip(("first", "second", "third"), np.eye(3)))


def follow(drop_empty):
    """Follow three people of whom the first leaves to the left, in boxes that are cut at the edge."""
    tracker = DeepSort(embedder=None)
    seen = []
    for frame in range(10):
        left = 60 - 10 * frame
        cut = max(left, 0)
        boxes = {
            "first": [cut, 100, max(left + 30 - cut, 0), 80],
            "second": [200, 100, 40, 80],
            "third": [400, 100, 40, 80],
        }
        if drop_empty:
            boxes = {name: box for name, box in boxes.items() if box[2] > 0}
        tracks = tracker.update_tracks(
            [(box, 0.9, "person") for box in boxes.values()],
            embeds=[APPEARANCE[name] for name in boxes],
            others=[f"pose of the {name}" for name in boxes],
        )
        still = [t for t in tracks if t.is_confirmed() and t.time_since_update == 0 and t.to_ltwh()[0] > 150]
        seen.append({})
        for track in still:
            name = "second" if track.to_ltwh()[0] < 300 else "third"
            looks = list(APPEARANCE)[int(np.argmax(track.get_feature()))]
            seen[-1][name] = f"{track.get_det_supplementary()} and looks like the {looks}"
        if frame in (8, 9):
            print(f"  frame {frame}, box of the first {boxes.get('first')}: "
                  + ", ".join(f"box of the {name} has the {pose}" for name, pose in seen[-1].items()))  # fmt: skip
    return seen


right = {name: f"pose of the {name} and looks like the {name}" for name in ("second", "third")}
print("all boxes handed over:")
shifted = follow(drop_empty=False)
print("empty boxes dropped before the call:")
assert follow(drop_empty=True)[-1] == shifted[8] == right
if shifted[9] == right:
    sys.exit("The behaviour has changed: data stay with their detection.")
PYTHON
