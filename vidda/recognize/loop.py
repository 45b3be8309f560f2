"""The training loop for any recognizer, method, precision and number of processes.

No random state is carried from step to step: the order of clips, their frames and crops follow from
(seed, epoch, clip id), and torch's generators are seeded anew for every step. So a run that was
killed resumes from its last checkpoint with the same results.
"""

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator
from torch import nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from vidda.errors import ViddaError
from vidda.progress import meter
from vidda.recognize.feed import BatchPair, Feed
from vidda.recognize.freezing import set_training_mode
from vidda.recognize.infer import Outputs
from vidda.recognize.method import Method
from vidda.recognize.optim import ScheduleConfig, set_learning_rate
from vidda.recognize.saved_recognizer import WEIGHTS, save_weights
from vidda.run import RunFolder
from vidda.training_state import load_state, read_tensors, save_state

log = logging.getLogger("vidda")

TRAINED_WEIGHTS = "trained.safetensors"
"""File of the weights that learn, in a checkpoint whose model is their average."""

METHOD_STATE = "method.safetensors"
"""File of the method's parameters and buffers, in a checkpoint of a method that has some."""


@dataclass(frozen=True)
class LoopSchedule:
    """The length of training, and when it logs and saves.

    epochs: to train. steps_per_epoch: optimizer steps. accumulate: parts that a batch is computed
    in. log_every: steps between lines of metrics. save_every: steps between checkpoints besides
    those after each epoch, or None. keep: newest checkpoints that are kept besides the best.
    patience: epochs without a better score after which training stops, or None. clip_grad: largest
    gradient norm, or None.
    """

    epochs: int
    steps_per_epoch: int
    accumulate: int
    log_every: int
    save_every: int | None
    keep: int
    patience: int | None
    clip_grad: float | None


@dataclass
class Position:
    """The progress of a run, as saved in its checkpoints.

    step: optimizer steps that are done. best_epoch, best_step: of the best score so far. scores:
    one for each epoch.
    """

    step: int = 0
    best_epoch: int | None = None
    best_step: int | None = None
    scores: list[float] = field(default_factory=list)


@dataclass
class LoopModules:
    """The modules that a run trains, and what it trains them with.

    model: the bare model, which is saved. prepared: the module that runs on the device: the model,
    or the one around it that takes the batches, compiled or wrapped for several processes. rate:
    highest learning rate. average: moving average of the model, or None.
    """

    accelerator: Accelerator
    model: nn.Module
    prepared: nn.Module
    optimizer: Any
    schedule: ScheduleConfig
    rate: float
    average: AveragedModel | None
    method: Method

    @property
    def tested(self) -> nn.Module:
        """The model that is tested and saved: the averaged one if there is one."""
        return self.model if self.average is None else self.average.module


def ema_copy(model: nn.Module, decay: float) -> AveragedModel:
    """Return a copy of the model that tracks the exponential moving average of its weights and
    buffers.

    decay: share of the old average that is kept in an update, in (0, 1); `update_parameters(model)`
    makes one.
    """
    return AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(decay), use_buffers=True)


def train(
    run: RunFolder,
    modules: LoopModules,
    feed: Feed,
    schedule: LoopSchedule,
    seed: int,
    *,
    end_epoch: Callable[[int], tuple[float, dict[str, float]]],
    save_model: Callable[[Path, nn.Module], None],
    infer_target: Callable[[], Outputs] | None = None,
) -> Position:
    """Train to the end, from the run's last checkpoint if there is one; return the final position.

    seed: decides the random draws of every step. end_epoch: called after each epoch with its
    number; returns a score (the higher the better), by which the `best` checkpoint is chosen, and
    figures for metrics.jsonl. save_model: writes the model's weights into a checkpoint's folder.
    infer_target: returns the current model's outputs for the target, for `Method.before_epoch`.
    Raises ViddaError when a loss is not finite, naming the step and the clips.
    """
    position = _restore(run, modules)
    total = schedule.epochs * schedule.steps_per_epoch
    with meter(label="training", total=total, unit="steps", done=position.step) as passed:
        while position.step < total and not _out_of_patience(position, schedule):
            epoch, start = divmod(position.step, schedule.steps_per_epoch)
            if infer_target is not None and not start:
                modules.method.before_epoch(epoch, infer_target)
            watch = _WaitMeter(feed.epoch(epoch, start))
            for pair in watch:
                if pair is None:
                    # Counted, or a resumed run would continue elsewhere in the epoch.
                    position.step += 1
                    passed(1)
                    continue
                values = _step(modules, pair, feed, position.step, schedule, seed)
                position.step += 1
                passed(1, f"epoch {epoch + 1}/{schedule.epochs}, {watch.note(values)}")
                if position.step % schedule.log_every == 0:
                    _record(run, modules, position.step, "train", values)
                within = position.step % schedule.steps_per_epoch
                if schedule.save_every and within and position.step % schedule.save_every == 0:
                    _save(run, modules, position, schedule, save_model)
            _finish_epoch(run, modules, position, schedule, end_epoch, save_model)
    if modules.accelerator.is_main_process:
        run.checkpoints.prune(schedule.keep)
    return position


