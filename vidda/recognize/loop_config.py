"""What every run of the training loop is told, and how such a run is opened."""

from collections.abc import Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Annotated, ClassVar, Literal

import numpy as np
import torch
from accelerate import Accelerator
from pydantic import Field
from torch import nn

from vidda.config import Config
from vidda.data.dataset import ClipDataset
from vidda.data.frame_sampling import SamplingConfig, UniformSampling
from vidda.data.loader import ClipLoader, Order
from vidda.data.transforms import RandomResizedCrop, TransformConfig
from vidda.device import Precision
from vidda.errors import ViddaError
from vidda.recognize.loop import LoopModules, LoopSchedule, averaged
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

MIXED = {"fp32": "no", "bf16": "bf16", "fp16": "fp16"}


class LoopConfig(Config):
    """What training on clips needs, whatever is trained."""

    may_change: ClassVar[frozenset[str]] = frozenset({"workers", "cache", "keep"})

    run: Path = Field(description="run folder to write")
    train: tuple[Path, ...] = Field(min_length=1, description="manifests to train on")
    sampling: SamplingConfig = Field(UniformSampling(), description="frames of a training clip")
    transform: TransformConfig = Field(
        TransformConfig(crop=RandomResizedCrop()), description="what is done to them"
    )
    batch_size: int = Field(16, ge=1, description="clips a step, over all processes")
    accumulate: int = Field(1, ge=1, description="parts that a batch is computed in")
    epochs: int = Field(30, ge=1, description="passes over as many clips as the manifests hold")
    optimizer: OptimizerConfig = Field(AdamWConfig(), description="what moves the weights")
    schedule: ScheduleConfig = Field(CosineSchedule(), description="learning rate over time")
    clip_grad: Annotated[float, Field(gt=0)] | None = Field(
        None, description="largest gradient norm"
    )
    precision: Precision = Field("fp32", description="of the computation; weights stay fp32")
    device: Literal["auto", "cpu"] = Field(
        "auto", description="auto takes a GPU where there is one"
    )
    compile: bool = Field(False, description="torch.compile the model")
    channels_last: bool = Field(False, description="memory layout that suits some GPUs and CPUs")
    seed: int = Field(0, ge=0, description="decides weights, order, frames and augmentation")
    workers: int = Field(2, ge=0, description="processes that decode, for each training process")
    cache: Path | None = Field(None, description="folder for decoded frames")
    on_error: Literal["error", "skip"] = Field("error", description="what an unreadable clip does")
    log_every: int = Field(10, ge=1, description="steps between lines of metrics")
    save_every: Annotated[int, Field(ge=1)] | None = Field(
        None, description="steps between checkpoints besides those after each epoch"
    )
    keep: int = Field(1, ge=1, description="newest checkpoints that are kept, besides the best")
    wandb: WandbMode = Field("off", description="mirror of the metrics")
    tensorboard: bool = Field(False, description="write the metrics for TensorBoard too")

    def accelerator(self) -> Accelerator:
        """Device, precision and processes of this run; ViddaError for fp16 without a GPU."""
        if self.precision == "fp16" and (self.device == "cpu" or not torch.cuda.is_available()):
            raise ViddaError("precision: fp16 needs a CUDA device; take bf16 or fp32")
        return Accelerator(mixed_precision=MIXED[self.precision], cpu=self.device == "cpu")

    def pace(self, steps: int, patience: int | None = None) -> LoopSchedule:
        """Return the pace of so many steps an epoch."""
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
        """What can be known to be wrong before the first step, a line each.

        clips: that there are to train on. repeats: times that each comes in a batch.
        """
        found = []
        if self.batch_size > clips * repeats:
            found.append(
                f"batch_size: {self.batch_size} is more than the {clips} clips there are; lower it"
            )
        return [*found, *self.own_problems(accelerator.num_processes, repeats)]

    def own_problems(self, processes: int, repeats: int) -> list[str]:
        """Return those that the config alone tells. processes: that train together."""
        found = []
        if self.sampling.name == "views" or self.transform.crop.name == "three_crops":
            found.append("sampling, transform: several views of a clip are for testing; take one")
        parts = processes * self.accumulate * repeats
        if self.batch_size % parts:
            found.append(
                f"batch_size: {self.batch_size} is not a multiple of {parts}"
                f" ({processes} processes x accumulate x repeats)"
            )
        return found

    def opened(
        self, fingerprints: Mapping[str, str], accelerator: Accelerator, resume: bool
    ) -> AbstractContextManager[RunFolder]:
        """Return the run folder, in use by the main process; the others only look at it."""
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

    def parts(
        self,
        model: nn.Module,
        method: Method,
        accelerator: Accelerator,
        *,
        layer_decay: float = 1.0,
        ema: float | None = None,
    ) -> LoopModules:
        """Return the model on its device, for one or several processes, and what moves
        its weights.
        """
        model = model.to(accelerator.device)
        if self.channels_last:
            _channels_last(model)
        rate, decay = self.optimizer.lr, self.optimizer.weight_decay
        method = method.to(accelerator.device)
        groups = param_groups(model, rate, decay, layer_decay)
        groups += param_groups(method, rate, decay, 1.0)
        optimizer = self.optimizer.build(groups)
        average = None if ema is None else averaged(model, ema)
        run_by = torch.compile(model) if self.compile else model
        prepared, optimizer = accelerator.prepare(run_by, optimizer)
        return LoopModules(
            accelerator, model, prepared, optimizer, self.schedule, rate, average, method
        )

    def training_loader(
        self, manifest: Manifest, order: Order, accelerator: Accelerator, repeats: int = 1
    ) -> ClipLoader:
        """This process's part of each batch.

        order: item numbers of the whole epoch, over all processes, see `ClipDataset`; what is left
        after the last full batch is not used.
        """
        dataset = ClipDataset(
            manifest,
            self.sampling,
            self.transform,
            seed=self.seed,
            cache=self.cache,
            repeats=repeats,
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
    """Lay out the weights of convolutions so; a model may have both 2-D and 3-D ones."""
    layouts = {4: torch.channels_last, 5: torch.channels_last_3d}
    for parameter in model.parameters():
        if parameter.ndim in layouts:
            parameter.data = parameter.data.contiguous(memory_format=layouts[parameter.ndim])
