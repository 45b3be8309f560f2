"""Where a VideoMAE starts from: nothing, a folder as transformers writes it, or a hub name."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeVar

import torch
from pydantic import Field
from safetensors import SafetensorError

from vidda.config import Config
from vidda.errors import ViddaError
from vidda.recognize.motion_input import VideoInput
from vidda.weights import hub_folder

if TYPE_CHECKING:  # transformers takes seconds to import
    from transformers import PreTrainedModel, VideoMAEConfig

    M = TypeVar("M", bound=PreTrainedModel)

Count = Annotated[int, Field(ge=1)]

KEY = "model.start"
"""Of these configs in those of vidda train, for messages."""
SEEN = "vidda_input"
"""The key of a folder's config.json that says which input vidda pre-trained it on."""

# What all published VideoMAEs share; a checkpoint that differs is refused rather than misread.
_SHARED = {
    "num_channels": 3,
    "hidden_act": "gelu",
    "layer_norm_eps": 1e-12,
    "qkv_bias": True,  # the name in published files
    "qv_bias": True,
}


class ClipSize(Config):
    """The length and size of a clip."""

    frames: Count = Field(default=16, description="frames of the clip")
    size: Count = Field(default=224, description="height and width, in pixels")


class VideoMaeScratch(Config):
    """Random weights in sizes of one's choice; the defaults are VideoMAE-B's."""

    name: Literal["scratch"] = "scratch"
    patch: Count = Field(default=16, description="height and width of a patch, in pixels")
    tubelet: Count = Field(default=2, description="frames of a patch")
    width: Count = Field(default=768, description="of a token; a multiple of `heads`")
    layers: Count = Field(default=12, description="of the encoder")
    heads: Count = Field(default=12, description="of attention")
    mlp: Count = Field(default=3072, description="hidden width between attentions")
    init: float = Field(
        default=0.02, gt=0, description="deviation of the random weights; narrow ones want more"
    )
    positions: ClipSize | None = Field(
        default=None, description="clip whose positions are stretched to this one's; null: its own"
    )


class VideoMaeFolder(Config):
    """A folder with config.json and *.safetensors, as transformers' save_pretrained writes it."""

    name: Literal["folder"] = "folder"
    path: Path = Field(description="the folder")

    def find(self) -> Path:
        """Return the folder; raises ViddaError when it is not there or has no weights."""
        if not (self.path / "config.json").is_file():
            raise ViddaError(f"{self.path}: no folder with a config.json; correct start.path")
        if not any(self.path.glob("*.safetensors")):
            pickled = [file.name for file in sorted(self.path.glob("*.bin"))]
            also = f" ({pickled[0]} is a pickle, which vidda does not load)" if pickled else ""
            raise ViddaError(
                f"{self.path}: no weights in it{also}; name a folder with *.safetensors"
            )
        return self.path


class VideoMaeHub(Config):
    """A model of the Hugging Face hub, from its cache on this machine."""

    name: Literal["hub"] = "hub"
    repo: str = Field(description="owner/name, for instance MCG-NJU/videomae-base")
    revision: str | None = Field(default=None, description="branch, tag or commit; null: main")
    download: bool = Field(default=False, description="fetch what the cache lacks")

    def find(self) -> Path:
        """Return the folder in the cache; raises ViddaError when it is not there or cannot be
        fetched.
        """
        wanted, fetch = ("config.json", "*.safetensors"), f"{KEY}.download=true"
        folder = hub_folder(self.repo, self.revision, wanted, KEY, self.download, fetch)
        return VideoMaeFolder(path=folder).find()


StartConfig = Annotated[VideoMaeScratch | VideoMaeFolder | VideoMaeHub, Field(discriminator="name")]


def architecture(start: VideoMaeScratch | VideoMaeFolder | VideoMaeHub) -> VideoMaeScratch:
    """Return the sizes of a start; raises ViddaError when a folder cannot be read as a VideoMAE."""
    return start if isinstance(start, VideoMaeScratch) else _read_architecture(start.find())


