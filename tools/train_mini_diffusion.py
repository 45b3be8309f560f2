"""Train vidda's built-in miniature Stable Diffusion, measure it, and write its model card.

    python -m tools.train_mini_diffusion runs/mini_diffusion precision=bf16     # on a CPU
    python -m tools.train_mini_diffusion runs/mini_diffusion device=cuda \
        autoencoder.batch=64 denoiser.batch=256
    python -m tools.train_mini_diffusion runs/mini_diffusion --minutes 9        # stop after 9
    python -m tools.train_mini_diffusion runs/mini_diffusion --bench 3 --minutes 600
    python -m tools.train_mini_diffusion runs/mini_diffusion --gate pose.name=mmpose \\
        pose.model=builtin:mini_pose/model.json pose.weights=builtin:mini_pose/weights.safetensors

From the root of the repository. Scenes are rendered into OUT/data; two stages are trained on them,
each a run folder with metrics, checkpoints and contact sheets: `autoencoder`, and `denoiser` (text
encoder, UNet and both ControlNets). OUT/result is the pipeline in diffusers' format with its model
card, to be copied to vidda/assets/mini_diffusion; its card says how the one there was trained.
After an interruption, the same command resumes. All settings are in the recipe
(`tools/mini_diffusion/recipe.py`), where key=value overrides one: start=RESULT trains an earlier
result further. --bench prints how long training will take and the compute of a sample, and with
--minutes the numbers of steps that fit into that time.

Latents at half the size of images (now a quarter) are one and a half times the compute a step:

    sizes.vae_levels=2 sizes.latents=4 sizes.vae=32 sizes.unet=[32,48,72,96] sizes.hint=[8,24]
"""

import argparse
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import Field

from vidda import config
from vidda.config import Config
from vidda.control.pose import PoseConfig
from vidda.errors import ViddaError

if TYPE_CHECKING:
    from tools.mini_diffusion.recipe import Recipe

SHARES = {"autoencoder": 0.1, "denoiser": 0.9}
"""Shares of the time that --bench --minutes divides among the stages."""
SAMPLED_STEPS = 6
"""Steps of the sampler in configs/run/mini.yaml."""


class GateConfig(Config):
    """The settings for measuring the result."""

    pose: PoseConfig = Field(description="pose estimator for the images: mmpose or onnx")
    pictures: int = Field(256, ge=1, description="number of held-out images")
    steps: int = Field(10, ge=1, description="steps of the sampler")
    guidance: float = Field(2.0, ge=0, description="weight of classifier-free guidance")


def main(arguments: Sequence[str] | None = None) -> int:
    """Return the exit status: 0 when finished or the gate is passed, 3 when time is up, else 1, 2.

    1: the gate is not passed; 2: a mistake, printed as `error: ...` lines.
    """
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("out", type=Path)
    parser.add_argument("overrides", nargs="*", metavar="key=value", help="overrides of the recipe")
    parser.add_argument("--minutes", type=float, help="save and stop after so many, exit status 3")
    parser.add_argument("--bench", type=int, metavar="STEPS", help="only time so many steps")
    parser.add_argument("--gate", nargs="+", metavar="key=value", help="measure the result")
    options = parser.parse_args(arguments)
    started = time.monotonic()
    try:
        return _run(options, started)
    except ViddaError as error:
        for line in str(error).splitlines():
            print(f"error: {line}", file=sys.stderr)
        return 2


def _run(options: argparse.Namespace, started: float) -> int:
    # Imported late, so that --help and mistakes in the recipe do not wait for torch.
    from tools.mini_diffusion.recipe import Recipe

    recipe = config.load(Recipe, None, [f"out={options.out}", *options.overrides])
    chosen = config.load(GateConfig, None, options.gate) if options.gate else None

    from tools.mini_diffusion.build import Builder

    builder = Builder(recipe)
    if options.bench:
        _report(recipe, builder.seconds(options.bench), options.minutes)
        return 0
    if chosen:
        passed = builder.measure(chosen.pose, chosen.pictures, chosen.steps, chosen.guidance)
        return 0 if passed else 1
    minutes = float("inf") if options.minutes is None else options.minutes
    if builder.build(started + 60.0 * minutes):
        print(f"done: {builder.result}")
        return 0
    print(f"time is up after {minutes:g} minutes; the same command resumes")
    return 3


def _report(recipe: "Recipe", seconds: dict[str, float], minutes: float | None) -> None:
    """Print how long the recipe takes; with minutes, also the steps of each stage that fit."""
    from tools.mini_diffusion.flops import frame_gigaflops

    total = 0.0
    for name, each in seconds.items():
        steps = getattr(recipe, name).steps
        total += steps * each
        print(f"{name:12s} {each:8.3f} s/step x {steps} steps = {steps * each / 60:.1f} minutes")
    print(f"together {total / 3600:.2f} hours, without rendering and evaluation")
    compute = frame_gigaflops(recipe.sizes, recipe.data.size, SAMPLED_STEPS)
    print(f"sampling an image in {SAMPLED_STEPS} steps: {compute:.1f} GFLOP")
    if minutes is not None:
        fitting = {
            name: max(1, int(60 * minutes * SHARES[name] / s)) for name, s in seconds.items()
        }
        print(" ".join(f"{name}.steps={steps}" for name, steps in fitting.items()))


if __name__ == "__main__":
    sys.exit(main())
