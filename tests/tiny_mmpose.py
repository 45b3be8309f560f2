"""Tiny models of mmpose with random weights: shipped configs, shrunk, in files of their own."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file

from vidda.control.mmpose_import import import_mmpose_apis, shipped_config

CODEC_SIZE = [64, 96]
BODY = "body_2d_keypoint/"
RTMPOSE = BODY + "rtmpose/coco/rtmpose-t_8xb256-420e_coco-256x192.py"
HALPE = BODY + "rtmpose/body8/rtmpose-t_8xb1024-700e_body8-halpe26-256x192.py"
HEATMAP = BODY + "topdown_heatmap/coco/td-hm_res50_8xb64-210e_coco-256x192.py"
CROWDPOSE = BODY + "topdown_heatmap/crowdpose/td-hm_res50_8xb64-210e_crowdpose-256x192.py"


@dataclass(frozen=True)
class TinyModel:
    """config: a .json file; weights: a .safetensors file; theirs: mmpose's own model of both."""

    config: Path
    weights: Path
    theirs: Any


def write_tiny(folder: Path, name: str = RTMPOSE, *, flip: bool = False, **model: Any) -> TinyModel:
    """Shrink a shipped config, build its model with random weights, and write both.

    flip: whether mirrored crops are averaged. model: keys of the config's `model` to replace.
    """
    apis = import_mmpose_apis()
    config = shipped_config(name)
    config.model.backbone.init_cfg = None
    config.model.test_cfg.flip_test = flip
    config.model.head.decoder.input_size = CODEC_SIZE
    if config.model.backbone.type == "ResNet":
        config.model.backbone.depth = 18
        config.model.head |= {"in_channels": 512, "deconv_out_channels": [8, 8, 8]}
        config.model.head.decoder.heatmap_size = [16, 24]
    else:
        config.model.backbone.widen_factor = 0.0625
        config.model.head |= {
            "in_channels": 64,
            "input_size": CODEC_SIZE,
            "in_featuremap_size": [2, 3],
        }
        config.model.head.gau_cfg |= {"hidden_dims": 32, "s": 16}
    for step in config.test_dataloader.dataset.pipeline:
        if step.type == "TopdownAffine":
            step.input_size = CODEC_SIZE
    for key, value in model.items():
        config.model[key] = value
    file, weights = folder / "tiny.json", folder / "tiny.safetensors"
    config.dump(str(file))
    torch.manual_seed(0)
    theirs = apis.init_model(config, None, device="cpu")
    _make_attentive(theirs)
    save_file(theirs.state_dict(), weights)
    return TinyModel(file, weights, theirs)


def _make_attentive(model: Any) -> None:
    """Let random weights answer differently to different pictures, with scores below 1."""
    coarse = torch.randn(32, 3, 12, 8)
    pictures = torch.nn.functional.interpolate(coarse, tuple(reversed(CODEC_SIZE)), mode="bilinear")
    norms = [layer for layer in model.modules() if isinstance(layer, torch.nn.BatchNorm2d)]
    for layer in norms:
        layer.momentum = 1.0
    model.train()
    with torch.no_grad():
        model(pictures, None, mode="tensor")
    model.eval()
    for name in ("cls_x", "cls_y"):
        if hasattr(model.head, name):
            getattr(model.head, name).weight.data *= 0.02
