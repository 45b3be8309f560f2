"""VideoMAE (Tong et al., 2022, arXiv 2203.12602) as a recognizer, on transformers' own modules."""

import logging
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self

import torch
from pydantic import Field, model_validator
from torch import nn
from torchvision.ops import StochasticDepth

from vidda.errors import ViddaError
from vidda.recognize.clip_requirements import Needs
from vidda.recognize.framewise import Framewise
from vidda.recognize.motion_input import VideoInput, motion
from vidda.recognize.positions import set_positions
from vidda.recognize.pretrained_weights import Head, check_head
from vidda.recognize.recognizer import RecognizerConfig
from vidda.recognize.videomae_start import (
    ClipSize,
    StartConfig,
    VideoMaeScratch,
    architecture,
    check_seen,
    load_folder,
    transformers_config,
)

if TYPE_CHECKING:
    from transformers import VideoMAEConfig, VideoMAEForVideoClassification

log = logging.getLogger("vidda")


class VideoMaeConfig(RecognizerConfig):
    """VideoMAE with the mean of all tokens classified, from nothing, a folder or the hub.

    Where frames or size differ from the start's, its positions are stretched in time and space.
    """

    name: Literal["videomae"] = "videomae"
    frames: int = Field(default=16, ge=1, description="frames of a clip")
    size: int = Field(default=224, ge=1, description="height and width of a clip, in pixels")
    start: StartConfig = Field(default=VideoMaeScratch(), description="the weights to begin with")
    input: VideoInput = Field(
        default="rgb", description="what the encoder sees; motion learns far faster from nothing"
    )
    head: Head = "new"
    drop_path: float = Field(
        default=0.1, ge=0, lt=1, description="rate at which the last layer is skipped in training"
    )

    @model_validator(mode="after")
    def _a_loaded_head_has_weights(self) -> Self:
        check_head(self.head, None if isinstance(self.start, VideoMaeScratch) else self.start)
        return self

    def check_input(self, frames: int, height: int, width: int) -> None:
        """Raise ViddaError when clips of this length and size do not fit."""
        Needs(self.frames, self.size, exact=True).check(self.name, frames, height, width)

    def without_weights(self) -> "VideoMaeConfig":
        """Return the same architecture, to be filled from a checkpoint of vidda; reads
        its folder.
        """
        return self.model_copy(update={"start": architecture(self.start), "head": "new"})

    def build(self, classes: int) -> "VideoMae":
        """Return a recognizer of so many classes; raises ViddaError when its weights cannot be
        loaded.
        """
        from transformers import VideoMAEForVideoClassification

        sizes, clip = architecture(self.start), ClipSize(frames=self.frames, size=self.size)
        check_seen(self.start, self.input)
        config = transformers_config(sizes, clip)
        config.num_labels = classes
        if isinstance(self.start, VideoMaeScratch):
            model = VideoMAEForVideoClassification(config)
        else:
            model = _load(self.start.find(), config, self.head)
        set_positions(model.videomae.embeddings, sizes.width, sizes, clip)
        return VideoMae(model, self.input, self.drop_path)


class VideoMae(Framewise):
    """The parts of transformers' VideoMAEForVideoClassification, under its names of parameters.

    A moment is the mean of the tokens of one time, so of a tubelet's frames.
    """

    lower = ("videomae.",)
    state_dims = 2

    def __init__(
        self, model: "VideoMAEForVideoClassification", seen: VideoInput, drop_path: float
    ) -> None:
        super().__init__()
        assert isinstance(model.classifier, nn.Linear) and model.fc_norm is not None
        self.input = seen
        self.videomae = model.videomae
        self.fc_norm = model.fc_norm
        self.classifier = model.classifier
        sizes = self.videomae.config
        self.frame_dim = sizes.hidden_size
        self.moments = sizes.num_frames // sizes.tubelet_size
        layers = self.videomae.encoder.layer
        self.stages = (
            "videomae.embeddings.",
            *(f"videomae.encoder.layer.{i}." for i in range(len(layers))),
        )
        for i, layer in enumerate(layers):
            _add_drop_path(layer, drop_path * i / max(len(layers) - 1, 1))

    def states(self, video: torch.Tensor) -> torch.Tensor:
        seen = motion(video) if self.input == "motion" else video
        tokens: torch.Tensor = self.videomae(seen.transpose(1, 2)).last_hidden_state
        return tokens

    def frames(self, states: torch.Tensor) -> torch.Tensor:
        return states.unflatten(1, (self.moments, -1)).mean(2)

    def pooled(self, states: torch.Tensor) -> torch.Tensor:
        return self.fc_norm(states.mean(1))


def _add_drop_path(layer: Any, rate: float) -> None:
    """Let a layer's two residual branches be skipped at random, clip by clip.

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
            f" another shape than its config.json says (first {min(missing | wrong)})"
        )
    if head == "loaded":
        _require_head(folder, info, classifier.out_features)
        return model
    nn.init.normal_(classifier.weight, std=0.02)
    nn.init.zeros_(classifier.bias)
    log.info("%s: the encoder is loaded, a new head is started", folder)
    return model


def _require_head(folder: Path, info: dict[str, set[Any]], classes: int) -> None:
    for name, known, _ in info["mismatched_keys"]:
        if name == "classifier.weight":
            raise ViddaError(
                f"{folder}: its head knows {known[0]} classes, the data has {classes};"
                " head=new starts a new one"
            )
    if info["missing_keys"]:
        raise ViddaError(
            f"{folder}: has no head of a classifier ({min(info['missing_keys'])} is missing);"
            " head=new starts one"
        )
