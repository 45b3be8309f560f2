"""The one training loop: any recognizer, any method, any precision, one process or several.

Nothing random is carried from step to step: the order of clips, their frames and crops follow from
(seed, epoch, clip id), and torch's generators are seeded anew for every step. So a run that was
killed goes on from its last checkpoint as if nothing had happened.
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
from vidda.recognize.feed import Feed, Pair
from vidda.recognize.method import Method, Outputs
from vidda.recognize.optim import ScheduleConfig, set_rate
from vidda.recognize.saved_recognizer import WEIGHTS, save_weights
from vidda.run import RunFolder
from vidda.training_state import load_state, read_tensors, save_state

log = logging.getLogger("vidda")

TRAINED = "trained.safetensors"
"""The weights that learn, in a checkpoint whose model is their average."""

METHOD = "method.safetensors"
"""What the method learns and remembers, in a checkpoint of one that does."""


@dataclass(frozen=True)
class LoopSchedule:
    """How long and in what steps training goes.

    steps_per_epoch: optimizer steps. accumulate: parts that a batch is computed in. save_every:
    steps between checkpoints besides those at each epoch's end, or None. log_every: steps between
    lines of metrics. patience: epochs without a better score after which it stops, or None.
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
    """Where a run stands: `step` optimizer steps are done, `scores` has one entry an epoch."""

    step: int = 0
    best_epoch: int | None = None
    best_step: int | None = None
    scores: list[float] = field(default_factory=list)


@dataclass
class LoopModules:
    """What is trained, and with what. model is the bare one; prepared runs on the device."""

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
        """Return the weights that are tested and saved as the model: averaged ones
        where there are.
        """
        return self.model if self.average is None else self.average.module


def averaged(model: nn.Module, decay: float) -> AveragedModel:
    """Return a copy of the model that follows its weights as their exponential moving average."""
    return AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(decay), use_buffers=True)


def train(
    run: RunFolder,
    parts: LoopModules,
    feed: Feed,
    pace: LoopSchedule,
    seed: int,
    *,
    end_epoch: Callable[[int], tuple[float, dict[str, float]]],
    save_model: Callable[[Path, nn.Module], None],
    look: Callable[[], Outputs] | None = None,
) -> Position:
    """Train to the end, from the run's last checkpoint where there is one.

    end_epoch: called after each epoch with its number; gives a score, the higher the better, by
    which the `best` checkpoint is chosen, and figures for metrics.jsonl. save_model: writes the
    weights that are to be used into a checkpoint's folder. look: shows the target's clips to the
    model, for `Method.before_epoch`. Raises ViddaError when a loss is not finite, naming the step
    and the clips.
    """
    position = _restored(run, parts)
    total = pace.epochs * pace.steps_per_epoch
    with meter(label="training", total=total, unit="steps", done=position.step) as passed:
        while position.step < total and not _out_of_patience(position, pace):
            epoch, start = divmod(position.step, pace.steps_per_epoch)
            if look is not None and not start:
                parts.method.before_epoch(epoch, look)
            watch = _Watch(feed.epoch(epoch, start))
            for pair in watch:
                if pair is None:
                    # Counted, or a resumed run would stand elsewhere in the epoch.
                    position.step += 1
                    passed(1)
                    continue
                values = _step(parts, pair, feed, position.step, pace, seed)
                position.step += 1
                passed(1, f"epoch {epoch + 1}/{pace.epochs}, {watch.note(values)}")
                if position.step % pace.log_every == 0:
                    _record(run, parts, position.step, "train", values)
                within = position.step % pace.steps_per_epoch
                if pace.save_every and within and position.step % pace.save_every == 0:
                    _save(run, parts, position, pace, save_model)
            _finish_epoch(run, parts, position, pace, end_epoch, save_model)
    if parts.accelerator.is_main_process:
        run.checkpoints.prune(pace.keep)
    return position


def _step(
    parts: LoopModules,
    pair: Pair,
    feed: Feed,
    step: int,
    pace: LoopSchedule,
    seed: int,
) -> dict[str, float]:
    """Return one step of the optimizer, over a pair computed in `accumulate` parts; its figures."""
    accelerator = parts.accelerator
    parts.prepared.train()
    draws = np.random.default_rng([seed, step, accelerator.process_index])
    torch.manual_seed(int(draws.integers(2**63)))
    epochs_done = step / pace.steps_per_epoch
    set_rate(parts.optimizer, parts.rate * parts.schedule.factor(epochs_done, pace.epochs))
    parts.method.progress = epochs_done / pace.epochs
    figures: dict[str, torch.Tensor] = {}
    pieces = pair.parts(pace.accumulate, accelerator.device)
    for number, piece in enumerate(pieces):
        share = piece.clips / pair.clips
        last = number == len(pieces) - 1
        with nullcontext() if last else accelerator.no_sync(parts.prepared):
            with accelerator.autocast():
                terms = parts.method.step(parts.prepared, piece.source, piece.target)
            loss = torch.stack(list(terms.losses.values())).sum()
            if not bool(torch.isfinite(loss)):
                raise _not_finite(pair, feed, step, float(loss.detach()))
            accelerator.backward(loss * share)
        for name, value in (terms.losses | terms.shown).items():
            part = value.detach() * share
            figures[name] = figures.get(name, torch.zeros((), device=part.device)) + part
    if pace.clip_grad is not None:
        accelerator.clip_grad_norm_(parts.prepared.parameters(), pace.clip_grad)
    parts.optimizer.step()
    parts.optimizer.zero_grad(set_to_none=True)
    parts.method.after_step(parts.model)
    if parts.average is not None:
        parts.average.update_parameters(parts.model)
    return {
        name: float(accelerator.reduce(value, reduction="mean")) for name, value in figures.items()
    }


