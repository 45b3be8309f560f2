"""Checks of the libraries that models come from, each by a tiny model with random weights."""

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from vidda.doctor.findings import MissingPart
from vidda.errors import ViddaError
from vidda.provenance import version

# Recognizers that the configs of this package load by name.
RECOGNIZERS = ("MCG-NJU/videomae-base", "MCG-NJU/videomae-base-finetuned-kinetics")


def check_torchvision() -> str:
    """Resize a clip with torchvision.

    Returns the detail for the table; raises where the part is missing or does not work.
    """
    import torch
    from torchvision.transforms import v2

    clip = torch.zeros(4, 3, 40, 40, dtype=torch.uint8)
    shape = tuple(v2.Resize(20)(clip).shape)
    if shape != (4, 3, 20, 20):
        raise ValueError(f"a 40x40 clip resized to 20 became {shape}")
    return f"torchvision {version('torchvision')} resizes a clip"


def check_pytorchvideo() -> str:
    """Run a small X3D of pytorchvideo.

    Returns the detail for the table; raises where the part is missing or does not work.
    """
    import torch
    from pytorchvideo.models.x3d import create_x3d

    model = create_x3d(
        input_clip_length=4, input_crop_size=32, model_num_class=7, depth_factor=0.5
    ).eval()
    _require_finite(model(torch.zeros(1, 3, 4, 32, 32)), (1, 7))
    return f"pytorchvideo {version('pytorchvideo')} runs an X3D"


def check_timm() -> str:
    """Run a small ViT of timm.

    Returns the detail for the table; raises where the part is missing or does not work.
    """
    import timm
    import torch

    model = timm.create_model("test_vit", num_classes=7).eval()
    _require_finite(model(torch.zeros(1, 3, 160, 160)), (1, 7))
    return f"timm {timm.__version__} runs a ViT"


def check_einops() -> str:
    """Rearrange a tensor with einops.

    Returns the detail for the table; raises where the part is missing or does not work.
    """
    import torch
    from einops import rearrange

    clips = rearrange(torch.arange(6), "(b t) -> b t", t=3)
    if clips.tolist() != [[0, 1, 2], [3, 4, 5]]:
        raise ValueError(f"six numbers became the rows {clips.tolist()}")
    return f"einops {version('einops')} rearranges a tensor"


def check_transformers() -> str:
    """Run a small VideoMAE of transformers.

    Returns the detail for the table; raises where the part is missing or does not work.
    """
    import torch
    from transformers import VideoMAEConfig, VideoMAEForVideoClassification

    config = VideoMAEConfig(
        image_size=32,
        num_frames=4,
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=16,
    )
    model = VideoMAEForVideoClassification(config).eval()
    _require_finite(model(torch.zeros(1, 4, 3, 32, 32)).logits, (1, 2))
    return f"transformers {version('transformers')} runs a VideoMAE"


def check_diffusers() -> str:
    """Run a step of a small UNet with a ControlNet of diffusers.

    Returns the detail for the table; raises where the part is missing or does not work.
    """
    import torch
    from diffusers import ControlNetModel, PNDMScheduler, UNet2DConditionModel

    unet: Any = UNet2DConditionModel(
        sample_size=8,
        block_out_channels=(8, 16),
        layers_per_block=1,
        norm_num_groups=4,
        cross_attention_dim=8,
        attention_head_dim=4,
        down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"),
    )
    control = ControlNetModel.from_unet(unet, conditioning_embedding_out_channels=(4, 8))
    scheduler: Any = PNDMScheduler(skip_prk_steps=True)
    scheduler.set_timesteps(20)
    noise, text, edges = torch.randn(1, 4, 8, 8), torch.zeros(1, 3, 8), torch.zeros(1, 3, 16, 16)
    with torch.no_grad():
        step = scheduler.timesteps[0]
        down, middle = control(noise, step, text, edges, return_dict=False)
        predicted = unet(
            noise,
            step,
            text,
            down_block_additional_residuals=down,
            mid_block_additional_residual=middle,
        ).sample
        _require_finite(scheduler.step(predicted, step, noise).prev_sample, (1, 4, 8, 8))
    return f"diffusers {version('diffusers')} runs a UNet with a ControlNet"


