"""Alignment of feature statistics at test time (ViTTA)."""

import math
from collections.abc import Callable
from pathlib import Path
from typing import ClassVar, Literal

import torch
from pydantic import Field
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from vidda.adapt.joint import MethodConfig, MethodSettings
from vidda.adapt.losses.feature_statistics import running, statistics_distance, view_distance
from vidda.adapt.norm_statistics import (
    NormStatistics,
    load_statistics,
    norm_layers,
    save_statistics,
    tally_statistics,
    weights_digest,
)
from vidda.adapt.online import Online
from vidda.errors import ViddaError
from vidda.recognize.method import Method, Outputs, SourceBatch, Supervised, TargetBatch, Terms
from vidda.recognize.recognizer import Recognizer

STATISTICS = "statistics.safetensors"


class VittaConfig(MethodConfig):
    """ViTTA (Lin et al., CVPR 2023): running statistics of test clips are drawn to the source's.

    From a trained recognizer; published are one clip a step, one epoch (target_batch_size=1,
    epochs=1) and SGD at 5e-5 for a TANet; for a Video Swin it is 1e-5 with both momentum and
    consistency 0.05. Target clips come in an order that follows from the seed. Each is seen in two
    draws of `sampling` and `transform`, and answered for right after its step; the answers are in
    RUN/online. Statistics are those of outputs of norm layers (batch norm, which keeps to its own
    running statistics meanwhile, or layer norm over all tokens) in the deeper half of the model:
    the released code takes a ResNet's last two stages, a Swin's last two and its last norm.

    The source's come from one pass over the clips of train, as in testing, into
    RUN/statistics.safetensors; `statistics` names such a file, and then train only names the
    classes. As in the released code a variance is that within a clip, averaged; in the paper, as we
    remember it (unverified), that over all clips. Differences from that code: its moving averages
    begin at 0, here at the source's; its SGD decays biases and norms too and has no Nesterov
    momentum; there a batch counts as one clip, here several clips a step are averaged.
    """

    name: Literal["vitta"] = "vitta"
    consistency: float = Field(0.1, ge=0, description="weight of two views' predictions agreeing")
    momentum: float = Field(0.1, gt=0, le=1, description="share of a new clip in the statistics")
    depth: float = Field(0.5, gt=0, le=1, description="share of the norm layers, the deepest ones")
    statistics: Path | None = Field(
        None, description="statistics.safetensors of an earlier run; null: computed from train"
    )
    source_free: ClassVar[bool] = True
    pixels: ClassVar[bool] = True
    views: ClassVar[int] = 2

    def problems(self, setting: MethodSettings) -> list[str]:
        found = []
        if setting.compiled:
            found.append("compile: ViTTA looks into the model's layers; set it to false")
        if self.statistics is not None and not self.statistics.is_file():
            found.append(
                f"method.statistics: {self.statistics} is no file; leave it out to have it computed"
            )
        return found

    def build(self, model: Recognizer, supervised: Supervised, setting: MethodSettings) -> Method:
        return Vitta(self, setting.target, model.classes)


class Vitta(Online):
    """See `VittaConfig`. The moving averages are buffers, all layers' channels in a row."""

    means: torch.Tensor
    variances: torch.Tensor

    def __init__(self, config: VittaConfig, clips: int, classes: int) -> None:
        super().__init__(clips, classes)
        self.config = config

    def begin(
        self,
        model: Recognizer,
        folder: Path,
        source: Callable[[], Outputs],
        show: Callable[[torch.Tensor], torch.Tensor],
    ) -> None:
        super().begin(model, folder, source, show)
        every = self._source(model, self.config.statistics or folder / STATISTICS, source)
        count = math.ceil(self.config.depth * len(every))
        self.layers = list(every)[-count:]
        self.sizes = [len(every[layer].mean) for layer in self.layers]
        wanted = [
            NormStatistics(*(t.to(self.answers) for t in every[layer])) for layer in self.layers
        ]
        self.wanted = _in_a_row(wanted)
        self.register_buffer("means", self.wanted.mean.clone())
        self.register_buffer("variances", self.wanted.variance.clone())

    def _source(
        self, model: Recognizer, path: Path, look: Callable[[], Outputs]
    ) -> dict[str, NormStatistics]:
        """Return the source's statistics, from the file or else into it."""
        layers, digest = norm_layers(model), weights_digest(model)
        if not path.exists():
            with tally_statistics(model, layers) as tally:
                look()
            save_statistics(path, tally.moments(), digest)
        found = load_statistics(path, digest, layers)
        if not found:
            raise ViddaError(
                "method: ViTTA aligns what norm layers put out, and this model has none before its"
                " pooling; take another recognizer or method"
            )
        return found

    def step(self, model: nn.Module, source: SourceBatch, target: TargetBatch) -> Terms:
        c, views = self.config, self.config.views
        self.came(target.number[::views])
        for module in model.modules():
            if isinstance(module, _BatchNorm):
                module.eval()
        with tally_statistics(model, self.layers, views) as tally:
            logits = model(target.video).logits.float().unflatten(0, (-1, views))
        moments = tally.moments()
        seen = _in_a_row([moments[layer] for layer in self.layers])
        means = running(self.means, seen.mean, c.momentum)
        variances = running(self.variances, seen.variance, c.momentum)
        self.means, self.variances = means.detach(), variances.detach()
        apart = statistics_distance(
            means.split(self.sizes),
            variances.split(self.sizes),
            self.wanted.mean.split(self.sizes),
            self.wanted.variance.split(self.sizes),
        )
        agree = view_distance(logits[:, 0], logits[:, 1])
        return Terms({"statistics": apart, "views": c.consistency * agree}, {})


def _in_a_row(moments: list[NormStatistics]) -> NormStatistics:
    mean, variance = (torch.cat(parts) for parts in zip(*moments, strict=True))
    return NormStatistics(mean, variance)
