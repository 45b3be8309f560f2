"""Test-time adaptation by aligned feature statistics (ViTTA)."""

import math
from collections.abc import Callable
from pathlib import Path
from typing import ClassVar, Literal

import torch
from einops import rearrange
from pydantic import Field
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from vidda.adapt.joint import MethodConfig, MethodSettings
from vidda.adapt.losses.feature_statistics import moving_average, statistics_distance, view_distance
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
from vidda.recognize.infer import Outputs
from vidda.recognize.method import Method, SourceBatch, Supervised, TargetBatch, Terms
from vidda.recognize.recognizer import Recognizer

STATISTICS = "statistics.safetensors"


class VittaConfig(MethodConfig):
    """ViTTA (Lin et al., CVPR 2023): running statistics of test clips are aligned with the
    source's.

    It starts from a trained recognizer. Published are one clip a step, one epoch
    (target_batch_size=1, epochs=1) and SGD at 5e-5 for a TANet; for a Video Swin 1e-5 with both
    momentum and consistency 0.05. Target clips come in an order that follows from the seed. Each is
    used in two random views of `sampling` and `transform`, and predicted right after its step; the
    predictions are in RUN/online. Statistics are those of outputs of norm layers (batch norm, which
    keeps to its own running statistics meanwhile, or layer norm over all tokens) in the deeper half
    of the model: the released code takes a ResNet's last two stages, a Swin's last two and its last
    norm.

    The source's come from one pass over the clips of `train`, as in testing, into
    RUN/statistics.safetensors; `statistics` names such a file, and then `train` only names the
    classes. As in the released code a variance is that within a clip, averaged; in the paper, as we
    remember it (unverified), that over all clips. Differences from that code: its moving averages
    begin at 0, here at the source's; its SGD decays biases and norms too and has no Nesterov
    momentum; there a batch counts as one clip, here several clips a step are averaged.
    """

    name: Literal["vitta"] = "vitta"
    consistency: float = Field(
        0.1, ge=0, description="weight of consistent predictions for two views of a clip"
    )
    momentum: float = Field(
        0.1, gt=0, le=1, description="share of a new clip in the moving averages of statistics"
    )
    depth: float = Field(
        0.5, gt=0, le=1, description="share of the norm layers that are aligned, the deepest ones"
    )
    statistics: Path | None = Field(
        None,
        description="file with the source's statistics, from an earlier run; null: computed from"
        " train",
    )
    source_free: ClassVar[bool] = True
    needs_pixels: ClassVar[bool] = True
    target_views: ClassVar[int] = 2

    def problems(self, settings: MethodSettings) -> list[str]:
        found = []
        if settings.compiled:
            found.append("compile: ViTTA reads the outputs of the model's layers; set it to false")
        if self.statistics is not None and not self.statistics.is_file():
            found.append(
                f"method.statistics: {self.statistics} is not a file; remove this key to have the"
                " statistics computed"
            )
        return found

    def build(self, model: Recognizer, supervised: Supervised, settings: MethodSettings) -> Method:
        return Vitta(self, settings.target_clips, model.classes)


class Vitta(Online):
    """The test-time method of `VittaConfig`.

    means, variances: moving averages on the target, buffers with all layers' channels concatenated.
    """

    means: torch.Tensor
    variances: torch.Tensor

    def __init__(self, config: VittaConfig, clips: int, classes: int) -> None:
        super().__init__(clips, classes)
        self.config = config

    def begin(
        self,
        model: Recognizer,
        folder: Path,
        infer_source: Callable[[], Outputs],
        target_logits: Callable[[torch.Tensor], torch.Tensor],
    ) -> None:
        super().begin(model, folder, infer_source, target_logits)
        path = self.config.statistics or folder / STATISTICS
        every = self._load_or_measure(model, path, infer_source)
        count = math.ceil(self.config.depth * len(every))
        self.layers = list(every)[-count:]
        self.sizes = [len(every[layer].mean) for layer in self.layers]
        of_source = [
            NormStatistics(*(t.to(self.answers) for t in every[layer])) for layer in self.layers
        ]
        self.source_statistics = _concatenated(of_source)
        self.register_buffer("means", self.source_statistics.mean.clone())
        self.register_buffer("variances", self.source_statistics.variance.clone())

    def _load_or_measure(
        self, model: Recognizer, path: Path, infer_source: Callable[[], Outputs]
    ) -> dict[str, NormStatistics]:
        """Return the source's statistics by layer, from the file `path`, which is written if it is
        missing.
        """
        layers, digest = norm_layers(model), weights_digest(model)
        if not path.exists():
            with tally_statistics(model, layers) as tally:
                infer_source()
            save_statistics(path, tally.averages(), digest)
        found = load_statistics(path, digest, layers)
        if not found:
            raise ViddaError(
                "method: ViTTA aligns the outputs of norm layers, and this model has none before"
                " its pooling; choose another recognizer or method"
            )
        return found

    def step(self, model: nn.Module, source: SourceBatch, target: TargetBatch) -> Terms:
        c, views = self.config, self.config.target_views
        self.record_clips(target.number[::views])
        for module in model.modules():
            if isinstance(module, _BatchNorm):
                module.eval()
        with tally_statistics(model, self.layers, views) as tally:
            logits = model(target.inputs).logits.float()
            logits = rearrange(logits, "(b v) k -> b v k", v=views)
        averages = tally.averages()
        current = _concatenated([averages[layer] for layer in self.layers])
        means = moving_average(self.means, current.mean, c.momentum)
        variances = moving_average(self.variances, current.variance, c.momentum)
        self.means, self.variances = means.detach(), variances.detach()
        distance = statistics_distance(
            means.split(self.sizes),
            variances.split(self.sizes),
            self.source_statistics.mean.split(self.sizes),
            self.source_statistics.variance.split(self.sizes),
        )
        views_loss = view_distance(logits[:, 0], logits[:, 1])
        return Terms({"statistics": distance, "views": c.consistency * views_loss}, {})


def _concatenated(statistics: list[NormStatistics]) -> NormStatistics:
    mean, variance = (torch.cat(parts) for parts in zip(*statistics, strict=True))
    return NormStatistics(mean, variance)
