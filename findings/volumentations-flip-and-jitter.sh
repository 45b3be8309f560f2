#!/usr/bin/env bash
# volumentations-3D 1.0.4 (numpy 1.26.4): masks are flipped otherwise than their clip, jitter is one of four.
#
# Expected: transforms of volumes (or clips, as height, width and time) treat an image and its mask
#   alike; ColorJitter changes brightness, contrast, saturation and hue, in a random order.
# Seen: (1) Flip() draws its axes anew for the image and for the mask, so that they agree in one of
#   seven flips. (2) ColorJitter applies each of its four changes to the *original* and keeps the
#   last one: of the four, three are computed and thrown away.
# Hurts: training of segmentation, and of anything with a mask of the person: from the first epoch on
#   most masks lie over other pixels, or run backwards, without any error; photometric
#   augmentation, often the means against a domain gap, is much weaker than set.
# Remedy: Flip(axis) with one axis each, three times; four ColorJitter with one setting each.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q --disable-pip-version-check \
    numpy==1.26.4 scipy==1.11.4 scikit-image==0.22.0 opencv-python-headless==4.10.0.84
"$folder/venv/bin/pip" install -q --disable-pip-version-check --no-deps volumentations-3D==1.0.4

"$folder/venv/bin/python" -W ignore - <<'PYTHON'
import random
import sys

import numpy as np
from volumentations import ColorJitter, Compose, Flip

random.seed(0)
np.random.seed(0)
volume = np.random.rand(6, 6, 6).astype(np.float32)
mask = (volume > 0.5).astype(np.float32)
TRIALS = 300


def agreeing(transform):
    pairs = [Compose([transform])(image=volume, mask=mask) for _ in range(TRIALS)]
    return sum(((pair["image"] > 0.5) == pair["mask"]).all() for pair in pairs)


found = {"Flip()": agreeing(Flip(p=1)), "Flip(0)": agreeing(Flip(0, p=1))}
print(f"of {TRIALS} flips, masks that still fit their image: {found}")
assert found["Flip(0)"] == TRIALS

clip = np.empty((2, 4, 4, 3), np.float32)
clip[...] = (0.6, 0.4, 0.3)
SETTINGS = {"brightness": (0.5, 0.5), "contrast": (1, 1), "saturation": (0.5, 0.5), "hue": (0, 0)}


def jittered():
    out = Compose([ColorJitter(**SETTINGS, p=1)])(image=clip)["image"][0, 0, 0]
    return float(out.mean().round(3)), float((out.max() - out.min()).round(3))


print("ColorJitter with half the brightness and half the saturation, every time; mean and spread")
print(f"  of red, green, blue {(0.433, 0.3)}; 200 times: {sorted({jittered() for _ in range(200)})}")
both = sum(out[0] < 0.3 and out[1] < 0.1 for out in (jittered() for _ in range(200)))
print(f"  both changes in {both} of 200")
if found["Flip()"] == TRIALS and both == 200:
    sys.exit("The behaviour has changed: masks follow their image, all changes are applied.")
PYTHON
