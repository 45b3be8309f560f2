#!/usr/bin/env bash
# kornia 0.9.0 (torch 2.13.0): in a batch of videos, channel dropout only hits the first clip.
#
# Expected: VideoSequential(..., same_on_frame=True), the default, draws once for each clip, and all
#   frames of the clip get the same change. With p=1 every clip loses one colour channel.
# Seen: RandomChannelDropout's draws carry their own places in the batch, numbered by clip, and
#   these are used on the batch of *frames*. The four draws for four clips land on the first four
#   frames of the first clip, each of which loses another channel; its other frames and all other
#   clips stay as they were. With p below 1 it is the same. Both layouts do it; the other colour
#   augmentations obey (two are shown).
# Hurts: video models trained with it: the augmentation is hardly there, and where it is, it is a
#   flicker through colours that no camera makes.
# Remedy: draw on (B, C, T * H, W), where a clip is one picture.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q --disable-pip-version-check \
    torch==2.13.0 kornia==0.9.0 kornia_rs==0.2.0 numpy==2.4.6

"$folder/venv/bin/python" - <<'PYTHON'
import sys

import kornia.augmentation as K
import torch

torch.manual_seed(0)
CLIPS, FRAMES = 4, 8
grey = torch.full((CLIPS, 3, FRAMES, 16, 16), 0.5)  # (B, C, T, H, W)


def augmented(augmentation):
    return K.VideoSequential(augmentation, data_format="BCTHW", same_on_frame=True)(grey)


def flickers(augmentation):
    video = augmented(augmentation)
    return bool(((video[:, :, 1:] - video[:, :, :-1]).abs() > 1e-6).any())


dropped = augmented(K.RandomChannelDropout(p=1.0)).amax((3, 4)) == 0  # (B, C, T)
print("RandomChannelDropout(p=1), the dropped channel of each frame:")
for clip in dropped:
    print("  ", *("RGB"[int(frame.int().argmax())] if frame.any() else "-" for frame in clip.T))
others = [flickers(K.RandomGamma((0.5, 2.0), p=1.0)), flickers(K.RandomPlanckianJitter(p=1.0))]
print(f"RandomGamma, RandomPlanckianJitter flicker: {others}")
one_per_clip = (dropped.sum(1) == 1).all() and (dropped == dropped[:, :, :1]).all()
if one_per_clip or any(others):
    sys.exit("The behaviour has changed: each clip loses one channel in all of its frames.")
PYTHON
