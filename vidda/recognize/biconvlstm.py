"""BiConvLSTM: a convolutional LSTM over frame features, forwards and backwards in time.

Hanson, Pnvr, Krishnagopal, Davis: Bidirectional Convolutional LSTM for the Detection of Violence in
Videos, ECCV Workshops 2018. The paper's model is the default: VGG13 without its last pooling on the
differences of adjacent 224x224 frames, 512 channels, four linear layers.
"""

from typing import Literal

import torch
from einops import rearrange
from pydantic import Field
from torch import nn

from vidda.config import Config, Count
from vidda.recognize.clip_requirements import ClipRequirements
from vidda.recognize.frame_trunk import FrameTrunk, TorchvisionTrunkConfig, TrunkConfig
from vidda.recognize.framewise import Framewise
from vidda.recognize.recognizer import RecognizerConfig

Input = Literal["frames", "differences", "both"]


class FlatHeadConfig(Config):
    """The paper's head: the flattened feature map, then linear layers with tanh between."""

    name: Literal["flat"] = "flat"
    grid: int = Field(
        default=14, ge=1, description="cells per side that the feature map is averaged to"
    )
    hidden: tuple[Count, ...] = Field(
        default=(1000, 256, 10), description="widths of the hidden layers before the last layer"
    )

    def build(self, channels: int) -> tuple[nn.Module, int]:
        """Return layers from a (B, channels, H, W) input to (B, D) features, and D."""
        width = channels * self.grid**2
        layers: list[nn.Module] = [AverageToGrid(self.grid), nn.Flatten()]
        for after in self.hidden:
            layers += [nn.Linear(width, after), nn.Tanh()]
            width = after
        return nn.Sequential(*layers), width


class PooledHeadConfig(Config):
    """The spatial average of the feature map: small, and without positions."""

    name: Literal["pooled"] = "pooled"

    @property
    def grid(self) -> int:
        """The cells per side that the feature map is averaged to."""
        return 1

    def build(self, channels: int) -> tuple[nn.Module, int]:
        """Return layers from a (B, channels, H, W) input to (B, D) features, and D."""
        return nn.Sequential(AverageToGrid(1), nn.Flatten()), channels


class BiConvLstmConfig(RecognizerConfig):
    """BiConvLSTM (Hanson et al., ECCV Workshops 2018) on any convolutional trunk."""

    name: Literal["biconvlstm"] = "biconvlstm"
    trunk: TrunkConfig = Field(
        default=TorchvisionTrunkConfig(), description="network that encodes each frame"
    )
    input: Input = Field(
        default="differences",
        description="input of the trunk: frames, differences of adjacent frames, or both stacked",
    )
    standardize: bool = Field(
        default=False,
        description="scale each channel of each clip to mean 0 and deviation 1 before the trunk",
    )
    hidden: Count = Field(default=512, description="channels of the ConvLSTM's state")
    head: FlatHeadConfig | PooledHeadConfig = Field(
        default=FlatHeadConfig(),
        discriminator="name",
        description="layers from the feature map to the features",
    )
    dropout: float = Field(
        default=0.0, ge=0, lt=1, description="dropout rate before the last layer"
    )

    def check_input(self, frames: int, height: int, width: int) -> None:
        """Raise ViddaError when clips of this many frames and pixels do not fit."""
        fewest = 1 if self.input == "frames" else 2
        requirements = ClipRequirements(fewest, self.trunk.stride * self.head.grid)
        requirements.check(self.name, frames, height, width)

    def without_weights(self) -> "BiConvLstmConfig":
        """Return the same architecture without initial weights, for loading a checkpoint of
        vidda.
        """
        return self.model_copy(update={"trunk": self.trunk.without_weights()})

    def build(self, classes: int) -> "BiConvLstm":
        """Return a recognizer of `classes` classes; raises ViddaError when its weights cannot be
        loaded.
        """
        trunk = self.trunk.build(6 if self.input == "both" else 3)
        return BiConvLstm(self, trunk, classes)


