"""The config of `vidda translate`."""

from pathlib import Path
from typing import Annotated, ClassVar, Literal

from pydantic import Field, field_validator

from vidda.camera.target import CameraConfig
from vidda.config import Config, Count
from vidda.control.control_config import ControlConfig
from vidda.control.pose import PoseConfig
from vidda.translate.backbone import BackboneConfig, StableDiffusionConfig
from vidda.translate.frame_choice import AllFrames, FrameChoice
from vidda.translate.keep_if import KeepIf
from vidda.translate.prompts import PromptConfig
from vidda.translate.shards import Shard


class TranslateConfig(Config):
    """The clips to translate, the model and its inputs, and the files to write."""

    may_change: ClassVar[frozenset[str]] = frozenset({"device", "engine", "workers", "cache"})

    input: Path = Field(description="a manifest, a folder of videos, or a video")
    out: Path = Field(description="run folder to write; its manifest.csv can be trained on")
    clips: tuple[str, ...] = Field(
        default=(), description="ids of the clips, with * for any text; none: all"
    )
    limit: Count | None = Field(
        default=None, description="most clips, evenly spaced over the manifest; null: all"
    )
    frames: FrameChoice = Field(default=AllFrames(), description="frames of each clip to translate")
    size: Count | tuple[Count, Count] | None = Field(
        default=512,
        description="shorter side in pixels, or [height, width]; null: the clip's own; rounded to"
        " multiples that the model needs",
    )
    backbone: BackboneConfig = Field(
        default=StableDiffusionConfig(), description="diffusion model and its sampling"
    )
    control: ControlConfig = Field(
        default=ControlConfig(), description="controls from the source that condition the model"
    )
    prompt: PromptConfig = Field(default=PromptConfig(), description="prompt of each clip")
    mask_grow: int = Field(
        default=0, ge=0, description="pixels by which the mask of a kept person is widened"
    )
    camera: CameraConfig | None = Field(
        default=None, description="camera effects of the target, added at the end; null: none"
    )
    check_pose: PoseConfig | None = Field(
        default=None,
        description="estimator of poses on the translation, for the PCK; null: no PCK",
    )
    keep_if: KeepIf = Field(default=KeepIf(), description="quality limits of clips in the manifest")
    show: tuple[Literal["side_by_side", "sheet"], ...] = Field(
        default=(),
        description="files for inspection in OUT/shown: videos beside their source, contact sheets",
    )
    crf: Annotated[int, Field(ge=0, le=51)] | None = Field(
        default=18,
        description="quality of the H.264 videos, lower is better and larger; null: lossless",
    )
    seed: int = Field(
        default=0, ge=0, description="seed of everything random, together with a clip's id"
    )
    batch: Count = Field(
        default=1, description="clips that pass through the model together, useful for short ones"
    )
    device: str = Field(
        default="auto", description="cpu, cuda, cuda:1, ...; auto: every GPU, else the CPU"
    )
    engine: Literal["local", "processes", "ray"] = Field(
        default="local",
        description="local: this process; processes: several on this machine; ray: a Ray cluster",
    )
    workers: int = Field(
        default=0,
        ge=0,
        description="workers of engine processes or ray; 0: one for each GPU, else one",
    )
    shard: str | None = Field(
        default=None,
        description="i/n: only the i-th of n shards, from 1; the last one to finish merges",
    )
    cache: Path | None = Field(default=None, description="folder that caches computed controls")

    @field_validator("shard")
    @classmethod
    def _is_shard(cls, shard: str | None) -> str | None:
        """Raise ValueError unless the shard is written as i/n."""
        if shard is not None:
            Shard.parse(shard)
        return shard
