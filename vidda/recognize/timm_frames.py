"""Any image network of timm on each frame, then an average or a GRU over time."""

import logging
from difflib import get_close_matches
from typing import Any, ClassVar, Literal

import torch
from einops import rearrange
from pydantic import Field, field_validator
from torch import nn

from vidda.config import Config, Count
from vidda.control.weight_file import read_state_dict
from vidda.data.transforms import NORMALIZATIONS
from vidda.recognize.clip_requirements import ClipRequirements
from vidda.recognize.framewise import Framewise
from vidda.recognize.pretrained_weights import load_state
from vidda.recognize.recognizer import RecognizerConfig
from vidda.weights import SourceConfig, find_file

log = logging.getLogger("vidda")


class TimmWeightsConfig(Config):
    """Weights of the image network, with timm's parameter names, as safetensors."""

    source: SourceConfig = Field(
        description="folder or file, or repository of the hub such as timm/resnet18.a1_in1k; vidda"
        " weights efficientnet_lite0 fetches the folder of tf_efficientnet_lite0"
    )
    download: bool = Field(default=False, description="fetch what the hub's cache lacks")

    def load(self, trunk: nn.Module, last_layers: tuple[str, ...]) -> str:
        """Load the weights into a network without its last layer; return the file's path.

        last_layers: prefixes of the names of what the file has besides. Raises ViddaError when
        there is no such file, or it is of another network.
        """
        path = find_file(
            self.source, "model.weights.source", None, "model.safetensors", self.download
        )
        state = read_state_dict(path, "model.weights.source")
        load_state(trunk, state, str(path), ignore=last_layers)
        return str(path)


class MeanPoolingConfig(Config):
    """The average over frames, without weights and without order in time (TSN)."""

    name: Literal["mean"] = "mean"

    def build(self, width: int) -> tuple[nn.Module, int]:
        """Return a module from (B, T, width) to (B, D) features, and D."""
        return MeanPooling(), width


class GruPoolingConfig(Config):
    """A GRU over the frames in both directions, whose last states are joined."""

    name: Literal["gru"] = "gru"
    hidden: Count = Field(default=256, description="width of the state of each direction")

    def build(self, width: int) -> tuple[nn.Module, int]:
        """Return a module from (B, T, width) to (B, D) features, and D."""
        return GruPooling(width, self.hidden), 2 * self.hidden


class TimmFramesConfig(RecognizerConfig):
    """An image network of timm on each frame, pooled over time.

    With the mean it is TSN (Wang et al., ECCV 2016, average consensus of the features); with the
    GRU a recurrent network over a convolutional one (LRCN, Donahue et al., CVPR 2015, has an LSTM).
    """

    name: Literal["timm"] = "timm"
    arch: str = Field(
        default="resnet18",
        description="architecture, by timm's name: resnet18, convnext_tiny, vit_small_patch16_224;"
        " most transformers take clips of one size only",
    )
    weights: TimmWeightsConfig | None = Field(
        default=None,
        description="pre-trained weights, which need the transform.normalize that the log names;"
        " null: train from scratch",
    )
    pooling: MeanPoolingConfig | GruPoolingConfig = Field(
        default=MeanPoolingConfig(),
        discriminator="name",
        description="from the features of frames to those of the clip",
    )
    dropout: float = Field(
        default=0.0, ge=0, lt=1, description="dropout rate before the last layer"
    )

    @field_validator("arch")
    @classmethod
    def _is_known(cls, arch: str) -> str:
        import timm

        bare = arch.partition(".")[0]
        if not timm.is_model(bare):
            near = ", ".join(get_close_matches(bare, timm.list_models()))
            remedy = f"did you mean {near}?" if near else "timm.list_models() lists them"
            raise ValueError(f"timm has no architecture {bare!r}; {remedy}")
        try:
            _facts(arch)
        except RuntimeError as error:  # of a tag, as in resnet18.a1_in1k
            raise ValueError(f"{error} Leave the tag out: weights names the file") from None
        return arch

    def check_input(self, frames: int, height: int, width: int) -> None:
        """Raise ViddaError when clips of this many frames and pixels do not fit."""
        facts = _facts(self.arch)
        if facts.fixed_input_size:
            needs = ClipRequirements(frames, facts.input_size[-1], exact=True)
        else:
            needs = ClipRequirements(1, facts.min_input_size[-1] if facts.min_input_size else 32)
        needs.check(self.arch, frames, height, width)

    def without_weights(self) -> "TimmFramesConfig":
        """Return the same architecture without initial weights, for loading a checkpoint of
        vidda.
        """
        return self.model_copy(update={"weights": None})

    def build(self, classes: int) -> "TimmFrames":
        """Return a recognizer of `classes` classes; raises ViddaError when its weights cannot be
        loaded.
        """
        import timm

        facts = _facts(self.arch)
        trunk = timm.create_model(self.arch, pretrained=False, num_classes=0)
        if self.weights is not None:
            last = facts.classifier
            last_layers = (last,) if isinstance(last, str) else tuple(last or ())
            path = self.weights.load(trunk, last_layers)
            log.info("%s: loaded without its last layer; %s", path, _normalization(facts))
        return TimmFrames(self, trunk, classes)


