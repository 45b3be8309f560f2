"""The configs of the weights and the sampling of Wan VACE."""

from pathlib import Path
from typing import ClassVar, Literal, Self

from pydantic import Field, model_validator

from vidda.camera.target import CameraConfig, target_clips
from vidda.config import Config, Count
from vidda.errors import ViddaError
from vidda.files import inside
from vidda.translate.stable_diffusion.keep_person import KeepPixels
from vidda.translate.stable_diffusion.weights_config import LoraConfig
from vidda.weights import Hub, SourceConfig

VaceControl = Literal["pose", "depth", "edges"]


class VaceWeightsConfig(Config):
    """The weights of Wan VACE; by default the public ones of 1.3B.

    key: the prefix of its keys on the command line, for messages. backbone: whose they are.
    """

    key: ClassVar[str] = "backbone.weights."
    backbone: ClassVar[str] = "wan_vace"

    base: SourceConfig = Field(
        default=Hub(repo="Wan-AI/Wan2.1-VACE-1.3B-diffusers"),
        description="the whole pipeline: VAE, transformer, text encoder, tokenizer, scheduler",
    )
    loras: tuple[LoraConfig, ...] = Field(
        default=(), description="LoRAs of Wan's transformer, added in this order"
    )
    download: bool = Field(
        default=False, description="download from the hub what the local cache lacks"
    )


class ReferenceConfig(Config):
    """The target's clips whose frames are shown to the model as a reference image."""

    target: Path = Field(description="manifest of target clips; their labels are not read")
    clips: Count = Field(
        default=16,
        description="target clips to choose from, evenly spaced over the manifest; a clip's seed"
        " chooses one, and its middle frame is shown",
    )

    def videos(self) -> tuple[Path, ...]:
        """Return the files of the clips to choose from.

        Raises ViddaError when there are none, and with a line for each that is missing.
        """
        found = target_clips(CameraConfig(target=self.target, clips=self.clips))
        root = found.root.absolute()
        files = tuple(inside(root, clip.path) for clip in found.clips)
        missing = [file for file in files if not file.is_file()]
        if missing:
            raise ViddaError(
                "\n".join(f"{file}: not there, and {self.target} names it" for file in missing)
            )
        return files


class VaceSamplingConfig(Config):
    """The settings of the sampler, from a clip's controls and prompt to its translation."""

    steps: int = Field(default=30, ge=1, description="steps of the scheduler")
    guidance: float = Field(
        default=5.0,
        ge=0.0,
        description="weight of classifier-free guidance; 1 or less: off, no negative prompt",
    )
    flow_shift: float = Field(
        default=3.0,
        gt=0.0,
        description="shift of the noise levels; its makers take 3 for 480p and 5 for 720p",
    )
    person: VaceControl | None = Field(
        default="pose",
        description="control inside the person's mask; null: the scene's there too; where the"
        " person is kept it is not used",
    )
    scene: VaceControl | None = Field(
        default="depth", description="control outside the mask; null: the person's there too"
    )
    scale: float = Field(default=1.0, description="strength of the controls; 0: they do not act")
    keep_person: KeepPixels | None = Field(
        default=None, description="keeps the source inside the person's mask; null: nothing is kept"
    )
    reference: ReferenceConfig | None = Field(
        default=None, description="reference image from the target; null: none"
    )
    longest: Count = Field(
        default=81, description="most frames of a clip; 81 in the model's training"
    )
    vae_tiling: bool = Field(
        default=False,
        description="decode in tiles, which saves memory and changes the frames visibly",
    )

    @model_validator(mode="after")
    def _has_controls(self) -> Self:
        if self.person is None and self.scene is None:
            raise ValueError("person and scene are both null; choose a control for one of them")
        if self.keep_person is not None and self.scene is None:
            raise ValueError("keep_person renders all but the person: choose a control as scene")
        return self

    @property
    def controls(self) -> dict[str, VaceControl]:
        """Return the kinds of control that are read, by the key that asks for them."""
        asked = {"person": None if self.keep_person else self.person, "scene": self.scene}
        return {key: kind for key, kind in asked.items() if kind is not None}

    @property
    def needs_mask(self) -> bool:
        """Return whether the person's mask is needed, to keep the person or to join controls."""
        return self.keep_person is not None or len(set(self.controls.values())) == 2
