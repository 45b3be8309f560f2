"""The keys that every run of the training loop has in common, and how such a run is opened."""

from collections.abc import Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Annotated, ClassVar, Literal

import numpy as np
import torch
from accelerate import Accelerator
from pydantic import Field
from torch import nn

from vidda.config import Config, Count
from vidda.data.frame_sampling import FrameSamplingConfig, UniformSampling
from vidda.data.loader import ClipLoader, Order
from vidda.data.transforms import RandomResizedCrop, TransformConfig
from vidda.device import Precision, PrecisionChoice, choose_precision, open_accelerator
from vidda.errors import ViddaError
from vidda.recognize.clip_input import ClipInput, Use
from vidda.recognize.loop import LoopModules, LoopSchedule, ema_copy
from vidda.recognize.method import Method
from vidda.recognize.optim import (
    AdamWConfig,
    CosineSchedule,
    OptimizerConfig,
    ScheduleConfig,
    param_groups,
)
from vidda.run import RunFolder, WandbMode
from vidda.types import Manifest

MIXED_PRECISION = {"fp32": "no", "bf16": "bf16", "fp16": "fp16"}


class LoopConfig(Config):
    """The keys of training on clips, whatever is trained."""

    may_change: ClassVar[frozenset[str]] = frozenset({"workers", "cache", "keep"})

    run: Path = Field(description="run folder to write")
    train: tuple[Path, ...] = Field(min_length=1, description="manifests to train on")
    sampling: FrameSamplingConfig = Field(
        UniformSampling(), description="how frames of a training clip are sampled"
    )
    transform: TransformConfig = Field(
        TransformConfig(crop=RandomResizedCrop()), description="transform of the sampled frames"
    )
    batch_size: int = Field(16, ge=1, description="clips in a step, over all processes")
    accumulate: int = Field(
        1, ge=1, description="parts that a batch is computed in, one after another"
    )
    epochs: int = Field(30, ge=1, description="epochs; each has as many clips as the manifests")
    optimizer: OptimizerConfig = Field(AdamWConfig(), description="optimizer, chosen by its name")
    schedule: ScheduleConfig = Field(CosineSchedule(), description="learning rate over time")
    clip_grad: Annotated[float, Field(gt=0)] | None = Field(
        None, description="largest gradient norm; null: no limit"
    )
    precision: PrecisionChoice = Field(
        "fp32",
        description="precision of the forward and backward pass; weights stay fp32. auto: bf16"
        " where the device computes in it, else fp32",
    )
    device: Literal["auto", "cpu"] = Field("auto", description="auto uses a GPU if there is one")
    compile: bool = Field(False, description="compile the model with torch.compile")
    channels_last: bool = Field(
        False, description="store weights with channels last, faster on some GPUs and CPUs"
    )
    seed: int = Field(
        0, ge=0, description="seed of initial weights, clip order, sampling and augmentation"
    )
    workers: int = Field(2, ge=0, description="processes that decode, for each training process")
    cache: Path | None = Field(
        None, description="folder for decoded frames and estimated poses; null: no cache"
    )
    on_error: Literal["error", "skip"] = Field(
        "error", description="stop at a clip that cannot be read, or skip it"
    )
    log_every: int = Field(10, ge=1, description="steps between lines of metrics.jsonl")
    save_every: Count | None = Field(
        None, description="steps between checkpoints besides those after each epoch; null: none"
    )
    keep: int = Field(1, ge=1, description="newest checkpoints that are kept, besides the best")
    wandb: WandbMode = Field("off", description="copy the metrics to Weights & Biases")
    tensorboard: bool = Field(False, description="write the metrics for TensorBoard too")

    def accelerator(self) -> Accelerator:
        """Return the device, precision and processes of this run; raises ViddaError for fp16
        without a GPU.
        """
        if self.precision == "fp16" and (self.device == "cpu" or not torch.cuda.is_available()):
            raise ViddaError("precision: fp16 needs a CUDA device; set bf16 or fp32")
        return open_accelerator(MIXED_PRECISION[self.chosen_precision], cpu=self.device == "cpu")

    @property
    def chosen_precision(self) -> Precision:
        """The precision of this run on its device, where `precision` may be auto."""
        on_gpu = self.device != "cpu" and torch.cuda.is_available()
        return choose_precision(self.precision, torch.device("cuda" if on_gpu else "cpu"))

    def loop_schedule(self, steps: int, patience: int | None = None) -> LoopSchedule:
        """Return the schedule of the loop. steps: of the optimizer in an epoch. patience: see
        `LoopSchedule`.
        """
        return LoopSchedule(
            epochs=self.epochs,
            steps_per_epoch=steps,
            accumulate=self.accumulate,
            log_every=self.log_every,
            save_every=self.save_every,
            keep=self.keep,
            patience=patience,
            clip_grad=self.clip_grad,
        )

    def problems(self, clips: int, accelerator: Accelerator, repeats: int = 1) -> list[str]:
        """Return every mistake that can be found before the first step, a line each.

        clips: number of training clips. repeats: times that each is in a batch.
        """
        found = []
        if self.batch_size > clips * repeats:
            found.append(
                f"batch_size: {self.batch_size} is more than the {clips} training clips; lower it"
            )
        return [*found, *self.config_problems(accelerator.num_processes, repeats)]

    def config_problems(self, processes: int, repeats: int) -> list[str]:
        """Return the mistakes that can be found in the config alone, a line each.

        processes: number of training processes. repeats: times that each clip is in a batch.
        """
        found = []
        if self.sampling.name == "views" or self.transform.crop.name == "three_crops":
            found.append("sampling, transform: several views of a clip are for testing; set one")
        parts = processes * self.accumulate * repeats
        if self.batch_size % parts:
            found.append(
                f"batch_size: {self.batch_size} is not a multiple of {parts}"
                f" ({processes} processes x accumulate x repeats)"
            )
        return found

    def open_run(
        self, fingerprints: Mapping[str, str], accelerator: Accelerator, resume: bool
    ) -> AbstractContextManager[RunFolder]:
        """Return the run folder, opened by the main process; other processes only read it.

        fingerprints: of the inputs, by name; a resumed run must have the same. resume: whether an
        unfinished run is continued.
        """
        if accelerator.is_main_process:
            folder = RunFolder.open(
                self.run,
                self,
                fingerprints,
                resume=resume,
                wandb=self.wandb,
                tensorboard=self.tensorboard,
            )
        accelerator.wait_for_everyone()
        if not accelerator.is_main_process:
            folder = RunFolder(self.run, finished=(self.run / "DONE").exists())
        accelerator.wait_for_everyone()
        return folder

    def loop_modules(
        self,
        model: nn.Module,
        method: Method,
        accelerator: Accelerator,
        *,
        runner: nn.Module | None = None,
        layer_decay: float = 1.0,
        ema: float | None = None,
    ) -> LoopModules:
        """Return the model and the method on their device, the optimizer and the moving average.

        runner: the module around the model that takes the batches; None: the model. layer_decay:
        factor of the learning rate from each layer to the one below it; 1: the same for all. ema:
        decay of the moving average, or None for none.
        """
        model = model.to(accelerator.device)
        if self.channels_last:
            _channels_last(model)
        rate, decay = self.optimizer.lr, self.optimizer.weight_decay
        method = method.to(accelerator.device)
        groups = param_groups(model, rate, decay, layer_decay)
        groups += param_groups(method, rate, decay, 1.0)
        optimizer = self.optimizer.build(groups)
        average = None if ema is None else ema_copy(model, ema)
        takes_batches = model if runner is None else runner
        run_by = torch.compile(takes_batches) if self.compile else takes_batches
        prepared, optimizer = accelerator.prepare(run_by, optimizer)
        return LoopModules(
            accelerator, model, prepared, optimizer, self.schedule, rate, average, method
        )

    def training_loader(
        self,
        manifest: Manifest,
        order: Order,
        accelerator: Accelerator,
        repeats: int = 1,
        *,
        clip_input: ClipInput,
        use: Use = "source",
    ) -> ClipLoader:
        """Return this process's share of each training batch.

        clip_input: of the model. use: whether the clips are the labeled source's or the target's.
        order: item numbers of the whole epoch, over all processes, see `ClipDataset`; those after
        the last full batch are dropped. repeats: times that each clip is in a batch.
        """
        dataset = clip_input.dataset(
            manifest,
            self.sampling,
            self.transform,
            use=use,
            seed=self.seed,
            cache=self.cache,
            repeats=repeats,
            on_error=self.on_error,
        )
        rank, world, size = accelerator.process_index, accelerator.num_processes, self.batch_size

        def own(epoch: int) -> np.ndarray:
            items = order(epoch)
            batches = items[: len(items) // size * size].reshape(-1, size)
            return batches[:, rank::world].ravel()

        return ClipLoader(
            dataset, size // world, order=own, workers=self.workers, on_error=self.on_error
        )


def _channels_last(model: nn.Module) -> None:
    """Store the weights of 2-D and 3-D convolutions with channels last."""
    layouts = {4: torch.channels_last, 5: torch.channels_last_3d}
    for parameter in model.parameters():
        if parameter.ndim in layouts:
            parameter.data = parameter.data.contiguous(memory_format=layouts[parameter.ndim])
