"""The training loop of all methods; an interrupted run resumes with the same results.

No random state is carried from step to step: frames, noise and noise levels of a step depend on the
seed and the step's number alone, and are sampled on the CPU by the step's own generator.
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
    """The intervals, in steps, of what is written during training and at the last step.

    log_every: a line of metrics. evaluate_every: metrics of the held-out frames and a contact
    sheet. save_every: a checkpoint. keep: the number of newest checkpoints to keep.
    """

    log_every: int
    evaluate_every: int
    save_every: int
    keep: int


def train(
    run: RunFolder,
    learner: Learner,
    method: TrainingConfig,
    accelerator: Accelerator,
    schedule: TrainingSchedule,
    seed: int,
) -> None:
    """Train to the last step, from the run's last checkpoint where there is one.

    seed: decides the order of the frames and the random draws of every step. Writes checkpoints,
    metrics and contact sheets into the run folder. Raises ViddaError, naming the step, when a loss
    is not finite.
    """
    optimizer = accelerator.prepare(method.build_optimizer(list(learner.learned.values())))
    step = _restore(run, learner, optimizer, accelerator)
    if step == 0:
        _evaluate(run, learner, 0)
    with meter(label="training", total=method.steps, unit="steps", done=step) as passed:
        while step < method.steps:
            values = _step(learner, method, accelerator, optimizer, step, seed)
            step += 1
            last = step == method.steps
            passed(1, " ".join(f"{name} {value:.4f}" for name, value in values.items()))
            if step % schedule.log_every == 0 or last:
                run.record(step, {f"train/{name}": value for name, value in values.items()})
            if step % schedule.evaluate_every == 0 or last:
                _evaluate(run, learner, step)
            if step % schedule.save_every == 0 or last:
                with run.checkpoint(step, keep=schedule.keep) as folder:
                    save_learned(folder, learner.learned)
                    save_state(folder, optimizer, accelerator.scaler, {"step": step})
    run.checkpoints.prune(schedule.keep)


def frame_order(position: int, count: int, size: int, seed: int) -> torch.Tensor:
    """Return the numbers of the frames at `count` positions of the training order, (count,) int64.

    position: the first, counted over all epochs. size: the number of frames; each epoch has its own
    random order of all of them, by the seed.
    """
    positions = np.arange(position, position + count)
    epochs = {int(e): np.random.default_rng([seed, int(e)]) for e in np.unique(positions // size)}
    orders = {epoch: rng.permutation(size) for epoch, rng in epochs.items()}
    return torch.tensor([int(orders[index // size][index % size]) for index in positions.tolist()])


def _step(
    learner: Learner,
    method: TrainingConfig,
    accelerator: Accelerator,
    optimizer: torch.optim.Optimizer,
    step: int,
    seed: int,
) -> dict[str, float]:
    """Take one step of the optimizer over `accumulate` batches; return the mean loss terms."""
    generator = torch.Generator()
    generator.manual_seed(int(np.random.default_rng([seed, step]).integers(2**63)))
    for group in optimizer.param_groups:
        group["lr"] = method.rate(step)
    each = method.batch_size
    first = step * each * method.accumulate
    figures: dict[str, float] = {}
    for part in range(method.accumulate):
        numbers = frame_order(first + part * each, each, learner.size, seed)
        with accelerator.autocast():
            terms = learner.loss_terms(numbers, generator)
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


def _evaluate(run: RunFolder, learner: Learner, step: int) -> None:
    """Record the metrics of the held-out frames, and write a contact sheet."""
    figures = learner.measure()
    if figures:
        run.record(step, {f"held_out/{name}": value for name, value in figures.items()})
    write_png(run.path / "samples" / f"{step:06d}.png", learner.contact_sheet())


def _restore(
    run: RunFolder, learner: Learner, optimizer: torch.optim.Optimizer, accelerator: Accelerator
) -> int:
    """Load the last checkpoint and return its step; 0 without one."""
    folder = run.last_checkpoint()
    if folder is None:
        return 0
    step: int = load_state(folder, optimizer, accelerator.scaler)["step"]
    load_learned(folder, learner.learned)
    log.info("resuming from step %d", step)
    return step
