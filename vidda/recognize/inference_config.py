"""The inputs of a trained recognizer: views, precision, device, decoding."""

from pathlib import Path
from typing import Literal

import torch
from pydantic import Field

from vidda.config import Config
from vidda.control.pose import PoseConfig
from vidda.data.frame_sampling import FrameSamplingConfig, ViewsSampling
from vidda.data.loader import ClipLoader
from vidda.data.transforms import CenterCrop, ThreeCrops, TransformConfig
from vidda.device import Precision, torch_device
from vidda.errors import ViddaError
from vidda.recognize.clip_input import ClipInput
from vidda.recognize.pose_transformer import PoseTransformerConfig
from vidda.recognize.saved_recognizer import ModelCard
from vidda.types import Manifest


class InferenceConfig(Config):
    """The keys that commands which run a trained recognizer have in common."""

    clips: int | None = Field(
        default=None,
        ge=1,
        description="temporal windows over each clip; null: as in the checkpoint's model.yaml",
    )
    stride: int | None = Field(
        default=None,
        ge=1,
        description="frames from one frame of a window to the next; null: as in model.yaml",
    )
    crops: Literal[1, 3] | None = Field(
        default=None,
        description="square crops of a frame: the center, or 3 along the longer side; null: as in"
        " model.yaml",
    )
    precision: Precision = Field(default="fp32", description="precision of the forward pass")
    device: str = Field(
        default="auto", description="cpu, cuda, cuda:1, ...; auto uses a GPU if there is one"
    )
    batch_size: int = Field(default=16, ge=1, description="views in a forward pass")
    workers: int = Field(default=2, ge=0, description="processes that decode; 0: the main process")
    cache: Path | None = Field(
        default=None, description="folder for decoded frames and estimated poses"
    )
    poses: PoseConfig | None = Field(
        default=None,
        description="source of the poses for a recognizer of poses; null: as in model.yaml",
    )

    def sampling(self, card: ModelCard) -> FrameSamplingConfig:
        """Return how frames are sampled; raises ViddaError when `clips` needs a stride and there is
        none.
        """
        own = card.sampling
        if self.clips is None and self.stride is None:
            return own
        stride = self.stride or getattr(own, "stride", None)
        if stride is None:
            raise ViddaError(
                f"clips={self.clips}: this model takes {own.frames} frames spread over the whole"
                " clip; windows also need the distance between frames: set stride=FRAMES"
            )
        clips = own.clips if isinstance(own, ViewsSampling) else 1
        return ViewsSampling(frames=own.frames, stride=stride, clips=self.clips or clips)

    def transform(self, card: ModelCard) -> TransformConfig:
        """Return the transform of the frames."""
        if self.crops is None:
            return card.transform
        if not card.model.clip_input().pixels:
            raise ViddaError(
                f"crops={self.crops}: {card.model.name} takes poses, which are not cropped; leave"
                " it out"
            )
        crop = ThreeCrops() if self.crops == 3 else CenterCrop()
        return card.transform.model_copy(update={"crop": crop})

    def clip_input(self, card: ModelCard) -> ClipInput:
        """Return how videos become the model's inputs; raises ViddaError where `poses` does not fit
        it.
        """
        if self.poses is None:
            return card.model.clip_input()
        if not isinstance(card.model, PoseTransformerConfig):
            raise ViddaError(f"poses: {card.model.name} takes frames, not poses; leave it out")
        return card.model.model_copy(update={"poses": self.poses}).clip_input()

    def views(self, card: ModelCard) -> int:
        """Return the number of views of a clip that are averaged."""
        crops = 3 if isinstance(self.transform(card).crop, ThreeCrops) else 1
        sampling = self.sampling(card)
        return crops * (sampling.clips if isinstance(sampling, ViewsSampling) else 1)

    def loader(
        self, card: ModelCard, manifest: Manifest, on_error: Literal["error", "skip"]
    ) -> ClipLoader:
        """Return batches of a manifest's clips as this model takes them, in order.

        on_error: "error" raises VideoError at a clip that cannot be read, "skip" leaves it out.
        """
        clip_input = self.clip_input(card)
        dataset = clip_input.dataset(
            manifest,
            self.sampling(card),
            self.transform(card),
            cache=self.cache,
            on_error=on_error,
        )
        clips = max(1, self.batch_size // self.views(card))
        workers = self.workers if clip_input.pixels else 0
        return ClipLoader(dataset, clips, workers=workers, on_error=on_error)

    def torch_device(self) -> torch.device:
        """Return the device; raises ViddaError when this machine does not have it."""
        return torch_device(self.device, "device")
