"""Frames per second and peak memory of vidda's translator beside diffusers' own loop.

    python tools/bench_translate.py                          # tiny random weights on the CPU
    python tools/bench_translate.py --sd15 --device cuda     # Stable Diffusion 1.5's sizes

Four methods with the same weights, prompts, control images and steps: diffusers' pipeline frame by
frame, vidda without cross-frame attention, with it, and with ControlNet windows and an early stop
of guidance as well. They take turns, so that a busy machine slows all alike; results are medians.
Weights are random, which takes the same work as trained ones. With --tflops of the device, also the
share of its peak that each method reaches, from the operations that PyTorch counts.
"""

import argparse
import copy
import statistics
import sys
import time
import weakref
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import torch
from diffusers import (
    AutoencoderKL,
    ControlNetModel,
    MultiControlNetModel,
    PNDMScheduler,
    StableDiffusionControlNetPipeline,
    UNet2DConditionModel,
)
from tokenizers.pre_tokenizers import ByteLevel
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import FlopCounterMode, sdpa_flop_count
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

from vidda.control.controls import Controls
from vidda.device import torch_dtype
from vidda.translate.stable_diffusion.attention_context import AttendFirstPrevious, AttendOwn
from vidda.translate.stable_diffusion.loading import ControlNet, Models
from vidda.translate.stable_diffusion.noise import IndependentNoise
from vidda.translate.stable_diffusion.sampler import ClipJob, StableDiffusionTranslator
from vidda.translate.stable_diffusion.sampling_config import SamplingConfig
from vidda.translate.stable_diffusion.schedulers import SD15_NOISE


@dataclass(frozen=True)
class Size:
    """The widths of all networks, and the workload: pixels a side, frames and steps."""

    unet: tuple[int, ...]
    heads: int
    text: int
    text_layers: int
    vae: tuple[int, ...]
    hint: tuple[int, ...]
    layers: int
    groups: int
    pixels: int
    frames: int
    steps: int


SIZES = {
    "tiny": Size((64, 128), 2, 64, 2, (16, 32, 32), (8, 16, 32), 1, 8, 64, 16, 4),
    "sd15": Size(
        (320, 640, 1280, 1280), 8, 768, 12, (128, 256, 512, 512), (16, 32, 96, 256), 2, 32,
        512, 16, 20,
    ),
}  # fmt: skip


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sd15", action="store_true", help="Stable Diffusion 1.5's sizes")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument(
        "--precision", choices=["bf16", "fp16", "fp32"], help="default: bf16 on cuda, fp32 on cpu"
    )
    parser.add_argument("--chunk", type=int, default=16)
    parser.add_argument("--frames", type=int)
    parser.add_argument("--steps", type=int)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--compile", action="store_true", help="torch.compile vidda's networks")
    parser.add_argument("--channels-last", action="store_true")
    parser.add_argument(
        "--tflops", type=float, help="the device's peak, e.g. 989 of an H200's bf16"
    )
    options = parser.parse_args()
    size = SIZES["sd15" if options.sd15 else "tiny"]
    size = replace(size, frames=options.frames or size.frames, steps=options.steps or size.steps)
    precision = options.precision or ("bf16" if options.device == "cuda" else "fp32")
    models = random_models(size, torch.device(options.device), torch_dtype(precision))
    if options.channels_last:
        for module in models.modules():
            module.to(memory_format=torch.channels_last)
    compare(options, size, models, precision)
    return 0


