"""The network: a narrow ResNet with a heatmap head, as mmpose builds it from a config."""

import json
import logging
import warnings
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file

from vidda.control.mmpose_import import import_mmpose_apis
from vidda.files import write_text

SIZE = 112
"""Pixels a side of the network's input, which is a whole frame of MiniRoCoG."""

STRIDE = 4
"""Pixels a side of a heatmap's cell."""

WIDTH = 32
CONFIG, WEIGHTS = "model.json", "weights.safetensors"
LIMIT_BYTES = 5_000_000


def content() -> dict[str, Any]:
    """Return the model's config in mmpose's format.

    Boxes are not padded, because the default box is the whole frame.
    """
    codec = {
        "type": "MSRAHeatmap",
        "input_size": [SIZE, SIZE],
        "heatmap_size": [SIZE // STRIDE, SIZE // STRIDE],
        "sigma": 1.5,
        "unbiased": True,
        "blur_kernel_size": 7,
    }
    dataset = {
        "type": "CocoDataset",
        "pipeline": [
            {"type": "LoadImage"},
            {"type": "GetBBoxCenterScale", "padding": 1.0},
            {"type": "TopdownAffine", "input_size": [SIZE, SIZE]},
            {"type": "PackPoseInputs"},
        ],
    }
    return {
        "default_scope": "mmpose",
        "model": {
            "type": "TopdownPoseEstimator",
            "data_preprocessor": {
                "type": "PoseDataPreprocessor",
                "mean": [123.675, 116.28, 103.53],
                "std": [58.395, 57.12, 57.375],
                "bgr_to_rgb": True,
            },
            "backbone": {
                "type": "ResNetV1d",
                "depth": 18,
                "stem_channels": WIDTH,
                "base_channels": WIDTH,
                "num_stages": 3,
                "strides": [1, 2, 2],
                "dilations": [1, 1, 1],
                "out_indices": [2],
            },
            "head": {
                "type": "HeatmapHead",
                "in_channels": 4 * WIDTH,
                "out_channels": 17,
                "deconv_out_channels": [2 * WIDTH, 2 * WIDTH],
                "deconv_kernel_sizes": [4, 4],
                "loss": {"type": "KeypointMSELoss", "use_target_weight": True, "loss_weight": 100},
                "decoder": codec,
            },
            "test_cfg": {"flip_test": False, "flip_mode": "heatmap", "shift_heatmap": True},
        },
        "train_dataloader": {"dataset": dataset},
        "test_dataloader": {"dataset": dataset},
    }


def build(seed: int) -> Any:
    """Return the model with random weights, on the CPU."""
    apis = import_mmpose_apis()
    from mmengine import Config as Content
    from mmengine.logging import MMLogger

    log = MMLogger.get_current_instance()
    level = log.level
    log.setLevel(logging.ERROR)  # otherwise it lists the initialization of each weight
    with torch.random.fork_rng(devices=[]), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about the source of COCO's joint names
        torch.manual_seed(seed)
        model = apis.init_model(Content(content()), None, device="cpu")
        model.init_weights()
    log.setLevel(level)
    return model


def save(model: Any, folder: Path) -> None:
    """Write config and weights for `MMPoseConfig` into an existing folder.

    Filters are saved in fp16; norms, whose variances may be tiny, in fp32.
    """
    write_text(folder / CONFIG, json.dumps(content(), indent=1) + "\n")
    state = {
        name: (value.half() if value.ndim > 1 else value).cpu().contiguous()
        for name, value in model.state_dict().items()
        if value.is_floating_point()  # others are batch counters
    }
    save_file(state, folder / WEIGHTS)