class BiConvLstm(Framewise):
    """The trunk, a bidirectional ConvLSTM, the maximum over time, and the head.

    A time step is a step of the LSTM. The states are (B, T', hidden, H, W).
    """

    lower_prefixes = ("trunk.", "lstm.")

    def __init__(self, config: BiConvLstmConfig, trunk: FrameTrunk, classes: int) -> None:
        super().__init__()
        self.input = config.input
        self.standardize = config.standardize
        self.frame_dim = config.hidden
        # The names of modules are keys of saved checkpoints.
        self.trunk = trunk
        self.lstm = BiConvLstmLayer(trunk.channels, config.hidden)
        self.norm = nn.BatchNorm2d(config.hidden)
        self.head, width = config.head.build(config.hidden)
        self.dropout = nn.Dropout(config.dropout)
        self.classifier = nn.Linear(width, classes)
        with_weights = {name.partition(".")[0]: None for name, _ in trunk.named_parameters()}
        self.stages = tuple(f"trunk.{layer}." for layer in with_weights)

    def states(self, video: torch.Tensor) -> torch.Tensor:
        clips = self._trunk_input(video)
        frames = rearrange(clips, "b c t h w -> (b t) c h w")
        maps = self.trunk(frames.contiguous(memory_format=torch.channels_last))
        by_clip = rearrange(maps, "(b t) c h w -> b t c h w", t=clips.shape[2])
        states: torch.Tensor = self.lstm(by_clip)
        return states

    def frames(self, states: torch.Tensor) -> torch.Tensor:
        return states.mean((3, 4))

    def pooled(self, states: torch.Tensor) -> torch.Tensor:
        return self.dropout(self.head(self.norm(states.amax(1).relu())))

    def _trunk_input(self, video: torch.Tensor) -> torch.Tensor:
        """Return the input of the trunk, (B, C or 2C, T or T - 1, H, W).

        video: (B, C, T, H, W).
        """
        if self.input != "frames":
            differences = video.diff(dim=2)
            both = self.input == "both"
            video = torch.cat([video[:, :, 1:], differences], dim=1) if both else differences
        if not self.standardize:
            return video
        # Epsilon is for a channel that is all the same, which becomes 0. It is an instance norm,
        # which takes twice as long under its own name.
        return nn.functional.layer_norm(video, video.shape[2:], eps=1e-10)


class BiConvLstmLayer(nn.Module):
    """A ConvLSTM cell run in both directions, and a convolution of both states of each step.

    Gates are in the order input, forget, output, candidate. Both directions share the cell, so they
    run as one batch, and the input's part of the gates is computed for all steps at once.
    """

    def __init__(self, channels: int, hidden: int) -> None:
        super().__init__()
        self.from_input = nn.Conv2d(channels, 4 * hidden, 3, padding=1)
        self.from_state = nn.Conv2d(hidden, 4 * hidden, 3, padding=1, bias=False)
        self.merge = nn.Conv2d(2 * hidden, hidden, 3, padding=1)

    def forward(self, maps: torch.Tensor) -> torch.Tensor:
        """Return the states of all steps, (B, T, hidden, H, W), from maps (B, T, channels,
        H, W).
        """
        gates = _each_step(self.from_input, maps)
        states = self._run(torch.cat([gates, gates.flip(1)]))
        forwards, backwards = rearrange(states, "(both b) t c h w -> both b t c h w", both=2)
        return _each_step(self.merge, torch.cat([forwards, backwards.flip(1)], dim=2))

    def _run(self, gates: torch.Tensor) -> torch.Tensor:
        """Return the state after each step, (N, T, hidden, H, W), from gates (N, T, 4 hidden, H, W)
        and a zero state.
        """
        steps = gates.unbind(1)
        state, memory = _lstm_step(steps[0], None)
        states = [state]
        for step in steps[1:]:
            state, memory = _lstm_step(step + self.from_state(state), memory)
            states.append(state)
        return torch.stack(states, dim=1)


def _each_step(layer: nn.Module, maps: torch.Tensor) -> torch.Tensor:
    """Return a layer's output for each step, (B, T, C', H, W), from maps (B, T, C, H, W)."""
    out = layer(rearrange(maps, "b t c h w -> (b t) c h w"))
    return rearrange(out, "(b t) c h w -> b t c h w", t=maps.shape[1])


def _lstm_step(
    gates: torch.Tensor, memory: torch.Tensor | None
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the state and the memory after one step of an LSTM; a memory of None is zero."""
    into, forget, out, candidate = gates.chunk(4, dim=1)
    fresh = into.sigmoid() * candidate.tanh()
    memory = fresh if memory is None else torch.addcmul(fresh, forget.sigmoid(), memory)
    return out.sigmoid() * memory.tanh(), memory


class AverageToGrid(nn.Module):
    """Average pooling of a map to `grid` x `grid` cells; a map of that size stays as it is."""

    def __init__(self, grid: int) -> None:
        super().__init__()
        self.grid = grid

    def forward(self, maps: torch.Tensor) -> torch.Tensor:
        """Return maps of (B, C, grid, grid), from (B, C, H, W)."""
        if maps.shape[-2:] == (self.grid, self.grid):
            return maps
        return nn.functional.adaptive_avg_pool2d(maps, self.grid)