def compare(options: argparse.Namespace, size: Size, models: Models, precision: str) -> None:
    """Measure and print frames/s, peak memory, ratios and, with --tflops, the share of the peak."""
    clip = random_clip(size)
    counts = {name: counted(way) for name, way in ways(size, models, clip, options, False).items()}
    timed_ways = ways(size, models, clip, options, options.compile)
    rates: dict[str, list[float]] = {name: [] for name in timed_ways}
    peaks = {name: f"{gib:.3f} GiB of tensors" for name, (_, gib) in counts.items()}
    for turn in range(options.repeats + 1):  # the first one warms up
        for name in list(timed_ways) if turn % 2 else list(timed_ways)[::-1]:
            seconds = timed(timed_ways[name], options.device)
            if turn:
                rates[name].append(size.frames / seconds)
            if options.device == "cuda":
                peaks[name] = f"{torch.cuda.max_memory_allocated() / 2**30:.2f} GiB"
    kind = "SD 1.5" if options.sd15 else "tiny"
    device = torch.cuda.get_device_name() if options.device == "cuda" else "CPU"
    print(f"{kind} sizes, {size.frames} frames of {size.pixels} pixels, {size.steps} steps,")
    print(f"guidance, two ControlNets, {precision} on {device}, chunk {options.chunk}")
    base = statistics.median(rates["diffusers, per frame"])
    for name, found in rates.items():
        rate, work = statistics.median(found), counts[name][0] / size.frames
        line = f"  {name:24s} {rate:8.3f} frames/s  {rate / base:5.2f}x  {work:8.4f} TFLOP/frame"
        if options.tflops:
            line += f"  {rate * work / options.tflops:6.1%} of the limit"
        print(f"{line}  {peaks[name]}")
    ratio = _ratio(rates["vidda, first_previous"], rates["vidda, none"])
    print(f"  first_previous takes {1 / ratio - 1:+.0%} of none's time; goal: at most +35%")
    none = _ratio(rates["vidda, none"], rates["diffusers, per frame"])
    print(f"  none is {none:.2f}x diffusers; goal: at least 1")


def ways(
    size: Size, models: Models, clip: ClipJob, options: argparse.Namespace, compiled: bool
) -> dict[str, Callable[[], Any]]:
    """Return the methods to compare, by name; each has its own UNet with the same weights."""
    sampling = SamplingConfig(
        steps=size.steps,
        context=AttendOwn(),
        noise=IndependentNoise(),
        chunk=options.chunk,
        compile=compiled,
    )
    across = sampling.model_copy(update={"context": AttendFirstPrevious()})
    stopping = across.model_copy(update={"guidance_stop": 0.7})
    windows = [replace(n, end=e) for n, e in zip(models.controlnets, (0.5, 0.8), strict=True)]
    found: dict[str, Callable[[], Any]] = {
        "diffusers, per frame": lambda: per_frame(models, clip, size.steps)
    }
    for name, config, nets in (
        ("vidda, none", sampling, models.controlnets),
        ("vidda, first_previous", across, models.controlnets),
        ("vidda, windows and stop", stopping, tuple(windows)),
    ):
        own = replace(models, unet=copy.deepcopy(models.unet), controlnets=nets)
        found[name] = partial(StableDiffusionTranslator(own, config).translate, [clip])
    return found


def per_frame(models: Models, clip: ClipJob, steps: int) -> None:
    """Translate a clip with diffusers' pipeline, frame by frame."""
    pipeline = StableDiffusionControlNetPipeline(
        vae=models.vae,
        text_encoder=models.text_encoder,
        tokenizer=models.tokenizer,
        unet=models.unet,
        controlnet=MultiControlNetModel([net.model for net in models.controlnets]),
        scheduler=PNDMScheduler(**SD15_NOISE),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )
    pipeline.set_progress_bar_config(disable=True)
    for frame in range(len(clip.frames)):
        edges = np.repeat(clip.controls.edges[frame, ..., None], 3, axis=2)  # type: ignore[index]
        pair = [edges, clip.controls.pose_maps[frame]]  # type: ignore[index]
        images = [torch.from_numpy(p).permute(2, 0, 1)[None] / 255 for p in pair]
        pipeline(
            prompt=clip.prompt,
            negative_prompt=clip.negative,
            image=images,
            num_inference_steps=steps,
            guidance_scale=9.0,
            generator=torch.Generator().manual_seed(frame),
            output_type="np",
        )


def timed(way: Callable[[], Any], device: str) -> float:
    """Return the seconds that a method takes; on a GPU, reset the peak memory before."""
    if device == "cuda":
        torch.cuda.synchronize()
        torch.cuda.reset_peak_memory_stats()
    start = time.perf_counter()
    way()
    if device == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - start


def counted(way: Callable[[], Any]) -> tuple[float, float]:
    """Return a method's TFLOP (matrix products, convolutions, attention) and peak memory in GiB.

    The peak counts tensors other than the weights, for devices that do not measure it.
    """

    def attention(query: Any, key: Any, value: Any, *_: Any, **__: Any) -> int:
        return sdpa_flop_count(query, key, value)

    # PyTorch counts attention on GPUs only.
    on_cpu = {torch.ops.aten._scaled_dot_product_flash_attention_for_cpu: attention}
    with LiveBytes() as live, FlopCounterMode(display=False, custom_mapping=on_cpu) as counter:
        way()
    return counter.get_total_flops() / 1e12, live.peak / 2**30


