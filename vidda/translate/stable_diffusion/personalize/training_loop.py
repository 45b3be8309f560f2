"""The training loop: any method, any precision, killed and resumed as if nothing had happened.

Nothing random is carried from step to step: frames, noise and levels of a step follow from the seed
and its number alone, drawn on the CPU by the step's own generator.
"""

import logging
from dataclasses import dataclass

import numpy as np
import torch
from accelerate import Accelerator

from vidda.errors import ViddaError
from vidda.progress import meter
from vidda.run import RunFolder
from vidda.training_state import load_learned, load_state, save_learned, save_state
from vidda.translate.stable_diffusion.personalize.learner import Learner
from vidda.translate.stable_diffusion.personalize.render_images import write_png
from vidda.translate.stable_diffusion.personalize.training_config import TrainingConfig

log = logging.getLogger("vidda")


@dataclass(frozen=True)
class TrainingSchedule:
    """What happens every so many steps, and at the last one.

    log: a line of metrics. look: measure the held-out frames and draw a sheet. save: a checkpoint,
    of which `keep` stay.
    """

    log: int
    look: int
    save: int
    keep: int


def train(
    run: RunFolder,
    learner: Learner,
    method: TrainingConfig,
    accelerator: Accelerator,
    pace: TrainingSchedule,
    seed: int,
) -> None:
    """Train to the end, from the run's last checkpoint where there is one.

    Raises ViddaError when a loss is not finite, naming the step.
    """
    optimizer = accelerator.prepare(method.build_optimizer(list(learner.learned.values())))
    step = _restored(run, learner, optimizer, accelerator)
    if step == 0:
        _look(run, learner, 0)
    with meter(label="training", total=method.steps, unit="steps", done=step) as passed:
        while step < method.steps:
            values = _step(learner, method, accelerator, optimizer, step, seed)
            step += 1
            last = step == method.steps
            passed(1, " ".join(f"{name} {value:.4f}" for name, value in values.items()))
            if step % pace.log == 0 or last:
                run.record(step, {f"train/{name}": value for name, value in values.items()})
            if step % pace.look == 0 or last:
                _look(run, learner, step)
            if step % pace.save == 0 or last:
                with run.checkpoint(step, keep=pace.keep) as folder:
                    save_learned(folder, learner.learned)
                    save_state(folder, optimizer, accelerator.scaler, {"step": step})
    run.checkpoints.prune(pace.keep)


def order(position: int, count: int, size: int, seed: int) -> torch.Tensor:
    """Which frames are learned from at `count` places from `position` on, (count,) int64.

    size: how many frames there are; each epoch goes through all in an order of its own.
    """
    places = np.arange(position, position + count)
    epochs = {int(e): np.random.default_rng([seed, int(e)]) for e in np.unique(places // size)}
    orders = {epoch: rng.permutation(size) for epoch, rng in epochs.items()}
    return torch.tensor([int(orders[place // size][place % size]) for place in places.tolist()])


def _step(
    learner: Learner,
    method: TrainingConfig,
    accelerator: Accelerator,
    optimizer: torch.optim.Optimizer,
    step: int,
    seed: int,
) -> dict[str, float]:
    """Return one step of the optimizer over `accumulate` batches; the mean of their figures."""
    generator = torch.Generator()
    generator.manual_seed(int(np.random.default_rng([seed, step]).integers(2**63)))
    for group in optimizer.param_groups:
        group["lr"] = method.rate(step)
    each = method.batch_size
    first = step * each * method.accumulate
    figures: dict[str, float] = {}
    for part in range(method.accumulate):
        numbers = order(first + part * each, each, learner.size, seed)
        with accelerator.autocast():
            terms = learner.terms(numbers, generator)
        loss = torch.stack(list(terms.values())).sum()
        if not bool(torch.isfinite(loss)):
            raise ViddaError(
                f"the loss is {float(loss)} at step {step}; the last checkpoint is kept: lower"
                " method.lr, set method.clip_grad, or take precision=fp32 or bf16"
            )
        accelerator.backward(loss / method.accumulate)
        for name, value in terms.items():
            figures[name] = figures.get(name, 0.0) + float(value.detach()) / method.accumulate
    if method.clip_grad is not None:
        accelerator.clip_grad_norm_(list(learner.learned.values()), method.clip_grad)
    optimizer.step()
    optimizer.zero_grad(set_to_none=True)
    return figures


def _look(run: RunFolder, learner: Learner, step: int) -> None:
    """Record how well the held-out frames do, and draw a sheet."""
    figures = learner.measure()
    if figures:
        run.record(step, {f"held_out/{name}": value for name, value in figures.items()})
    write_png(run.path / "samples" / f"{step:06d}.png", learner.sheet())


def _restored(
    run: RunFolder, learner: Learner, optimizer: torch.optim.Optimizer, accelerator: Accelerator
) -> int:
    """Return how many steps the last checkpoint has behind it, with everything loaded; 0 without
    one.
    """
    folder = run.last_checkpoint()
    if folder is None:
        return 0
    step: int = load_state(folder, optimizer, accelerator.scaler)["step"]
    load_learned(folder, learner.learned)
    log.info("goes on from step %d", step)
    return step