def _not_finite(pair: Pair, feed: Feed, step: int, loss: float) -> ViddaError:
    return ViddaError(
        f"the loss is {loss} at step {step}, on the clips {', '.join(feed.ids(pair))}; the last"
        " checkpoint is kept: lower optimizer.lr, set clip_grad, or take precision=fp32 or bf16"
    )


def _finish_epoch(
    run: RunFolder,
    parts: LoopModules,
    position: Position,
    pace: LoopSchedule,
    end_epoch: Callable[[int], tuple[float, dict[str, float]]],
    save_model: Callable[[Path, nn.Module], None],
) -> None:
    epoch = position.step // pace.steps_per_epoch - 1
    score, figures = end_epoch(epoch)
    position.scores.append(score)
    best = position.best_epoch
    if best is None or score > position.scores[best]:
        position.best_epoch, position.best_step = epoch, position.step
    _record(run, parts, position.step, "epoch", {"epoch": epoch, **figures})
    _save(run, parts, position, pace, save_model)


def _out_of_patience(position: Position, pace: LoopSchedule) -> bool:
    if pace.patience is None or position.best_epoch is None:
        return False
    return len(position.scores) - 1 - position.best_epoch >= pace.patience


def _record(
    run: RunFolder, parts: LoopModules, step: int, kind: str, values: dict[str, float]
) -> None:
    if parts.accelerator.is_main_process:
        run.record(step, {f"{kind}/{name}": value for name, value in values.items()})


def _save(
    run: RunFolder,
    parts: LoopModules,
    position: Position,
    pace: LoopSchedule,
    save_model: Callable[[Path, nn.Module], None],
) -> None:
    """Write a checkpoint, by the main process alone: all processes hold the same."""
    if not parts.accelerator.is_main_process:
        return
    with run.checkpoint(position.step, keep=pace.keep, needs=position.best_step) as folder:
        save_model(folder, parts.tested)
        if parts.average is not None:
            save_weights(folder / TRAINED, parts.model)
        if parts.method.state_dict():
            save_weights(folder / METHOD, parts.method)
        save_state(folder, parts.optimizer, parts.accelerator.scaler, asdict(position))
    if position.best_step is not None:
        run.checkpoints.link("best", position.best_step)


def _restored(run: RunFolder, parts: LoopModules) -> Position:
    """Where the last checkpoint stands, with everything loaded; the start without one."""
    folder = run.last_checkpoint()
    if folder is None:
        return Position()
    weights = read_tensors(folder / WEIGHTS)
    if parts.average is not None:
        parts.average.module.load_state_dict(weights)
        # Only its being above zero counts: the first update copies, later ones average.
        parts.average.n_averaged.fill_(1)
        weights = read_tensors(folder / TRAINED)
    parts.model.load_state_dict(weights)
    if parts.method.state_dict():
        parts.method.load_state_dict(read_tensors(folder / METHOD))
    position = Position(**load_state(folder, parts.optimizer, parts.accelerator.scaler))
    if position.best_step is not None and parts.accelerator.is_main_process:
        run.checkpoints.link("best", position.best_step)
    log.info("goes on from step %d", position.step)
    return position


class _Watch:
    """Passes pairs on and notes what share of the time went by waiting for them."""

    def __init__(self, pairs: Iterator[Pair | None]) -> None:
        self._pairs = pairs
        self._start = time.monotonic()
        self._waited = 0.0
        self._smooth: dict[str, float] = {}

    def __iter__(self) -> Iterator[Pair | None]:
        asked = time.monotonic()
        for pair in self._pairs:
            self._waited += time.monotonic() - asked
            yield pair
            asked = time.monotonic()
        self._waited += time.monotonic() - asked

    def note(self, values: dict[str, float]) -> str:
        """Return the step's figures, smoothed, and the share of the epoch spent waiting
        for data.
        """
        for name, value in values.items():
            self._smooth[name] = 0.9 * self._smooth.get(name, value) + 0.1 * value
        shown = " ".join(f"{name} {value:.3f}" for name, value in self._smooth.items())
        share = self._waited / max(time.monotonic() - self._start, 1e-9)
        return f"{shown}, waits {share:.0%}"