def check_peft() -> str:
    """Run a layer with a LoRA of peft.

    Returns the detail for the table; raises where the part is missing or does not work.
    """
    import torch
    from peft import LoraConfig, get_peft_model

    model = get_peft_model(
        torch.nn.Sequential(torch.nn.Linear(8, 7)), LoraConfig(r=2, target_modules=["0"])
    )
    _require_finite(model(torch.zeros(1, 8)), (1, 7))
    return f"peft {version('peft')} adds a LoRA"


def check_accelerate() -> str:
    """Compute a gradient on accelerate's device.

    Returns the detail for the table; raises where the part is missing or does not work.
    """
    import torch
    from accelerate import Accelerator

    accelerator = Accelerator()
    model = accelerator.prepare(torch.nn.Linear(8, 7))
    accelerator.backward(model(torch.zeros(1, 8, device=accelerator.device)).sum())
    return f"accelerate {version('accelerate')} on {accelerator.device}"


def check_safetensors() -> str:
    """Save and load a tensor with safetensors.

    Returns the detail for the table; raises where the part is missing or does not work.
    """
    import torch
    from safetensors.torch import load, save

    tensor = torch.arange(6.0)
    if not torch.equal(load(save({"weight": tensor}))["weight"], tensor):
        raise ValueError("a tensor changed on its way through a file")
    return f"safetensors {version('safetensors')} keeps a tensor"


def _require_finite(output: object, shape: tuple[int, ...]) -> None:
    import torch

    assert isinstance(output, torch.Tensor)
    if tuple(output.shape) != shape or not output.isfinite().all():
        raise ValueError(f"the output is {tuple(output.shape)}, not {shape}, or not finite")


def check_mmpose() -> str:
    """Estimate a pose with an RTMPose of mmpose, without weights.

    Returns the detail for the table; raises where the part is missing or does not work.
    """
    if version("mmpose") is None:
        raise MissingPart("not installed")
    from vidda.control.mmpose_import import import_mmpose_apis, shipped_config

    apis = import_mmpose_apis()
    config = shipped_config("body_2d_keypoint/rtmpose/coco/rtmpose-t_8xb256-420e_coco-256x192.py")
    config.model.backbone.init_cfg = None  # no pre-trained weights: nothing is downloaded
    model = apis.init_model(config, None, device="cpu")
    image = np.zeros((128, 96, 3), np.uint8)
    people = apis.inference_topdown(model, image, np.array([[0, 0, 96, 128]]))
    shape = people[0].pred_instances.keypoints.shape
    if shape != (1, 17, 2):
        raise ValueError(f"RTMPose found key points of shape {shape}, not (1, 17, 2)")
    return f"mmpose {version('mmpose')} runs an RTMPose"


def check_wandb() -> str:
    """Record an offline run with wandb.

    Returns the detail for the table; raises where the part is missing or does not work.
    """
    if version("wandb") is None:
        raise MissingPart("not installed")
    from vidda.config import Config
    from vidda.run import RunFolder

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "run"
        with RunFolder.open(path, Config(), {}, resume=False, wandb="offline") as run:
            run.record(1, {"loss": 0.5})
            run.finish()
        if not list(path.glob("wandb/offline-run-*/*.wandb")):
            raise ValueError("an offline run left no file")
    return f"wandb {version('wandb')} records offline"


def check_weights() -> str:
    """Find the public weights as the commands that use them do, without downloading any.

    Returns the detail for the table; raises where the part is missing or does not work.
    """
    from vidda.recognize.videomae_start import VideoMaeHub
    from vidda.translate.caption import CaptionerConfig, find_captioner
    from vidda.translate.stable_diffusion.model_files import find_model_files
    from vidda.translate.stable_diffusion.weights_config import WeightsConfig

    uses: dict[str, Callable[[], object]] = {
        "translate": lambda: find_model_files(WeightsConfig()),
        "caption": lambda: find_captioner(CaptionerConfig(), download=False),
        **{f"train {name}": VideoMaeHub(repo=name).find for name in RECOGNIZERS},
    }
    cached, problems = [], []
    for name, find in uses.items():
        try:
            find()
            cached.append(name)
        except ViddaError as error:
            problems += str(error).splitlines()
    found = f"in the cache: those of {', '.join(cached) or 'none'}"
    if problems:
        raise MissingPart("; ".join([found, *problems]))
    return found
