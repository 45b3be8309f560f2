"""Clips per second of vidda's training loop beside a bare PyTorch loop, and time lost to waiting.

    python tools/bench_train.py                    # on MiniRoCoG clips that it renders
    python tools/bench_train.py --model x3d_m --device cuda --precision bf16

Both loops train the same model on the same decoded batches, in turns, so that a busy machine slows
both alike; the result is the median of the ratios. Then batches are loaded while each step takes
100 ms, as on a GPU, to measure the share of time that passes waiting for data.
"""

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import torch
from accelerate import Accelerator
from torch import nn
from torch.nn import functional as F

from vidda.cli import main as vidda
from vidda.config import Config
from vidda.data import load_manifest
from vidda.data.dataset import Batch, ClipDataset
from vidda.data.frame_sampling import UniformSampling
from vidda.data.loader import ClipLoader, shuffled_order
from vidda.data.transforms import RandomResizedCrop, TransformConfig
from vidda.recognize.biconvlstm import BiConvLstmConfig, FlatHeadConfig
from vidda.recognize.feed import Feed
from vidda.recognize.frame_trunk import SmallTrunkConfig
from vidda.recognize.loop import LoopModules, LoopSchedule, train
from vidda.recognize.loop_config import MIXED_PRECISION
from vidda.recognize.method import Supervised
from vidda.recognize.optim import AdamWConfig, ConstantSchedule, param_groups
from vidda.recognize.pytorchvideo_video import PytorchvideoVideoConfig
from vidda.recognize.recognizer import Recognizer
from vidda.recognize.videomae import VideoMaeConfig
from vidda.run import RunFolder

CLASSES = 7
STEP_S = 0.1
MODELS = {
    # name: (config, frames, pixels)
    "small": (
        BiConvLstmConfig(
            trunk=SmallTrunkConfig(), input="both", hidden=48, head=FlatHeadConfig(grid=4)
        ),
        16,
        64,
    ),
    "biconvlstm": (BiConvLstmConfig(), 16, 224),
    "videomae_b": (VideoMaeConfig(), 16, 224),
    "x3d_m": (PytorchvideoVideoConfig(arch="x3d_m"), 16, 224),
}


class Timed:
    """A loader that yields the same decoded batch every time, and records when it was asked."""

    def __init__(self, batch: Batch, steps: int) -> None:
        self.batch, self.steps = batch, steps
        self.asked: list[float] = []
        clips = [SimpleNamespace(id=str(n)) for n in range(len(batch.label))]
        self.dataset = SimpleNamespace(manifest=SimpleNamespace(clips=clips))

    def batches_in_order(self, number: int, start: int = 0) -> Iterator[Batch]:
        """Yield the batch `steps` times; number, start: of the epoch and batch, ignored."""
        for _ in range(self.steps):
            self.asked.append(_now())
            yield self.batch
        self.asked.append(_now())

    def rate(self) -> float:
        """Return clips per second after two warm-up steps."""
        return len(self.batch.label) * (self.steps - 2) / (self.asked[-1] - self.asked[2])


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", choices=MODELS, default="small")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--precision", choices=MIXED_PRECISION, default="fp32")
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--steps", type=int, default=25)
    parser.add_argument("--repeats", type=int, default=6)
    parser.add_argument("--only-loop", action="store_true", help="leave out the waiting for data")
    options = parser.parse_args()
    accelerator = Accelerator(
        mixed_precision=MIXED_PRECISION[options.precision], cpu=options.device == "cpu"
    )
    compare(options, accelerator)
    if not options.only_loop:
        waits()
    return 0


def compare(options: argparse.Namespace, accelerator: Accelerator) -> None:
    """Measure and print clips/s of both loops, their ratio, and the peak memory on a GPU."""
    config, frames, pixels = MODELS[options.model]
    video = torch.randn(options.batch, 3, frames, pixels, pixels)
    label = torch.arange(options.batch) % CLASSES
    batch = Batch(video, label, torch.arange(options.batch))
    ours, bare = [], []
    for turn in range(options.repeats):
        # They alternate in going first, because the second benefits from warm memory.
        pair = [(ours, our_loop), (bare, bare_loop)]
        for rates, loop in pair if turn % 2 else pair[::-1]:
            torch.manual_seed(0)
            timed = Timed(batch, options.steps)
            loop(config.build(CLASSES), timed, accelerator)
            rates.append(timed.rate())
    ratios = [one / other for one, other in zip(ours, bare, strict=True)]
    ratio = statistics.median(ratios)
    print(f"{options.model}, batch {options.batch}, {options.precision} on {accelerator.device}")
    print(f"  vidda      {statistics.median(ours):8.1f} clips/s")
    print(f"  bare loop  {statistics.median(bare):8.1f} clips/s")
    print(f"  ratio      {ratio:8.3f}  ({min(ratios):.3f} to {max(ratios):.3f}), goal 0.95")
    if accelerator.device.type == "cuda":
        print(f"  peak memory {torch.cuda.max_memory_allocated() / 2**30:.2f} GiB")


