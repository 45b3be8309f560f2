"""VideoMAE's pre-training (arXiv 2203.12602): most of a clip is hidden and has to be painted."""

from pathlib import Path
from typing import TYPE_CHECKING

import torch
from pydantic import Field
from torch import nn

from vidda.config import Config
from vidda.errors import ViddaError
from vidda.files import atomic_folder
from vidda.recognize.clip_requirements import Needs
from vidda.recognize.motion_input import VideoInput, motion
from vidda.recognize.positions import Grid, grid, set_positions
from vidda.recognize.videomae_start import (
    SEEN,
    ClipSize,
    Count,
    StartConfig,
    VideoMaeScratch,
    architecture,
    check_seen,
    load_folder,
    quiet,
    transformers_config,
)

if TYPE_CHECKING:
    from transformers import VideoMAEForPreTraining


class VideoMaeDecoderConfig(Config):
    """What paints the hidden patches; thrown away afterwards. The defaults are VideoMAE-B's."""

    width: Count = Field(default=384, description="of a token; a multiple of `heads`")
    layers: Count = Field(default=4, description="of attention")
    heads: Count = Field(default=6, description="of attention")
    mlp: Count = Field(default=1536, description="hidden width between attentions")


class VideoMaePretrainingConfig(Config):
    """A VideoMAE encoder and decoder, from nothing or from a pre-training checkpoint."""

    frames: Count = Field(default=16, description="frames of a clip")
    size: Count = Field(default=224, description="height and width of a clip, in pixels")
    start: StartConfig = Field(default=VideoMaeScratch(), description="the weights to begin with")
    input: VideoInput = Field(
        default="rgb", description="what is hidden and painted; the recognizer then has the same"
    )
    decoder: VideoMaeDecoderConfig = Field(
        default=VideoMaeDecoderConfig(), description="the decoder's sizes"
    )
    mask_ratio: float = Field(
        default=0.9, gt=0, lt=1, description="share of the patches that are hidden"
    )
    normalize_patches: bool = Field(
        default=True,
        description="bring every hidden patch to mean 0 and deviation 1; false where many are flat,"
        " so that their noise does not outweigh what moves",
    )

    def check_input(self, frames: int, height: int, width: int) -> None:
        """Raise ViddaError when clips of this length and size do not fit."""
        Needs(self.frames, self.size, exact=True).check("videomae", frames, height, width)

    def build(self) -> "MaskedAutoencoder":
        """Return the model to train; raises ViddaError when its weights cannot be loaded."""
        from transformers import VideoMAEForPreTraining

        sizes, clip = architecture(self.start), ClipSize(frames=self.frames, size=self.size)
        if self.decoder.width % self.decoder.heads:
            raise ViddaError("videomae: decoder.width is not a multiple of decoder.heads")
        config = transformers_config(sizes, clip)
        config.use_mean_pooling = False  # the encoder ends in a norm, as in published checkpoints
        config.decoder_hidden_size = self.decoder.width
        config.decoder_num_hidden_layers = self.decoder.layers
        config.decoder_num_attention_heads = self.decoder.heads
        config.decoder_intermediate_size = self.decoder.mlp
        config.norm_pix_loss = self.normalize_patches
        if isinstance(self.start, VideoMaeScratch):
            model = VideoMAEForPreTraining(config)
        else:
            check_seen(self.start, self.input)
            folder = self.start.find()
            model, info = load_folder(VideoMAEForPreTraining, folder, config)
            _require_all(folder, info["missing_keys"], info["mismatched_keys"])
        set_positions(model.videomae.embeddings, sizes.width, sizes, clip)
        set_positions(model, self.decoder.width, sizes, clip)
        return MaskedAutoencoder(model, grid(sizes, clip), self.mask_ratio, self.input)


class MaskedAutoencoder(nn.Module):
    """transformers' VideoMAEForPreTraining on videos of (B, C, T, H, W).

    grid: tokens along time, height and width. mask_ratio: share of the tokens that are hidden.
    seen: what of the video is hidden and painted, see `motion.motion`.
    """

    def __init__(
        self, model: "VideoMAEForPreTraining", grid: Grid, mask_ratio: float, seen: VideoInput
    ) -> None:
        super().__init__()
        self.model = model
        self.grid = grid
        self.mask_ratio = mask_ratio
        self.seen = seen

    def forward(self, video: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """Return mean squared error over the hidden patches.

        video: (B, C, T, H, W) float. Where every patch is brought to mean 0 and deviation 1 per
        channel, any normalization of the clip gives the same targets; where not, they are the
        clip's values (times transformers' deviations of ImageNet, 0.22 to 0.23). mask: (B, tokens),
        true where hidden, as many in each clip.
        """
        shown = motion(video) if self.seen == "motion" else video
        return self.model(shown.transpose(1, 2), bool_masked_pos=mask).loss

    def draw_mask(self, clips: int, generator: torch.Generator) -> torch.Tensor:
        """Tube masks for so many clips, see `tube_mask`."""
        return tube_mask(clips, self.grid, self.mask_ratio, generator)

    def save(self, folder: Path) -> None:
        """Write config.json and model.safetensors to a new folder, which `start: folder` reads."""
        setattr(self.model.config, SEEN, self.seen)
        with atomic_folder(folder) as temporary, quiet():
            self.model.save_pretrained(temporary)


def tube_mask(clips: int, grid: Grid, ratio: float, generator: torch.Generator) -> torch.Tensor:
    """Which tokens are hidden, (clips, tokens) bool: the same places at all times of a clip.

    grid: tokens along time, height and width. ratio: share that is hidden, rounded down to whole
    places, and at least one is hidden and one seen. generator: on the CPU; decides every mask.
    """
    time, height, width = grid
    places = height * width
    hidden = min(max(int(ratio * places), 1), places - 1)
    rank = torch.rand(clips, places, generator=generator).argsort(dim=1).argsort(dim=1)
    return (rank < hidden).repeat(1, time)


def _require_all(folder: Path, missing: set[str], mismatched: set[tuple[str, ...]]) -> None:
    bad = missing | {name for name, *_ in mismatched}
    if bad:
        raise ViddaError(
            f"{folder}: {len(bad)} weights are missing or of another shape (first {min(bad)});"
            " pre-training goes on only from a pre-training checkpoint with the same decoder sizes"
        )
