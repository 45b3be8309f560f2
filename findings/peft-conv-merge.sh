#!/usr/bin/env bash
# peft 0.21.2 (torch 2.13.0): a LoRA on a convolution changes when it is merged.
#
# Expected: merging a LoRA into the layer's weight gives the same outputs as the layer with the LoRA
#   beside it; that is what merging is for.
# Seen: the LoRA's own convolution takes over kernel, stride and padding of the layer, but neither
#   `padding_mode` nor `dilation`: it pads by zeros and is not dilated, while the merged weight is
#   used with both. With padding_mode "replicate", "reflect" or "circular" the border differs; with
#   padding="same" and dilation the whole output does. Nothing is raised or logged. (With dilation
#   and padding in numbers the forward pass raises, as the shapes do not fit.)
# Hurts: adapters for dilated temporal networks (TCN, action segmentation), for video and image
#   autoencoders that pad by replication, and for seamless (circular) generation: what was trained
#   is not what is deployed after merge_and_unload.
# Remedy: compare the outputs before and after merging; leave such layers out of target_modules.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q --disable-pip-version-check \
    torch==2.13.0 peft==0.21.2 transformers==5.23.0 accelerate==1.15.0 numpy==2.4.6

"$folder/venv/bin/python" -W ignore - <<'PYTHON'
import sys

import torch
from peft import LoraConfig, get_peft_model
from torch import nn


@torch.no_grad()
def change_by_merging(layer, clip):
    """RMS change of the output by merging, against the RMS of what the LoRA adds."""
    torch.manual_seed(0)
    model = nn.Sequential()
    model.add_module("conv", layer)
    plain = layer(clip)
    config = LoraConfig(r=4, lora_alpha=4, target_modules=["conv"], init_lora_weights=False)
    model = get_peft_model(model, config).eval()
    beside = model(clip)
    model.merge_adapter()
    return float((model(clip) - beside).norm() / (beside - plain).norm())


torch.manual_seed(0)
clip, track = torch.randn(2, 8, 4, 14, 14), torch.randn(2, 8, 64)
cases = {
    "Conv3d, zeros": (nn.Conv3d(8, 8, 3, padding=1), clip),
    "Conv3d, replicate": (nn.Conv3d(8, 8, 3, padding=1, padding_mode="replicate"), clip),
    "Conv1d, same": (nn.Conv1d(8, 8, 3, padding="same"), track),
    "Conv1d, same, dilation 4": (nn.Conv1d(8, 8, 3, padding="same", dilation=4), track),
}
changes = {name: change_by_merging(*case) for name, case in cases.items()}
for name, change in changes.items():
    print(f"{name}: merging changes the output by {change:.0%} of the LoRA's effect")
assert changes["Conv3d, zeros"] < 1e-4 and changes["Conv1d, same"] < 1e-4
if max(changes.values()) < 1e-4:
    sys.exit("The behaviour has changed: merging keeps the output.")
PYTHON
