"""The initial weights of a VideoMAE: random, from a folder of transformers, or from the hub."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeVar

import torch
from pydantic import Field
from safetensors import SafetensorError

from vidda.config import Config, Count
from vidda.errors import ViddaError
from vidda.files import resolve_builtin
from vidda.recognize.motion_input import VideoInput
from vidda.weights import hub_folder

if TYPE_CHECKING:  # transformers takes seconds to import
    from transformers import PreTrainedModel, VideoMAEConfig

    M = TypeVar("M", bound=PreTrainedModel)


START_KEY = "model.start"
"""Key of these configs in that of vidda train, for messages."""
INPUT_KEY = "vidda_input"
"""Key in a folder's config.json of the input that vidda pre-trained on."""

# All published VideoMAEs have these values; a checkpoint that differs is refused, not misread.
_REQUIRED_VALUES = {
    "num_channels": 3,
    "hidden_act": "gelu",
    "layer_norm_eps": 1e-12,
    "qkv_bias": True,  # the name in published files
    "qv_bias": True,
}


class ClipSize(Config):
    """The number of frames and the size of a clip."""

    frames: Count = Field(default=16, description="frames of a clip")
    size: Count = Field(default=224, description="height and width of a clip, in pixels")


class VideoMaeScratch(Config):
    """Random weights of an architecture with these sizes; the defaults are VideoMAE-B's."""

    name: Literal["scratch"] = "scratch"
    patch: Count = Field(default=16, description="height and width of a patch, in pixels")
    tubelet: Count = Field(default=2, description="frames of a patch")
    width: Count = Field(default=768, description="width of a token; a multiple of `heads`")
    layers: Count = Field(default=12, description="transformer layers of the encoder")
    heads: Count = Field(default=12, description="attention heads of a layer")
    mlp: Count = Field(default=3072, description="hidden width of a layer's MLP")
    init: float = Field(
        default=0.02,
        gt=0,
        description="deviation of the random weights; narrow models need a larger one",
    )
    positions: ClipSize | None = Field(
        default=None,
        description="clip size whose position embeddings are interpolated; null: the model's own",
    )


class VideoMaeFolder(Config):
    """Weights in a folder as transformers' save_pretrained writes it."""

    name: Literal["folder"] = "folder"
    path: Path = Field(
        description="folder with config.json and *.safetensors; builtin:mini_videomae is the small"
        " one that vidda ships"
    )

    def find(self) -> Path:
        """Return the folder; raises ViddaError when it is missing or has no weights."""
        folder = resolve_builtin(self.path)
        if not (folder / "config.json").is_file():
            raise ViddaError(f"{folder}: not a folder with a config.json; correct start.path")
        if not any(folder.glob("*.safetensors")):
            pickled = [file.name for file in sorted(folder.glob("*.bin"))]
            also = f" ({pickled[0]} is a pickle, which vidda does not load)" if pickled else ""
            raise ViddaError(f"{folder}: no weights in it{also}; name a folder with *.safetensors")
        return folder


class VideoMaeHub(Config):
    """Weights of a model on the Hugging Face hub, from its cache on this machine."""

    name: Literal["hub"] = "hub"
    repo: str = Field(description="owner/name of the model, for instance MCG-NJU/videomae-base")
    revision: str | None = Field(
        default=None, description="branch, tag or commit of the model; null: main"
    )
    download: bool = Field(default=False, description="download files that the cache lacks")

    def find(self) -> Path:
        """Return the folder in the cache; raises ViddaError when it is missing or cannot be
        downloaded.
        """
        wanted, fetch = ("config.json", "*.safetensors"), f"{START_KEY}.download=true"
        folder = hub_folder(self.repo, self.revision, wanted, START_KEY, self.download, fetch)
        return VideoMaeFolder(path=folder).find()


VideoMaeStartConfig = Annotated[
    VideoMaeScratch | VideoMaeFolder | VideoMaeHub, Field(discriminator="name")
]


def architecture(start: VideoMaeScratch | VideoMaeFolder | VideoMaeHub) -> VideoMaeScratch:
    """Return the sizes of a start; raises ViddaError when its folder is not a VideoMAE's."""
    return start if isinstance(start, VideoMaeScratch) else _read_architecture(start.find())


def check_start_input(
    start: VideoMaeScratch | VideoMaeFolder | VideoMaeHub, video_input: VideoInput
) -> None:
    """Raise ViddaError when a start was pre-trained on another input than `video_input`."""
    if isinstance(start, VideoMaeScratch):
        return
    file = start.find() / "config.json"
    try:
        learned = json.loads(file.read_text(encoding="utf-8")).get(INPUT_KEY, "rgb")
    except (ValueError, AttributeError) as error:
        raise ViddaError(f"{file}: damaged ({error}); copy the folder again") from None
    if learned != video_input:
        raise ViddaError(f"{file.parent}: pre-trained on input {learned}; set input: {learned}")


def transformers_config(sizes: VideoMaeScratch, clip: ClipSize) -> "VideoMAEConfig":
    """Return transformers' config of a model of these sizes, for clips of this size.

    Raises ViddaError, a line for each mistake, when the sizes are not multiples of each other.
    """
    from transformers import VideoMAEConfig

    problems = [
        f"{key} {whole} is not a multiple of {part_key} {part}; change one of them"
        for key, whole, part_key, part in (
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
    """Return a model with a folder's weights in float32, and the names that did not match.

    model: its class in transformers. config: the model's config. The names are sets by kind, such
    as `missing_keys` and `unexpected_keys`. Only safetensors are read and nothing is downloaded.
    Raises ViddaError when they cannot be read.
    """
    with quiet_transformers():
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
        raise ViddaError(
            f"{file}: not a VideoMAE's config ({reason}); name another folder"
        ) from None
    for key, value in _REQUIRED_VALUES.items():
        if content.get(key, value) != value:
            raise ViddaError(f"{file}: {key} is {content[key]}, but vidda supports only {value}")
    return sizes


@contextmanager
def quiet_transformers() -> Iterator[None]:
    """Suppress transformers' own messages and progress bars inside the context."""
    from transformers.utils import logging as transformers_logging

    verbosity = transformers_logging.get_verbosity()
    bars = transformers_logging.is_progress_bar_enabled()
    transformers_logging.set_verbosity_error()
    transformers_logging.disable_progress_bar()
    try:
        yield
    finally:
        transformers_logging.set_verbosity(verbosity)
        if bars:
            transformers_logging.enable_progress_bar()
