"""Which translated clips are good enough for the manifest."""

from typing import Annotated

from pydantic import Field

from vidda.config import Config
from vidda.translate.quality import Quality

Limit = Annotated[float, Field(ge=0)] | None


class KeepIf(Config):
    """Limits on a clip's `Quality`; null: none. A figure that a clip does not have is not judged.

    Such are figures of movement for a clip of one frame, and the PCK of one whose pose is unknown.
    """

    max_warp_error: Limit = Field(
        default=None, description="flicker: mean square, values in [0, 1]"
    )
    max_warp_error_ratio: Limit = Field(default=None, description="flicker: times the source's own")
    max_flow_epe: Limit = Field(default=None, description="pixels that motion is off")
    min_pck: Annotated[float, Field(ge=0, le=1)] | None = Field(
        default=None, description="share of joints found again; needs an estimator of poses"
    )
    max_brightness_slope: Limit = Field(default=None, description="L* a frame, up or down")
    max_brightness_range: Limit = Field(default=None, description="L* from the first frame")
    max_color_slope: Limit = Field(default=None, description="a*, b* a frame")
    max_color_range: Limit = Field(default=None, description="a*, b* from the first frame")

    def reasons(self, quality: Quality) -> tuple[str, ...]:
        """Why a clip is left out, a line for each limit that it breaks; empty: it is kept."""
        found = []
        for key, limit in self.model_dump().items():
            side, _, figure = key.partition("_")
            value = getattr(quality, figure)
            if limit is None or value is None:
                continue
            if side == "max" and abs(value) > limit:
                found.append(f"{figure} {value:.4g} is over keep_if.{key} {limit:g}")
            elif side == "min" and value < limit:
                found.append(f"{figure} {value:.4g} is under keep_if.{key} {limit:g}")
        return tuple(found)

    def problems(self, *, poses: bool) -> list[str]:
        """What the rest of the job's config does not go with, a line each.

        poses: whether an estimator of poses looks at the translation.
        """
        if self.min_pck is not None and not poses:
            return [
                "keep_if.min_pck: nothing estimates the pose on the translation; name an estimator"
                " or take it out"
            ]
        return []