def check_seen(start: VideoMaeScratch | VideoMaeFolder | VideoMaeHub, seen: VideoInput) -> None:
    """Raise ViddaError when a start has learned from another input than `seen`."""
    if isinstance(start, VideoMaeScratch):
        return
    file = start.find() / "config.json"
    try:
        learned = json.loads(file.read_text(encoding="utf-8")).get(SEEN, "rgb")
    except (ValueError, AttributeError) as error:
        raise ViddaError(f"{file}: damaged ({error}); copy the folder again") from None
    if learned != seen:
        raise ViddaError(f"{file.parent}: has learned from input {learned}; set input: {learned}")


def transformers_config(sizes: VideoMaeScratch, clip: ClipSize) -> "VideoMAEConfig":
    """transformers' config of a model of these sizes, for clips of this size.

    Raises ViddaError, naming every mistake, when the sizes do not divide each other.
    """
    from transformers import VideoMAEConfig

    problems = [
        f"{what} {whole} is not a multiple of {of} {part}"
        for what, whole, of, part in (
            ("frames", clip.frames, "start.tubelet", sizes.tubelet),
            ("size", clip.size, "start.patch", sizes.patch),
            ("start.width", sizes.width, "start.heads", sizes.heads),
        )
        if whole % part
    ]
    if problems:
        raise ViddaError("\n".join(f"videomae: {problem}" for problem in problems))
    return VideoMAEConfig(
        num_frames=clip.frames,
        image_size=clip.size,
        patch_size=sizes.patch,
        tubelet_size=sizes.tubelet,
        hidden_size=sizes.width,
        num_hidden_layers=sizes.layers,
        num_attention_heads=sizes.heads,
        intermediate_size=sizes.mlp,
        initializer_range=sizes.init,
    )


def load_folder(
    model: "type[M]", folder: Path, config: "VideoMAEConfig"
) -> "tuple[M, dict[str, set[Any]]]":
    """Return a model of transformers with a folder's weights in float32, and which names did not
    match.

    Only safetensors are read and nothing is fetched. Raises ViddaError when they cannot be read.
    """
    with quiet():
        try:
            loaded: Any = model.from_pretrained(
                folder,
                config=config,
                dtype=torch.float32,
                use_safetensors=True,
                local_files_only=True,
                ignore_mismatched_sizes=True,
                output_loading_info=True,
            )
            return loaded
        except (SafetensorError, OSError, ValueError, RuntimeError) as error:
            reason = str(error).partition("\n")[0]
            raise ViddaError(
                f"{folder}: its weights cannot be read ({reason}); copy the folder again"
            ) from None


def _read_architecture(folder: Path) -> VideoMaeScratch:
    from transformers import VideoMAEConfig

    file = folder / "config.json"
    try:
        content = VideoMAEConfig().to_dict() | json.loads(file.read_text(encoding="utf-8"))
        if content["model_type"] != "videomae":
            raise ViddaError(f"{file}: model_type is {content['model_type']!r}, not 'videomae'")
        size = ClipSize(frames=content["num_frames"], size=content["image_size"])
        sizes = VideoMaeScratch(
            patch=content["patch_size"],
            tubelet=content["tubelet_size"],
            width=content["hidden_size"],
            layers=content["num_hidden_layers"],
            heads=content["num_attention_heads"],
            mlp=content["intermediate_size"],
            positions=size,
        )
    except (ValueError, TypeError, OSError) as error:
        reason = " ".join(str(error).split())
        raise ViddaError(f"{file}: not a VideoMAE's config: {reason}") from None
    for key, value in _SHARED.items():
        if content.get(key, value) != value:
            raise ViddaError(f"{file}: {key} is {content[key]}; vidda runs VideoMAEs with {value}")
    return sizes


@contextmanager
def quiet() -> Iterator[None]:
    """Without transformers' own table of names and progress bars: vidda says what matters."""
    from transformers.utils import logging as theirs

    verbosity, bars = theirs.get_verbosity(), theirs.is_progress_bar_enabled()
    theirs.set_verbosity_error()
    theirs.disable_progress_bar()
    try:
        yield
    finally:
        theirs.set_verbosity(verbosity)
        if bars:
            theirs.enable_progress_bar()