def our_loop(model: Recognizer, timed: Timed, accelerator: Accelerator) -> None:
    """Train with vidda's loop for the loader's steps."""
    method = Supervised(CLASSES, smoothing=0.1, mixup=0.0, cutmix=0.0)
    _train(model, timed, accelerator, method, timed.steps)


def bare_loop(model: Recognizer, timed: Timed, accelerator: Accelerator) -> None:
    """Train with a minimal PyTorch loop: the same model, optimizer, precision and loss."""
    device = accelerator.device
    model = model.to(device).train()
    optimizer = AdamWConfig().build(param_groups(model, 1e-3, 0.05, 1.0))
    precision = accelerator.mixed_precision
    scaler = torch.amp.GradScaler(device.type, enabled=precision == "fp16")
    dtype = torch.float16 if precision == "fp16" else torch.bfloat16
    for batch in timed.batches_in_order(0):
        video, label = batch.video.to(device), batch.label.to(device)
        with torch.autocast(device.type, dtype, enabled=precision != "no"):
            logits = model(video).logits
        loss = F.cross_entropy(logits.float(), label, label_smoothing=0.1)
        scaler.scale(loss).backward()
        scaler.step(optimizer)
        scaler.update()
        optimizer.zero_grad(set_to_none=True)


def waits() -> None:
    """Print the share of time spent waiting for batches, decoded and cached, at STEP_S a step."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        few = ["real_train=1", "real_test=1", "syn_train=30", "syn_val=1"]
        vidda(["mini", str(root / "mini"), *few])
        recipe = root / "prepare.yaml"
        recipe.write_text("dataset: {name: rocog_v2}\n")
        vidda(["prepare", str(recipe), f"root={root / 'mini'}", f"out={root / 'out'}"])
        manifest = load_manifest(root / "out").where(domain="synthetic")
        for cache in (None, root / "cache"):
            dataset = ClipDataset(
                manifest,
                UniformSampling(),
                TransformConfig(size=112, crop=RandomResizedCrop()),
                cache=cache,
            )
            loader = ClipLoader(dataset, 16, order=shuffled_order(dataset), workers=2)
            share = 0.0
            for epoch in range(3):  # the first one starts the workers and fills the cache
                share = _waited(loader, epoch)
            kind = "decoded" if cache is None else "cached"
            print(f"  waits for data {share:6.1%} of the time, {kind} at 112x112, 2 workers")


def _waited(loader: ClipLoader, epoch: int) -> float:
    start = asked = time.monotonic()
    waited = 0.0
    for number, _ in enumerate(loader.epoch(epoch)):
        # The first batch does not count, because the queue is still empty.
        waited += (time.monotonic() - asked) if number else 0.0
        start = start if number else time.monotonic()
        time.sleep(STEP_S)
        asked = time.monotonic()
    return waited / (asked - start)


def _train(
    model: nn.Module, loader: Timed, accelerator: Accelerator, method: Supervised, steps: int
) -> None:
    """Train with vidda's loop for one epoch, without evaluation or checkpoint at its end."""
    model = model.to(accelerator.device)
    optimizer = AdamWConfig().build(param_groups(model, 1e-3, 0.05, 1.0))
    prepared, optimizer = accelerator.prepare(model, optimizer)
    modules = LoopModules(
        accelerator, model, prepared, optimizer, ConstantSchedule(), 1e-3, None, method
    )
    schedule = LoopSchedule(1, steps, 1, 10, None, 1, None, None)
    scratch = tempfile.TemporaryDirectory()
    folder = Path(scratch.name) / "run"
    with scratch, RunFolder.open(folder, Config(), {}, resume=False) as run:
        train(
            run,
            modules,
            Feed(loader),  # type: ignore[arg-type]
            schedule,
            0,
            end_epoch=lambda epoch: (0.0, {}),
            save_model=lambda place, tested: None,
        )


def _now() -> float:
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.monotonic()


if __name__ == "__main__":
    sys.exit(main())
