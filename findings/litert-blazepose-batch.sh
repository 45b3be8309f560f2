#!/usr/bin/env bash
# ai-edge-litert 2.3.0 with the BlazePose detector of mediapipe 0.10.21: two pictures come as one.
#
# Expected: with the input resized to two pictures, (2, 224, 224, 3), the detector answers with
#   (2, 2254, 12), as the landmark network of the same package answers with (2, 195).
# Seen: it answers with (1, 4508, 12) without a word: the file's reshapes have a batch of one written
#   into them. The candidates of the pictures alternate grid by grid (1568 of the first, 1568 of the
#   second, then 392 and 392, 294 and 294), so that a plain reshape to (2, 2254, 12) gives the first
#   picture some of the second one's candidates. Put in order they equal those of single pictures.
# Hurts: batched person detection: people appear in pictures that they are not in, at wrong anchors.
# Remedy: one picture at a time, or take the grids apart before use.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q --disable-pip-version-check ai-edge-litert==2.3.0 numpy==2.4.6
"$folder/venv/bin/pip" download -q --disable-pip-version-check --no-deps --only-binary=:all: \
    --python-version=3.11 --platform=manylinux_2_28_x86_64 --dest "$folder" mediapipe==0.10.21
"$folder/venv/bin/python" -m zipfile -e "$folder"/mediapipe-*.whl "$folder/wheel"

"$folder/venv/bin/python" - "$folder/wheel/mediapipe/modules" <<'PYTHON'
import sys

import numpy as np
from ai_edge_litert.interpreter import Interpreter

MODULES = sys.argv[1]
GRIDS = (1568, 392, 294)  # 28 x 28 x 2, 14 x 14 x 2 and 7 x 7 x 6 candidates


def answers(name, pictures):
    network = Interpreter(model_path=f"{MODULES}/{name}", num_threads=1)
    (given,) = network.get_input_details()
    network.resize_tensor_input(given["index"], pictures.shape)
    network.allocate_tensors()
    network.set_tensor(given["index"], pictures)
    network.invoke()
    return [network.get_tensor(one["index"]) for one in network.get_output_details()]


rng = np.random.default_rng(0)
landmarks = "pose_landmark/pose_landmark_full.tflite"
crops = rng.random((2, 256, 256, 3), dtype=np.float32)
print("landmarks of two crops:", answers(landmarks, crops)[0].shape)
assert answers(landmarks, crops)[0].shape == (2, 195)

detector = "pose_detection/pose_detection.tflite"
pictures = rng.random((2, 224, 224, 3), dtype=np.float32)
alone = np.concatenate([answers(detector, pictures[n : n + 1])[0] for n in (0, 1)])
both = answers(detector, pictures)[0]
print("candidates of two pictures:", both.shape)
assert both.shape == (1, 4508, 12)
wrong = np.abs(both.reshape(2, 2254, 12) - alone).max(axis=(1, 2))
print("as (2, 2254, 12), most difference to each picture alone:", wrong.round(1).tolist())
assert (wrong > 1).all()

starts = np.cumsum([0, *np.repeat(GRIDS, 2)])
parts = [both[0, a:b] for a, b in zip(starts[:-1], starts[1:], strict=True)]
ordered = np.stack([np.concatenate(parts[n::2]) for n in (0, 1)])
print("grid by grid:", float(np.abs(ordered - alone).max()))
assert np.allclose(ordered, alone, atol=1e-3)
PYTHON
echo "as described"
