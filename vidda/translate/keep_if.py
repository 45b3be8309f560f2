"""Quality limits that decide which translated clips get into the manifest."""

from typing import Annotated

from pydantic import Field

from vidda.config import Config
from vidda.translate.quality import Quality

Limit = Annotated[float, Field(ge=0)] | None


class KeepIf(Config):
    """Limits on a clip's `Quality`; null: no limit. A figure that a clip does not have is not
    checked.

    A clip of one frame has no figures of movement, and a clip without a known pose has no PCK.
    """

    max_warp_error: Limit = Field(
        default=None, description="most flicker: mean squared warping error, values in [0, 1]"
    )
    max_warp_error_ratio: Limit = Field(
        default=None, description="most flicker, as a multiple of the source's"
    )
    max_flow_epe: Limit = Field(
        default=None, description="largest mean endpoint error of the motion, in pixels"
    )
    min_pck: Annotated[float, Field(ge=0, le=1)] | None = Field(
        default=None, description="lowest share of joints found again, 0..1; needs check_pose"
    )
    min_wrist_pck: Annotated[float, Field(ge=0, le=1)] | None = Field(
        default=None,
        description="lowest share of wrists found again within a tenth of the person's size, 0..1;"
        " needs check_pose",
    )
    max_brightness_slope: Limit = Field(
        default=None, description="largest change of L* per frame, up or down"
    )
    max_brightness_range: Limit = Field(
        default=None, description="largest distance of L* from the first frame"
    )
    max_color_slope: Limit = Field(default=None, description="largest change of a*, b* per frame")
    max_color_range: Limit = Field(
        default=None, description="largest distance of a*, b* from the first frame"
    )

    def reasons(self, quality: Quality) -> tuple[str, ...]:
        """Return a line for each limit that a clip breaks; empty if it is kept."""
        reasons = []
        for key, limit in self.model_dump().items():
            kind, _, figure = key.partition("_")
            value = getattr(quality, figure)
            if limit is None or value is None:
                continue
            if kind == "max" and abs(value) > limit:
                reasons.append(f"{figure} {value:.4g} is over keep_if.{key} {limit:g}")
            elif kind == "min" and value < limit:
                reasons.append(f"{figure} {value:.4g} is under keep_if.{key} {limit:g}")
        return tuple(reasons)

    def problems(self, *, poses: bool) -> list[str]:
        """Return a line for each limit that cannot be checked in this job.

        poses: true if an estimator of poses runs on the translation.
        """
        limits = {"min_pck": self.min_pck, "min_wrist_pck": self.min_wrist_pck}
        return [
            f"keep_if.{key}: no estimator runs on the translation; set check_pose, or remove this"
            " limit"
            for key, limit in limits.items()
            if limit is not None and not poses
        ]