class LiveBytes(TorchDispatchMode):
    """A context that measures `peak`, the most bytes of live tensors created inside it."""

    def __init__(self) -> None:
        super().__init__()
        self.now = self.peak = 0
        self._known: set[int] = set()

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):  # type: ignore[no-untyped-def]
        result = func(*args, **(kwargs or {}))
        for tensor in tree_leaves(result):
            if isinstance(tensor, torch.Tensor):
                storage = tensor.untyped_storage()
                if storage._cdata not in self._known:
                    self._known.add(storage._cdata)
                    self.now += storage.nbytes()
                    weakref.finalize(storage, self._forget, storage._cdata, storage.nbytes())
        self.peak = max(self.peak, self.now)
        return result

    def _forget(self, storage: int, size: int) -> None:
        self._known.remove(storage)
        self.now -= size


def random_clip(size: Size) -> ClipJob:
    """Return a clip with random frames, edges and pose maps."""
    rng = np.random.default_rng(0)
    shape = (size.frames, size.pixels, size.pixels)
    controls = Controls(
        edges=rng.choice([0, 255], shape).astype(np.uint8),
        pose=None,
        pose_maps=rng.integers(0, 256, (*shape, 3), np.uint8),
        flow_previous=None,
        flow_anchor=None,
        occluded_previous=None,
        occluded_anchor=None,
    )
    return ClipJob(
        frames=rng.integers(0, 256, (*shape, 3), np.uint8),
        controls=controls,
        prompt="a person",
        negative="lowres",
        seed=0,
    )


def random_models(size: Size, device: torch.device, dtype: torch.dtype) -> Models:
    """Return all networks of these widths with random weights, created on the device."""
    torch.manual_seed(0)
    down = len(size.unet) - (len(size.unet) > 2)  # the lowest of many has no attention
    kinds = ("CrossAttnDownBlock2D",) * down + ("DownBlock2D",) * (len(size.unet) - down)
    with device:
        unet = UNet2DConditionModel(
            sample_size=size.pixels // 2 ** (len(size.vae) - 1),
            block_out_channels=size.unet,
            down_block_types=kinds,
            up_block_types=tuple(kind.replace("Down", "Up") for kind in kinds[::-1]),
            cross_attention_dim=size.text,
            attention_head_dim=size.heads,
            layers_per_block=size.layers,
            norm_num_groups=size.groups,
        )
        nets = [
            ControlNetModel.from_unet(unet, conditioning_embedding_out_channels=size.hint)
            for _ in range(2)
        ]
        vae = AutoencoderKL(
            down_block_types=("DownEncoderBlock2D",) * len(size.vae),
            up_block_types=("UpDecoderBlock2D",) * len(size.vae),
            block_out_channels=size.vae,
            layers_per_block=size.layers,
            norm_num_groups=size.groups,
            latent_channels=4,
        )
        tokenizer = letters()
        text_encoder = CLIPTextModel(
            CLIPTextConfig(
                vocab_size=len(tokenizer),
                hidden_size=size.text,
                intermediate_size=4 * size.text,
                num_hidden_layers=size.text_layers,
                num_attention_heads=size.text // 64,
                bos_token_id=len(tokenizer) - 2,
                eos_token_id=len(tokenizer) - 1,
            )
        )
    for module in (unet, vae, text_encoder, *nets):
        module.requires_grad_(False).eval().to(dtype)
    controlnets = tuple(
        ControlNet(kind, net, 1.0, 0.0, 1.0)
        for kind, net in zip(("edges", "pose"), nets, strict=True)
    )
    return Models(vae, unet, text_encoder, tokenizer, SD15_NOISE, controlnets)


def letters() -> CLIPTokenizer:
    """Return CLIP's tokenizer without merges; prompts are padded to 77 tokens as usual."""
    alphabet = sorted(ByteLevel.alphabet())
    words = [*alphabet, *(letter + "</w>" for letter in alphabet)]
    words += ["<|startoftext|>", "<|endoftext|>"]
    vocabulary = {word: number for number, word in enumerate(words)}
    return CLIPTokenizer(vocab=vocabulary, merges=[], model_max_length=77)


def _ratio(ones: list[float], others: list[float]) -> float:
    """Return the median of the ratios of two methods' rates in the same turns."""
    return statistics.median(one / other for one, other in zip(ones, others, strict=True))


if __name__ == "__main__":
    sys.exit(main())
