"""The training settings of all methods: steps, optimizer, learning rate and memory choices."""

import math
from collections.abc import Sequence
from typing import Annotated, Any, Literal

import torch
from pydantic import Field

from vidda.config import Config, Count
from vidda.errors import ViddaError

LearningRate = Annotated[float, Field(gt=0)]


class TrainingConfig(Config):
    """The training settings that all methods share; each has its own defaults."""

    steps: Count = Field(default=800, description="steps of the optimizer")
    batch_size: Count = Field(default=1, description="frames at a time")
    accumulate: Count = Field(default=1, description="batches whose gradients make one step")
    lr: LearningRate = Field(default=1e-4, description="highest learning rate")
    scale_lr: bool = Field(default=False, description="multiply lr by batch_size and accumulate")
    schedule: Literal["constant", "cosine"] = Field(
        default="constant", description="learning rate after the warm-up; cosine ends at 0"
    )
    warmup: int = Field(
        default=0, ge=0, description="steps in which the learning rate rises linearly at the start"
    )
    optimizer: Literal["adamw", "adamw_8bit"] = Field(
        default="adamw",
        description="adamw_8bit takes a quarter of adamw's memory; it needs bitsandbytes and a GPU",
    )
    weight_decay: float = Field(default=1e-2, ge=0, description="weight decay of AdamW")
    clip_grad: LearningRate | None = Field(
        default=1.0, description="largest gradient norm; null: no clipping"
    )
    gradient_checkpointing: bool = Field(
        default=False, description="compute activations twice: less memory, a quarter more time"
    )

    @property
    def peak(self) -> float:
        """Return the highest learning rate, multiplied by the frames a step with scale_lr."""
        return self.lr * (self.batch_size * self.accumulate if self.scale_lr else 1)

    def rate(self, step: int) -> float:
        """Return the learning rate of a step in 0..steps-1."""
        if step < self.warmup:
            return self.peak * (step + 1) / self.warmup
        if self.schedule == "constant":
            return self.peak
        share = (step - self.warmup) / max(self.steps - self.warmup, 1)
        return self.peak * 0.5 * (1 + math.cos(math.pi * share))

    def check_optimizer(self, device: torch.device) -> None:
        """Raise ViddaError when the optimizer needs a GPU or a package that is missing."""
        if self.optimizer == "adamw_8bit":
            if device.type != "cuda":
                raise ViddaError("method.optimizer: adamw_8bit needs a CUDA device; take adamw")
            _bitsandbytes()

    def build_optimizer(self, parameters: Sequence[torch.nn.Parameter]) -> torch.optim.Optimizer:
        """Return the optimizer of these parameters: AdamW (arXiv 1711.05101), or its 8-bit form."""
        kind: Any = _bitsandbytes() if self.optimizer == "adamw_8bit" else torch.optim.AdamW
        # On a CPU torch's default updates one tensor after the other, in three times the time.
        faster = {"fused": True} if parameters[0].device.type == "cpu" else {}
        optimizer: torch.optim.Optimizer = kind(
            parameters, lr=self.peak, weight_decay=self.weight_decay, **faster
        )
        return optimizer


def _bitsandbytes() -> Any:
    try:
        from bitsandbytes.optim import AdamW8bit  # type: ignore[import-not-found]
    except ImportError:
        raise ViddaError(
            "method.optimizer: adamw_8bit needs bitsandbytes, which is not installed:"
            " pip install bitsandbytes, or take adamw"
        ) from None
    return AdamW8bit
