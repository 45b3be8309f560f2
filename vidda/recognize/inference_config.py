"""How a trained recognizer is shown clips: views, precision, device, decoding."""

from pathlib import Path
from typing import Literal

import torch
from pydantic import Field

from vidda.config import Config
from vidda.data.dataset import ClipDataset
from vidda.data.frame_sampling import SamplingConfig, ViewsSampling
from vidda.data.loader import ClipLoader
from vidda.data.transforms import CenterCrop, ThreeCrops, TransformConfig
from vidda.device import Precision, torch_device
from vidda.errors import ViddaError
from vidda.recognize.saved_recognizer import ModelCard
from vidda.types import Manifest


class InferenceConfig(Config):
    """The keys that commands which run a trained recognizer have in common."""

    clips: int | None = Field(
        default=None, ge=1, description="windows over each clip; null: as the checkpoint says"
    )
    stride: int | None = Field(
        default=None, ge=1, description="frames from one frame of a window to the next; null: same"
    )
    crops: Literal[1, 3] | None = Field(
        default=None, description="the middle square, or three along the longer side; null: same"
    )
    precision: Precision = Field(default="fp32", description="of the computation")
    device: str = Field(
        default="auto", description="cpu, cuda, cuda:1, ...; auto takes a GPU where there is one"
    )
    batch_size: int = Field(default=16, ge=1, description="views that are computed at once")
    workers: int = Field(default=2, ge=0, description="processes that decode; 0: this one")
    cache: Path | None = Field(default=None, description="folder for decoded frames")

    def sampling(self, card: ModelCard) -> SamplingConfig:
        """Which frames of a clip are shown; raises ViddaError when a stride is not known."""
        own = card.sampling
        if self.clips is None and self.stride is None:
            return own
        stride = self.stride or getattr(own, "stride", None)
        if stride is None:
            raise ViddaError(
                f"clips={self.clips}: this model is shown {own.frames} frames spread over the whole"
                " clip; windows of it need a distance between frames too: stride=FRAMES"
            )
        clips = own.clips if isinstance(own, ViewsSampling) else 1
        return ViewsSampling(frames=own.frames, stride=stride, clips=self.clips or clips)

    def transform(self, card: ModelCard) -> TransformConfig:
        """What is done to the frames."""
        if self.crops is None:
            return card.transform
        crop = ThreeCrops() if self.crops == 3 else CenterCrop()
        return card.transform.model_copy(update={"crop": crop})

    def views(self, card: ModelCard) -> int:
        """Return how many views of a clip are averaged."""
        crops = 3 if isinstance(self.transform(card).crop, ThreeCrops) else 1
        sampling = self.sampling(card)
        return crops * (sampling.clips if isinstance(sampling, ViewsSampling) else 1)

    def loader(
        self, card: ModelCard, manifest: Manifest, on_error: Literal["error", "skip"]
    ) -> ClipLoader:
        """Return the clips of a manifest as this model is to see them, in order."""
        dataset = ClipDataset(manifest, self.sampling(card), self.transform(card), cache=self.cache)
        clips = max(1, self.batch_size // self.views(card))
        return ClipLoader(dataset, clips, workers=self.workers, on_error=on_error)

    def torch_device(self) -> torch.device:
        """Return the device; raises ViddaError when this machine has no such one."""
        return torch_device(self.device, "device")
