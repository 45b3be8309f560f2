"""Contrast between speeds, and clips over each other's backgrounds (CoMix)."""

from typing import ClassVar, Literal

import torch
from pydantic import Field
from torch import nn

from vidda.adapt.clip_views import subsampled, with_background
from vidda.adapt.joint import MethodConfig, MethodSettings
from vidda.adapt.losses.contrastive import supervised_contrast
from vidda.recognize.method import Method, SourceBatch, Supervised, TargetBatch, Terms
from vidda.recognize.recognizer import Recognizer

BASE = 0.07
"""What the contrast's temperature is divided by in the released code, as a factor of the loss."""


class ComixConfig(MethodConfig):
    """CoMix (Sahoo et al., NeurIPS 2021) for any recognizer.

    Each clip is seen fast (as it is) and slow (a quarter, half or three quarters of its frames),
    and both over a background of the other domain: eight views a step. As in the released code
    predictions are contrasted as probabilities, not normalized. Differences from it: its slow clips
    leave out nodes of a graph over 16 short clips, here frames; it warms up on the source first
    (here `start`); backgrounds are medians of what the augmented clip shows, there of the whole
    video.
    """

    name: Literal["comix"] = "comix"
    background: float = Field(0.1, ge=0, description="weight of contrast of a clip's four views")
    pseudo_labels: float = Field(0.01, ge=0, description="weight of contrast by pseudo-label")
    temperature: float = Field(0.5, gt=0, description="of the contrasts")
    threshold: float = Field(0.7, gt=0, lt=1, description="confidence of a pseudo-label")
    most: float = Field(0.5, gt=0, lt=1, description="largest share of a background")
    pixels: ClassVar[bool] = True

    def build(self, model: Recognizer, supervised: Supervised, setting: MethodSettings) -> Method:
        return Comix(self, supervised)

    def problems(self, setting: MethodSettings) -> list[str]:
        if setting.mixes:
            return ["mixup, cutmix: CoMix mixes clips itself; set both to 0"]
        return []


class Comix(Method):
    """See `ComixConfig`."""

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
        here = [video, with_background(video, target.video, share)]
        there = [target.video, with_background(target.video, video, share)]
        fast = torch.cat([*here, *there])
        logits = model(torch.cat([fast, subsampled(fast, slow)])).logits.float()
        clips, others = len(video), len(target.video)
        sizes = [clips, clips, others, others] * 2
        views = logits.split(sizes)
        terms = self.supervised.terms(views[0], wanted)
        same = [self._same([views[n] for n in four]) for four in ((0, 1, 4, 5), (2, 3, 6, 7))]
        labeled, known = self._pseudo_labeled(views[2], views[6])
        losses = {"background": c.background * (same[0] + same[1])}
        losses["pseudo"] = c.pseudo_labels * labeled
        return Terms(terms.losses | losses, terms.shown | {"pseudo_labels": known})

    def _contrast(self, logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        temperature = self.config.temperature
        loss = supervised_contrast(logits.softmax(1), labels, temperature, normalize=False)
        return temperature / BASE * loss

    def _same(self, views: list[torch.Tensor]) -> torch.Tensor:
        """Return the views of one clip belong together."""
        clip = torch.arange(len(views[0]), device=views[0].device)
        return self._contrast(torch.cat(views), clip.repeat(len(views)))

    def _pseudo_labeled(
        self, fast: torch.Tensor, slow: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Target clips of one pseudo-label belong together; and the share that has one."""
        guess = ((fast + slow) / 2).detach().softmax(1)
        confidence, labels = guess.max(1)
        sure = confidence >= self.config.threshold
        loss = self._contrast(torch.cat([fast[sure], slow[sure]]), labels[sure].repeat(2))
        return loss, sure.float().mean()
