"""What `vidda translate` is told."""

from pathlib import Path
from typing import Annotated, ClassVar, Literal

from pydantic import Field, field_validator

from vidda.camera.target import CameraConfig
from vidda.config import Config
from vidda.control.controls import ControlConfig
from vidda.control.pose import PoseConfig
from vidda.translate.backbone import BackboneConfig, StableDiffusionConfig
from vidda.translate.frame_choice import AllFrames, FrameChoice
from vidda.translate.keep_if import KeepIf
from vidda.translate.prompts import PromptConfig
from vidda.translate.shards import Shard

Count = Annotated[int, Field(ge=1)]


class TranslateConfig(Config):
    """Which clips are translated, by which weights, how, and what is written of them."""

    may_change: ClassVar[frozenset[str]] = frozenset({"device", "engine", "workers", "cache"})

    input: Path = Field(description="a manifest, a folder of videos, or a video")
    out: Path = Field(description="run folder to write; its manifest.csv can be trained on")
    clips: tuple[str, ...] = Field(
        default=(), description="ids of the clips, * standing for anything; none: all"
    )
    limit: Count | None = Field(default=None, description="only so many clips, the first ones")
    frames: FrameChoice = Field(default=AllFrames(), description="which frames of a clip")
    size: Count | tuple[Count, Count] | None = Field(
        default=512,
        description="shorter side in pixels, or [height, width]; null: the clip's own; rounded to"
        " what the model takes",
    )
    backbone: BackboneConfig = Field(
        default=StableDiffusionConfig(), description="the diffusion model, and how it samples"
    )
    control: ControlConfig = Field(
        default=ControlConfig(), description="what of the source the model is shown"
    )
    prompt: PromptConfig = Field(default=PromptConfig(), description="what it is asked for")
    mask_grow: int = Field(
        default=0, ge=0, description="pixels that the mask of a person who is kept is widened by"
    )
    camera: CameraConfig | None = Field(
        default=None, description="capture effects of the target, added at the end; null: none"
    )
    check_pose: PoseConfig | None = Field(
        default=None,
        description="estimator that looks for the source's pose on the translation; null: no PCK",
    )
    keep_if: KeepIf = Field(default=KeepIf(), description="which clips enter the manifest")
    show: tuple[Literal["side_by_side", "sheet"], ...] = Field(
        default=(), description="to look at, in OUT/shown: videos beside their source, pictures"
    )
    crf: Annotated[int, Field(ge=0, le=51)] | None = Field(
        default=18, description="of the H.264 videos, lower is better and larger; null: lossless"
    )
    seed: int = Field(default=0, ge=0, description="with a clip's id it decides all that is random")
    batch: Count = Field(
        default=1, description="clips that pass through the model together, for short ones"
    )
    device: str = Field(
        default="auto", description="cpu, cuda, cuda:1, ...; auto: every GPU, else the CPU"
    )
    engine: Literal["local", "processes", "ray"] = Field(
        default="local",
        description="local: this process; processes: several on this machine; ray: a Ray cluster",
    )
    workers: int = Field(
        default=0, ge=0, description="of engine processes or ray; 0: one for each GPU, else one"
    )
    shard: str | None = Field(
        default=None, description="i/n: only the i-th of n parts, from 1; the last one merges"
    )
    cache: Path | None = Field(default=None, description="folder that keeps computed controls")

    @field_validator("shard")
    @classmethod
    def _of_so_many(cls, shard: str | None) -> str | None:
        if shard is not None:
            Shard.parse(shard)
        return shard
