"""The network: vidda's VideoMAE with the heads that pre-training alone needs."""

from pathlib import Path
from typing import Final, cast

import torch
from safetensors.torch import save_file
from torch import nn

from tools.mini_videomae.clips import POINTS
from tools.mini_videomae.recipe import ModelConfig
from vidda.recognize.motion_input import motion_channels
from vidda.recognize.videomae import VideoMae, VideoMaeConfig
from vidda.recognize.videomae_start import (
    INPUT_KEY,
    ClipSize,
    VideoMaeScratch,
    quiet_transformers,
    transformers_config,
)

WEIGHTS = "model.safetensors"
LIMIT_BYTES = 8_000_000
INPUT: Final = "motion"
ARMS = 2 * 2 * 3
"""Numbers of the directions of both arms in a frame."""


class Network(nn.Module):
    """VideoMAE with heads for motion classes, arm directions and joints' places.

    motions: number of motion classes. frames: T of a clip.
    """

    def __init__(self, config: ModelConfig, motions: int, frames: int) -> None:
        super().__init__()
        built = VideoMaeConfig(
            frames=frames,
            size=config.size,
            start=architecture(config),
            input=INPUT,
            drop_path=0.0,
        ).build(motions)
        self.encoder = cast(VideoMae, built)
        # On a CPU in bf16 it takes a quarter of the time of the fused one.
        self.encoder.videomae.set_attn_implementation("eager")
        self.side = config.size // config.patch
        self.arms = nn.Sequential(
            nn.LayerNorm(config.width), nn.Linear(config.width, config.tubelet * ARMS)
        )
        self.points = nn.Sequential(
            nn.LayerNorm(config.width), nn.Linear(config.width, config.tubelet * len(POINTS))
        )

    def forward(
        self, video: torch.Tensor, visible: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Return logits of motions (B, motions), arms (B, T, 2, 2, 3) and logits of places.

        The latter are (B, T, POINTS, K), for each joint over the K visible positions. video:
        (B, T, S, S) gray. visible: (B, K) int64 sorted positions that the encoder sees, the same at
        all times.
        """
        count, kept = visible.shape
        times = self.encoder.time_steps
        masked = torch.ones(count, self.side**2, dtype=torch.bool, device=video.device)
        masked.scatter_(1, visible, False)
        states = self.encoder.videomae(
            motion_channels(video[:, None]).transpose(1, 2), bool_masked_pos=masked.repeat(1, times)
        ).last_hidden_state
        tokens = states.reshape(count, times, kept, -1)
        logits = self.encoder.classifier(self.encoder.pooled(states))
        arms = self.arms(tokens.mean(2)).reshape(count, -1, 2, 2, 3)
        places = self.points(tokens).reshape(count, times, kept, -1, len(POINTS))
        return logits, arms, places.permute(0, 1, 3, 4, 2).flatten(1, 2)


def architecture(config: ModelConfig) -> VideoMaeScratch:
    """Return the sizes of the encoder as a start of vidda's VideoMAE."""
    return VideoMaeScratch(
        patch=config.patch,
        tubelet=config.tubelet,
        width=config.width,
        layers=config.layers,
        heads=config.heads,
        mlp=config.mlp,
        init=config.init,
    )


def build(config: ModelConfig, motions: int, frames: int, seed: int) -> Network:
    """Return a network with random weights, on the CPU."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return Network(config, motions, frames)


def save(network: Network, config: ModelConfig, frames: int, folder: Path) -> None:
    """Write the encoder in transformers' format, in fp16, into an existing folder.

    The heads are left out, but not the norm before the classes'.
    """
    sizes = transformers_config(architecture(config), ClipSize(frames=frames, size=config.size))
    sizes.architectures = ["VideoMAEForVideoClassification"]
    setattr(sizes, INPUT_KEY, INPUT)
    with quiet_transformers():
        sizes.save_pretrained(folder)
    state = {
        name: value.half().cpu().contiguous()
        for name, value in network.encoder.state_dict().items()
        if not name.startswith("classifier.")
    }
    save_file(state, folder / WEIGHTS, metadata={"format": "pt"})