class MeanPooling(nn.Module):
    """The average over time."""

    def forward(self, frames: torch.Tensor) -> torch.Tensor:
        """Return features (B, D) of the clips, from those of their frames (B, T, D)."""
        return frames.mean(1)


class GruPooling(nn.Module):
    """A bidirectional GRU. width: of a frame's features. hidden: of the state of a direction."""

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.gru = nn.GRU(width, hidden, batch_first=True, bidirectional=True)

    def forward(self, frames: torch.Tensor) -> torch.Tensor:
        """Return the last states of both directions, (B, 2 hidden), from (B, T, width)."""
        _, last = self.gru(frames)
        return rearrange(last, "directions b hidden -> b (directions hidden)")


class TimmFrames(Framewise):
    """The recognizer of `TimmFramesConfig`; a time step is a frame.

    trunk: of timm, without its last layer, from images (N, 3, H, W) to features (N, D').
    """

    lower_prefixes: ClassVar[tuple[str, ...]] = ("trunk.",)

    def __init__(self, config: TimmFramesConfig, trunk: Any, classes: int) -> None:
        from timm.models import group_parameters

        super().__init__()
        self.trunk: nn.Module = trunk
        self.frame_dim = trunk.head_hidden_size
        self.pooling, width = config.pooling.build(self.frame_dim)
        self.dropout = nn.Dropout(config.dropout)
        self.classifier = nn.Linear(width, classes)
        # timm's own depths: a prefix for each would not do for all of its networks.
        depths = group_parameters(trunk, trunk.group_matcher(coarse=False), reverse=True)
        self._depths = {f"trunk.{name}": depth for name, depth in depths.items()}

    @property
    def depth(self) -> int:
        """The depth of the head; the first layers have depth 0."""
        return max(self._depths.values()) + 1

    def depth_of(self, parameter: str) -> int:
        """Return the depth of a parameter by its name, as timm counts for its layer decay."""
        return self._depths.get(parameter, self.depth)

    def states(self, video: torch.Tensor) -> torch.Tensor:
        images = rearrange(video, "b c t h w -> (b t) c h w")
        return rearrange(self.trunk(images), "(b t) d -> b t d", t=video.shape[2])

    def frames(self, states: torch.Tensor) -> torch.Tensor:
        return states

    def pooled(self, states: torch.Tensor) -> torch.Tensor:
        return self.dropout(self.pooling(states))


def _facts(arch: str) -> Any:
    """Return what timm knows of an architecture: its input, last layer and normalization.

    Raises RuntimeError where it has no such architecture.
    """
    import timm

    return timm.get_pretrained_cfg(arch, allow_unregistered=False)


def _normalization(facts: Any) -> str:
    """Return which normalization the weights expect, for the log."""
    expected = (tuple(facts.mean), tuple(facts.std))
    for name, (mean, deviation) in NORMALIZATIONS.items():
        if expected == (tuple(mean), tuple(deviation)):
            return f"it expects transform.normalize={name}"
    return f"it expects mean {expected[0]} and deviation {expected[1]}, which no normalize has"