def _step(
    modules: LoopModules,
    pair: BatchPair,
    feed: Feed,
    step: int,
    schedule: LoopSchedule,
    seed: int,
) -> dict[str, float]:
    """Make one step of the optimizer, over a pair computed in `accumulate` parts; return its
    figures.
    """
    accelerator = modules.accelerator
    set_training_mode(modules.prepared)
    draws = np.random.default_rng([seed, step, accelerator.process_index])
    torch.manual_seed(int(draws.integers(2**63)))
    epochs_done = step / schedule.steps_per_epoch
    set_learning_rate(
        modules.optimizer, modules.rate * modules.schedule.factor(epochs_done, schedule.epochs)
    )
    modules.method.progress = epochs_done / schedule.epochs
    figures: dict[str, torch.Tensor] = {}
    pieces = pair.split(schedule.accumulate, accelerator.device)
    for number, piece in enumerate(pieces):
        share = piece.clips / pair.clips
        last = number == len(pieces) - 1
        with nullcontext() if last else accelerator.no_sync(modules.prepared):
            with accelerator.autocast():
                terms = modules.method.step(modules.prepared, piece.source, piece.target)
            loss = torch.stack(list(terms.losses.values())).sum()
            if not bool(torch.isfinite(loss)):
                raise _not_finite(pair, feed, step, float(loss.detach()))
            accelerator.backward(loss * share)
        for name, value in (terms.losses | terms.metrics).items():
            part = value.detach() * share
            figures[name] = figures.get(name, torch.zeros((), device=part.device)) + part
    if schedule.clip_grad is not None:
        accelerator.clip_grad_norm_(modules.prepared.parameters(), schedule.clip_grad)
    modules.optimizer.step()
    modules.optimizer.zero_grad(set_to_none=True)
    modules.method.after_step(modules.model)
    if modules.average is not None:
        modules.average.update_parameters(modules.model)
    return {
        name: float(accelerator.reduce(value, reduction="mean")) for name, value in figures.items()
    }


def _not_finite(pair: BatchPair, feed: Feed, step: int, loss: float) -> ViddaError:
    return ViddaError(
        f"the loss is {loss} at step {step}, on the clips {', '.join(feed.ids(pair))}; the last"
        " checkpoint is kept: lower optimizer.lr, set clip_grad, or set precision=fp32 or bf16"
    )


def _finish_epoch(
    run: RunFolder,
    modules: LoopModules,
    position: Position,
    schedule: LoopSchedule,
    end_epoch: Callable[[int], tuple[float, dict[str, float]]],
    save_model: Callable[[Path, nn.Module], None],
) -> None:
    epoch = position.step // schedule.steps_per_epoch - 1
    score, figures = end_epoch(epoch)
    position.scores.append(score)
    best = position.best_epoch
    if best is None or score > position.scores[best]:
        position.best_epoch, position.best_step = epoch, position.step
    _record(run, modules, position.step, "epoch", {"epoch": epoch, **figures})
    _save(run, modules, position, schedule, save_model)


def _out_of_patience(position: Position, schedule: LoopSchedule) -> bool:
    if schedule.patience is None or position.best_epoch is None:
        return False
    return len(position.scores) - 1 - position.best_epoch >= schedule.patience


def _record(
    run: RunFolder, modules: LoopModules, step: int, kind: str, values: dict[str, float]
) -> None:
    if modules.accelerator.is_main_process:
        run.record(step, {f"{kind}/{name}": value for name, value in values.items()})


def _save(
    run: RunFolder,
    modules: LoopModules,
    position: Position,
    schedule: LoopSchedule,
    save_model: Callable[[Path, nn.Module], None],
) -> None:
    """Write a checkpoint, in the main process alone: all processes hold the same."""
    if not modules.accelerator.is_main_process:
        return
    with run.checkpoint(position.step, keep=schedule.keep, needs=position.best_step) as folder:
        save_model(folder, modules.tested)
        if modules.average is not None:
            save_weights(folder / TRAINED_WEIGHTS, modules.model)
        if modules.method.state_dict():
            save_weights(folder / METHOD_STATE, modules.method)
        save_state(folder, modules.optimizer, modules.accelerator.scaler, asdict(position))
    if position.best_step is not None:
        run.checkpoints.link("best", position.best_step)


def _restore(run: RunFolder, modules: LoopModules) -> Position:
    """Load the last checkpoint and return its position, or the start if there is none."""
    folder = run.last_checkpoint()
    if folder is None:
        return Position()
    weights = read_tensors(folder / WEIGHTS)
    if modules.average is not None:
        modules.average.module.load_state_dict(weights)
        # Only its being above zero counts: the first update copies, later ones average.
        modules.average.n_averaged.fill_(1)
        weights = read_tensors(folder / TRAINED_WEIGHTS)
    modules.model.load_state_dict(weights)
    if modules.method.state_dict():
        modules.method.load_state_dict(read_tensors(folder / METHOD_STATE))
    position = Position(**load_state(folder, modules.optimizer, modules.accelerator.scaler))
    if position.best_step is not None and modules.accelerator.is_main_process:
        run.checkpoints.link("best", position.best_step)
    log.info("resuming from step %d", position.step)
    return position


class _WaitMeter:
    """Passes pairs on and measures the share of time spent waiting for them."""

    def __init__(self, pairs: Iterator[BatchPair | None]) -> None:
        self._pairs = pairs
        self._start = time.monotonic()
        self._waited = 0.0
        self._smooth: dict[str, float] = {}

    def __iter__(self) -> Iterator[BatchPair | None]:
        asked = time.monotonic()
        for pair in self._pairs:
            self._waited += time.monotonic() - asked
            yield pair
            asked = time.monotonic()
        self._waited += time.monotonic() - asked

    def note(self, values: dict[str, float]) -> str:
        """Return the smoothed figures of a step, and the share of the epoch spent waiting
        for data.
        """
        for name, value in values.items():
            self._smooth[name] = 0.9 * self._smooth.get(name, value) + 0.1 * value
        figures = " ".join(f"{name} {value:.3f}" for name, value in self._smooth.items())
        share = self._waited / max(time.monotonic() - self._start, 1e-9)
        return f"{figures}, waiting for data {share:.0%}"
