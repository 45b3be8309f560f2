"""The training loop of all stages; an interrupted run resumes with the same command.

No random state is carried from step to step: images, noise and noise levels of a step depend on the
seed and the step's number alone.
"""

import math
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from safetensors.torch import load_file, save_file

from tools.mini_diffusion.averaging import Average
from tools.mini_diffusion.recipe import StageConfig
from vidda.errors import ViddaError
from vidda.files import atomic_folder
from vidda.progress import meter
from vidda.run import RunFolder
from vidda.training_state import load_learned, load_state, save_learned, save_state
from vidda.translate.stable_diffusion.personalize.render_images import write_png
from vidda.translate.stable_diffusion.personalize.training_loop import frame_order

AVERAGE = "average.safetensors"
RESULT = "result"
LOG_EVERY = 20


class Stage(Protocol):
    """Networks in training.

    learned: the trained parameters by name. size: the number of training images.
    """

    learned: Mapping[str, torch.nn.Parameter]
    size: int

    def loss_terms(
        self, numbers: torch.Tensor, generator: torch.Generator
    ) -> dict[str, torch.Tensor]:
        """Return the scalar terms, by name, whose sum is the loss; numbers: (B,) of images."""

    def measure(self) -> dict[str, float]:
        """Return metrics on held-out images, without randomness."""

    def contact_sheet(self) -> np.ndarray:
        """Return a contact sheet of the networks' current outputs, (H, W, 3) uint8."""

    def save(self, folder: Path) -> None:
        """Write the result into an existing folder."""


class Machine:
    """The device and the precision (bf16 or fp32) of training."""

    def __init__(self, device: torch.device, precision: str) -> None:
        self.device = device
        self.precision = precision

    @contextmanager
    def autocast(self) -> Iterator[None]:
        """Return a context with autocast to bf16, where that is the precision."""
        on = self.precision == "bf16"
        with torch.autocast(self.device.type, torch.bfloat16, enabled=on):
            yield

    def generator(self, seed: int, step: int) -> torch.Generator:
        """Return the generator of all random numbers of a step, on the device."""
        number = int(np.random.default_rng([seed, step]).integers(2**63))
        return torch.Generator(self.device).manual_seed(number)


def rate(config: StageConfig, step: int) -> float:
    """Return the learning rate of a step in 0..steps-1: warm-up, constant, linear cooldown to 0."""
    rising = min(1.0, (step + 1) / max(config.warmup, 1))
    last = max(math.ceil(config.cooldown * config.steps), 1)
    return config.lr * rising * min(1.0, (config.steps - step) / last)


def train(
    run: RunFolder,
    stage: Stage,
    config: StageConfig,
    machine: Machine,
    seed: int,
    deadline: float,
    optimizer: torch.optim.Optimizer | None = None,
) -> bool:
    """Train from the last checkpoint on; return whether the last step was reached.

    deadline: by time.monotonic(), when it saves a checkpoint and stops. optimizer: of what the
    stage learns; None: AdamW. Raises ViddaError when a loss is not finite.
    """
    optimizer = optimizer or _optimizer(stage, config, machine)
    average = Average(stage.learned, config.ema)
    step = reported = _restore(run, stage, optimizer, average)
    with meter(label=run.path.name, total=config.steps, unit="steps", done=step) as passed:
        while step < config.steps:
            values = _step(stage, config, machine, optimizer, step, seed)
            step += 1
            average.update(step)
            last, late = step == config.steps, time.monotonic() >= deadline
            if step % LOG_EVERY == 0 or last or late:
                figures = {name: float(value) for name, value in values.items()}
                _finite(figures, step)
                text = " ".join(f"{name} {value:.4f}" for name, value in figures.items())
                passed(step - reported, text)
                reported = step
                run.record(step, {f"train/{name}": value for name, value in figures.items()})
            if step % config.look == 0 or last:
                with average.applied():
                    _evaluate(run, stage, step)
            if step % config.save == 0 or last or late:
                _save(run, stage, optimizer, average, step)
            if late and not last:
                return False
    with average.applied(), atomic_folder(run.path / RESULT) as folder:
        stage.save(folder)
    return True


def seconds_per_step(
    stage: Stage,
    config: StageConfig,
    machine: Machine,
    seed: int,
    steps: int,
    optimizer: torch.optim.Optimizer | None = None,
) -> float:
    """Return the seconds of a training step, after one to warm up; changes the networks."""
    optimizer = optimizer or _optimizer(stage, config, machine)
    start = 0.0
    for step in range(steps + 1):
        if step == 1:
            start = _now(machine)
        _step(stage, config, machine, optimizer, step, seed)
    return (_now(machine) - start) / steps


def _now(machine: Machine) -> float:
    if machine.device.type == "cuda":
        torch.cuda.synchronize(machine.device)
    return time.monotonic()


def _optimizer(stage: Stage, config: StageConfig, machine: Machine) -> torch.optim.Optimizer:
    return torch.optim.AdamW(
        list(stage.learned.values()),
        lr=config.lr,
        betas=(0.9, config.beta2),
        weight_decay=config.weight_decay,
        fused=machine.device.type == "cuda",
    )


def _step(
    stage: Stage,
    config: StageConfig,
    machine: Machine,
    optimizer: torch.optim.Optimizer,
    step: int,
    seed: int,
) -> dict[str, torch.Tensor]:
    for group in optimizer.param_groups:
        group["lr"] = rate(config, step)
    numbers = frame_order(step * config.batch, config.batch, stage.size, seed)
    with machine.autocast():
        terms = stage.loss_terms(numbers, machine.generator(seed, step))
    torch.stack(list(terms.values())).sum().backward()
    torch.nn.utils.clip_grad_norm_(list(stage.learned.values()), config.clip_grad)
    optimizer.step()
    optimizer.zero_grad(set_to_none=True)
    return {name: value.detach() for name, value in terms.items()}


def _finite(figures: Mapping[str, float], step: int) -> None:
    for name, value in figures.items():
        if not math.isfinite(value):
            raise ViddaError(
                f"{name} is {value} at step {step}; the last checkpoint is kept: lower the stage's"
                " lr, or take precision=fp32"
            )


def _evaluate(run: RunFolder, stage: Stage, step: int) -> None:
    run.record(step, {f"held_out/{name}": value for name, value in stage.measure().items()})
    write_png(run.path / "samples" / f"{step:06d}.png", stage.contact_sheet())


def _save(
    run: RunFolder, stage: Stage, optimizer: torch.optim.Optimizer, average: Average, step: int
) -> None:
    with run.checkpoint(step, keep=1) as folder:
        save_learned(folder, stage.learned)
        save_state(folder, optimizer, None, {"step": step})
        kept = {name: value.cpu().contiguous() for name, value in average.values.items()}
        save_file(kept, folder / AVERAGE)


def _restore(
    run: RunFolder, stage: Stage, optimizer: torch.optim.Optimizer, average: Average
) -> int:
    """Load the last checkpoint and return its step; 0 without one."""
    folder = run.last_checkpoint()
    if folder is None:
        return 0
    step: int = load_state(folder, optimizer, None)["step"]
    load_learned(folder, stage.learned)
    average.restore(load_file(folder / AVERAGE))
    return step
