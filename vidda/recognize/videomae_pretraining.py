"""VideoMAE's pre-training (arXiv 2203.12602): most patches of a clip are masked and
reconstructed.
"""

from pathlib import Path
from typing import TYPE_CHECKING

import torch
from pydantic import Field
from torch import nn

from vidda.config import Config
from vidda.errors import ViddaError
from vidda.files import atomic_folder
from vidda.recognize.clip_requirements import ClipRequirements
from vidda.recognize.motion_input import VideoInput, motion_channels
from vidda.recognize.positions import Grid, set_positions, token_grid
from vidda.recognize.videomae_start import (
    INPUT_KEY,
    ClipSize,
    Count,
    VideoMaeScratch,
    VideoMaeStartConfig,
    architecture,
    check_start_input,
    load_folder,
    quiet_transformers,
    transformers_config,
)

if TYPE_CHECKING:
    from transformers import VideoMAEForPreTraining


class VideoMaeDecoderConfig(Config):
    """The decoder that reconstructs masked patches, dropped after pre-training; by default
    VideoMAE-B's.
    """

    width: Count = Field(default=384, description="width of a token; a multiple of `heads`")
    layers: Count = Field(default=4, description="transformer layers of the decoder")
    heads: Count = Field(default=6, description="attention heads of a layer")
    mlp: Count = Field(default=1536, description="hidden width of a layer's MLP")


class VideoMaePretrainingConfig(Config):
    """A VideoMAE encoder and decoder, from scratch or from a pre-training checkpoint."""

    frames: Count = Field(default=16, description="frames of a clip")
    size: Count = Field(default=224, description="height and width of a clip, in pixels")
    start: VideoMaeStartConfig = Field(default=VideoMaeScratch(), description="initial weights")
    input: VideoInput = Field(
        default="rgb",
        description="input that is masked and reconstructed; the recognizer must have the same",
    )
    decoder: VideoMaeDecoderConfig = Field(
        default=VideoMaeDecoderConfig(), description="sizes of the decoder"
    )
    mask_ratio: float = Field(
        default=0.9, gt=0, lt=1, description="share of the patches that are masked"
    )
    normalize_patches: bool = Field(
        default=True,
        description="scale the target of every masked patch to mean 0 and deviation 1; set false"
        " where many patches are flat, so that their noise does not outweigh motion",
    )

    def check_input(self, frames: int, height: int, width: int) -> None:
        """Raise ViddaError when clips of this many frames and pixels do not fit."""
        ClipRequirements(self.frames, self.size, exact=True).check(
            "videomae", frames, height, width
        )

    def build(self) -> "MaskedAutoencoder":
        """Return the model to train; raises ViddaError when its weights cannot be loaded or sizes
        do not fit.
        """
        from transformers import VideoMAEForPreTraining

        sizes, clip = architecture(self.start), ClipSize(frames=self.frames, size=self.size)
        if self.decoder.width % self.decoder.heads:
            raise ViddaError(
                f"videomae: decoder.width {self.decoder.width} is not a multiple of decoder.heads"
                f" {self.decoder.heads}; change one of them"
            )
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
            check_start_input(self.start, self.input)
            folder = self.start.find()
            model, info = load_folder(VideoMAEForPreTraining, folder, config)
            _require_all(folder, info["missing_keys"], info["mismatched_keys"])
        set_positions(model.videomae.embeddings, sizes.width, sizes, clip)
        set_positions(model, self.decoder.width, sizes, clip)
        return MaskedAutoencoder(model, token_grid(sizes, clip), self.mask_ratio, self.input)


class MaskedAutoencoder(nn.Module):
    """transformers' VideoMAEForPreTraining on videos of (B, C, T, H, W).

    token_grid: tokens along time, height and width. mask_ratio: share of the tokens that are
    masked. video_input: the input that is masked and reconstructed, see `motion_channels`.
    """

    def __init__(
        self,
        model: "VideoMAEForPreTraining",
        token_grid: Grid,
        mask_ratio: float,
        video_input: VideoInput,
    ) -> None:
        super().__init__()
        self.model = model
        self.grid = token_grid
        self.mask_ratio = mask_ratio
        self.input = video_input

    def forward(self, video: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """Return the mean squared error over the masked patches, a scalar.

        video: (B, C, T, H, W) float. Where every patch is scaled to mean 0 and deviation 1 per
        channel, any normalization of the clip gives the same targets; otherwise they are the clip's
        values (times transformers' deviations of ImageNet, 0.22 to 0.23). mask: (B, tokens) bool,
        true where masked, the same number in each clip.
        """
        channels = motion_channels(video) if self.input == "motion" else video
        return self.model(channels.transpose(1, 2), bool_masked_pos=mask).loss

    def draw_mask(self, clips: int, generator: torch.Generator) -> torch.Tensor:
        """Return random tube masks, (clips, tokens) bool, True where a token is masked.

        clips: number of clips. generator: of torch, for the draws.
        """
        return tube_mask(clips, self.grid, self.mask_ratio, generator)

    def save(self, folder: Path) -> None:
        """Write config.json and model.safetensors to a new folder, which `start: folder` reads."""
        setattr(self.model.config, INPUT_KEY, self.input)
        with atomic_folder(folder) as temporary, quiet_transformers():
            self.model.save_pretrained(temporary)


def tube_mask(
    clips: int, token_grid: Grid, ratio: float, generator: torch.Generator
) -> torch.Tensor:
    """Return which tokens are masked, (clips, tokens) bool: the same positions at all times of a
    clip.

    token_grid: tokens along time, height and width. ratio: share that is masked, rounded down to
    whole positions, but at least one is masked and one is visible. generator: on the CPU; decides
    every mask.
    """
    time, height, width = token_grid
    positions = height * width
    masked = min(max(int(ratio * positions), 1), positions - 1)
    rank = torch.rand(clips, positions, generator=generator).argsort(dim=1).argsort(dim=1)
    return (rank < masked).repeat(1, time)


def _require_all(folder: Path, missing: set[str], mismatched: set[tuple[str, ...]]) -> None:
    bad = missing | {name for name, *_ in mismatched}
    if bad:
        raise ViddaError(
            f"{folder}: {len(bad)} weights are missing or of another shape (first {min(bad)});"
            " pre-training can start only from a pre-training checkpoint with the same decoder"
            " sizes"
        )
