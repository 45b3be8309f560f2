"""VideoMAE (Tong et al., 2022, arXiv 2203.12602) as a recognizer, on transformers' modules."""

import logging
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self

import torch
from einops import rearrange
from pydantic import Field, model_validator
from torch import nn
from torchvision.ops import StochasticDepth

from vidda.errors import ViddaError
from vidda.recognize.clip_requirements import ClipRequirements
from vidda.recognize.framewise import Framewise
from vidda.recognize.motion_input import VideoInput, motion_channels
from vidda.recognize.positions import set_positions
from vidda.recognize.pretrained_weights import Head, check_head
from vidda.recognize.recognizer import RecognizerConfig
from vidda.recognize.videomae_start import (
    ClipSize,
    VideoMaeScratch,
    VideoMaeStartConfig,
    architecture,
    check_start_input,
    load_folder,
    transformers_config,
)

if TYPE_CHECKING:
    from transformers import VideoMAEConfig, VideoMAEForVideoClassification

log = logging.getLogger("vidda")


class VideoMaeConfig(RecognizerConfig):
    """VideoMAE that classifies the mean of all tokens, from nothing, a folder or the hub.

    Where frames or size differ from the start's, its position embeddings are interpolated in time
    and space.
    """

    name: Literal["videomae"] = "videomae"
    frames: int = Field(default=16, ge=1, description="frames of a clip")
    size: int = Field(default=224, ge=1, description="height and width of a clip, in pixels")
    start: VideoMaeStartConfig = Field(default=VideoMaeScratch(), description="initial weights")
    input: VideoInput = Field(
        default="rgb",
        description="input of the encoder; motion learns much faster than rgb from scratch",
    )
    head: Head = "new"
    drop_path: float = Field(
        default=0.1,
        ge=0,
        lt=1,
        description="stochastic depth: rate at which the last layer is skipped in training",
    )

    @model_validator(mode="after")
    def _a_loaded_head_has_weights(self) -> Self:
        check_head(self.head, None if isinstance(self.start, VideoMaeScratch) else self.start)
        return self

    def check_input(self, frames: int, height: int, width: int) -> None:
        """Raise ViddaError when clips of this many frames and pixels do not fit."""
        ClipRequirements(self.frames, self.size, exact=True).check(self.name, frames, height, width)

    def without_weights(self) -> "VideoMaeConfig":
        """Return the same architecture without initial weights, for loading a checkpoint of vidda.

        Raises ViddaError when the folder of `start` cannot be read.
        """
        return self.model_copy(update={"start": architecture(self.start), "head": "new"})

    def build(self, classes: int) -> "VideoMae":
        """Return a recognizer of `classes` classes; raises ViddaError when its weights cannot be
        loaded.
        """
        from transformers import VideoMAEForVideoClassification

        sizes, clip = architecture(self.start), ClipSize(frames=self.frames, size=self.size)
        check_start_input(self.start, self.input)
        config = transformers_config(sizes, clip)
        config.num_labels = classes
        if isinstance(self.start, VideoMaeScratch):
            model = VideoMAEForVideoClassification(config)
        else:
            model = _load(self.start.find(), config, self.head)
        set_positions(model.videomae.embeddings, sizes.width, sizes, clip)
        return VideoMae(model, self.input, self.drop_path)


class VideoMae(Framewise):
    """The modules of transformers' VideoMAEForVideoClassification, with its names of parameters.

    A time step is the mean of the tokens of one time, that is of the frames of a tubelet. The
    states are tokens, (B, N, D).
    """

    lower_prefixes = ("videomae.",)

    def __init__(
        self, model: "VideoMAEForVideoClassification", video_input: VideoInput, drop_path: float
    ) -> None:
        super().__init__()
        assert isinstance(model.classifier, nn.Linear) and model.fc_norm is not None
        self.input = video_input
        self.videomae = model.videomae
        self.fc_norm = model.fc_norm
        self.classifier = model.classifier
        sizes = self.videomae.config
        self.frame_dim = sizes.hidden_size
        self.time_steps = sizes.num_frames // sizes.tubelet_size
        layers = self.videomae.encoder.layer
        self.stages = (
            "videomae.embeddings.",
            *(f"videomae.encoder.layer.{i}." for i in range(len(layers))),
        )
        for i, layer in enumerate(layers):
            _add_drop_path(layer, drop_path * i / max(len(layers) - 1, 1))

    def states(self, video: torch.Tensor) -> torch.Tensor:
        channels = motion_channels(video) if self.input == "motion" else video
        frames = rearrange(channels, "b c t h w -> b t c h w")
        tokens: torch.Tensor = self.videomae(frames).last_hidden_state
        return tokens

    def frames(self, states: torch.Tensor) -> torch.Tensor:
        return rearrange(states, "b (t n) d -> b t n d", t=self.time_steps).mean(2)

    def pooled(self, states: torch.Tensor) -> torch.Tensor:
        return self.fc_norm(states.mean(1))


def _add_drop_path(layer: Any, rate: float) -> None:
    """Let a layer's two residual branches be skipped at random, clip by clip (stochastic depth).

    Both branches of transformers' layer end in a Dropout of rate 0 just before they are added.
    """
    layer.attention.output.dropout = StochasticDepth(rate, "row")
    layer.output.dropout = StochasticDepth(rate, "row")


def _load(
    folder: Path, config: "VideoMAEConfig", head: Literal["new", "loaded"]
) -> "VideoMAEForVideoClassification":
    """Return a classifier with the encoder of a folder, and with its head or a new one."""
    from transformers import VideoMAEForVideoClassification

    model, info = load_folder(VideoMAEForVideoClassification, folder, config)
    classifier: Any = model.classifier
    own_head = ("fc_norm.", "classifier.")
    missing = {name for name in info["missing_keys"] if not name.startswith(own_head)}
    wrong = {n for n, *_ in info["mismatched_keys"] if not n.startswith(own_head)}
    if missing or wrong:
        raise ViddaError(
            f"{folder}: {len(missing) + len(wrong)} of the encoder's weights are missing or of"
            f" another shape than in its config.json (first {min(missing | wrong)});"
            " copy the folder again"
        )
    if head == "loaded":
        _require_head(folder, info, classifier.out_features)
        return model
    nn.init.normal_(classifier.weight, std=0.02)
    nn.init.zeros_(classifier.bias)
    log.info("%s: loaded the encoder; the head is new", folder)
    return model


def _require_head(folder: Path, info: dict[str, set[Any]], classes: int) -> None:
    for name, known, _ in info["mismatched_keys"]:
        if name == "classifier.weight":
            raise ViddaError(
                f"{folder}: its head has {known[0]} classes, but the data has {classes};"
                " set head=new for a new one"
            )
    if info["missing_keys"]:
        raise ViddaError(
            f"{folder}: has no classification head ({min(info['missing_keys'])} is missing);"
            " set head=new for a new one"
        )
