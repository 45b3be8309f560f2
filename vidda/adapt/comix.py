"""Contrastive learning between speeds and between mixed backgrounds (CoMix)."""

from typing import ClassVar, Literal

import torch
from pydantic import Field
from torch import nn

from vidda.adapt.clip_views import mix_background, subsample_frames
from vidda.adapt.joint import MethodConfig, MethodSettings
from vidda.adapt.losses.contrastive import supervised_contrast
from vidda.recognize.method import Method, SourceBatch, Supervised, TargetBatch, Terms
from vidda.recognize.recognizer import Recognizer

BASE_TEMPERATURE = 0.07
"""The released code multiplies the contrastive loss by temperature / BASE_TEMPERATURE."""


class ComixConfig(MethodConfig):
    """CoMix (Sahoo et al., NeurIPS 2021) for any recognizer.

    Each clip comes fast (as it is) and slow (a quarter, half or three quarters of its frames), and
    both also with a background of the other domain: eight views a step. As in the released code
    predictions are contrasted as probabilities, not normalized. Differences from it: its slow clips
    leave out nodes of a graph over 16 short clips, here frames; it warms up on the source first
    (here `start`); backgrounds are medians of the augmented clips' frames, there of the whole
    video.
    """

    name: Literal["comix"] = "comix"
    background: float = Field(
        0.1, ge=0, description="weight of the contrastive loss of a clip's four views"
    )
    pseudo_labels: float = Field(
        0.01, ge=0, description="weight of the contrastive loss by pseudo-label"
    )
    temperature: float = Field(0.5, gt=0, description="temperature of the contrastive losses")
    threshold: float = Field(
        0.7, gt=0, lt=1, description="confidence from which a pseudo-label is used"
    )
    most: float = Field(
        0.5, gt=0, lt=1, description="largest share of the other domain's background in a clip"
    )
    needs_pixels: ClassVar[bool] = True

    def build(self, model: Recognizer, supervised: Supervised, settings: MethodSettings) -> Method:
        return Comix(self, supervised)

    def problems(self, settings: MethodSettings) -> list[str]:
        if settings.mixed:
            return ["mixup, cutmix: CoMix mixes clips itself; set both to 0"]
        return []


class Comix(Method):
    """The training method of `ComixConfig`."""

    def __init__(self, config: ComixConfig, supervised: Supervised) -> None:
        super().__init__()
        self.config = config
        self.supervised = supervised

    def step(self, model: nn.Module, source: SourceBatch, target: TargetBatch) -> Terms:
        c = self.config
        video, wanted = self.supervised.mixed(source)
        frames = video.shape[2]
        slow = max(1, frames * int(torch.randint(1, 4, ())) // 4)
        share = float(torch.rand(())) * c.most
        on_source = [video, mix_background(video, target.inputs, share)]
        on_target = [target.inputs, mix_background(target.inputs, video, share)]
        fast = torch.cat([*on_source, *on_target])
        logits = model(torch.cat([fast, subsample_frames(fast, slow)])).logits.float()
        clips, others = len(video), len(target.inputs)
        sizes = [clips, clips, others, others] * 2
        views = logits.split(sizes)
        terms = self.supervised.terms(views[0], wanted)
        by_clip = [
            self._clip_contrast([views[n] for n in four]) for four in ((0, 1, 4, 5), (2, 3, 6, 7))
        ]
        by_label, labeled = self._pseudo_label_contrast(views[2], views[6])
        losses = {"background": c.background * (by_clip[0] + by_clip[1])}
        losses["pseudo"] = c.pseudo_labels * by_label
        return Terms(terms.losses | losses, terms.metrics | {"pseudo_labels": labeled})

    def _contrast(self, logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        """Return the supervised contrastive loss of predictions, (B, K) logits with (B,) labels."""
        temperature = self.config.temperature
        loss = supervised_contrast(logits.softmax(1), labels, temperature, normalize=False)
        return temperature / BASE_TEMPERATURE * loss

    def _clip_contrast(self, views: list[torch.Tensor]) -> torch.Tensor:
        """Return the contrastive loss in which the views of one clip attract; each is (B, K)."""
        clip = torch.arange(len(views[0]), device=views[0].device)
        return self._contrast(torch.cat(views), clip.repeat(len(views)))

    def _pseudo_label_contrast(
        self, fast: torch.Tensor, slow: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the contrastive loss of target clips by pseudo-label, and the share that has one.

        fast, slow: (B, K) logits of both speeds.
        """
        guess = ((fast + slow) / 2).detach().softmax(1)
        confidence, labels = guess.max(1)
        sure = confidence >= self.config.threshold
        loss = self._contrast(torch.cat([fast[sure], slow[sure]]), labels[sure].repeat(2))
        return loss, sure.float().mean()
