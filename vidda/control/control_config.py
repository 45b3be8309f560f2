"""The config of a clip's controls."""

from collections.abc import Iterator

from pydantic import Field, field_validator

from vidda.config import Config
from vidda.control.depth_maps import DepthControlConfig
from vidda.control.edges import CannyEdges, EdgeConfig
from vidda.control.flow import DisConfig, FlowConfig
from vidda.control.keypoints import THRESHOLD
from vidda.control.people_masks import PeopleMaskConfig
from vidda.control.pose import PoseConfig
from vidda.control.segmentation_maps import SegmentationConfig
from vidda.sidecar import DEPTH_ARRAYS

SIDECAR_ARRAYS = {
    "pose": ("keypoints",),
    "depth": DEPTH_ARRAYS,
    "segmentation": ("mask",),
    "mask": ("mask",),
}
"""The arrays of a sidecar from which a control of `ControlConfig` comes; one is enough."""


class Smoothing(Config):
    """Filling of missing joints and smoothing of their paths; see
    `vidda.control.track.smooth_pose`.
    """

    longest_gap: int | None = Field(
        default=15, ge=1, description="longest gap in frames that is filled; null: any length"
    )
    window: int = Field(
        default=5, ge=1, description="frames that a path is smoothed over, odd; 1: no smoothing"
    )

    @field_validator("window")
    @classmethod
    def _odd(cls, window: int) -> int:
        if window % 2 == 0:
            raise ValueError(f"{window} is even; take {window + 1}, which has a middle frame")
        return window


class ControlConfig(Config):
    """The controls to compute for a clip: edges, pose, depth, segmentation, mask, optical flow."""

    edges: EdgeConfig | None = Field(default=CannyEdges(), description="edge maps; null: none")
    pose: PoseConfig | None = Field(default=None, description="source of the poses; null: no poses")
    depth: DepthControlConfig | None = Field(
        default=None, description="source of the depth; null: no depth"
    )
    segmentation: SegmentationConfig | None = Field(
        default=None, description="source of the semantic segmentation; null: none"
    )
    mask: PeopleMaskConfig | None = Field(
        default=None,
        description="source of people's masks; null: where a mask is shown or a person kept, the"
        " sidecar's, else drawn from the poses",
    )
    flow: FlowConfig | None = Field(
        default=DisConfig(),
        description="optical flow to the previous and the first frame; null: none",
    )
    smoothing: Smoothing | None = Field(
        default=Smoothing(), description="smoothing of each person's joints over time; null: none"
    )
    threshold: float = Field(
        default=THRESHOLD,
        ge=0,
        le=1,
        description="lowest score of a known joint; others are left out of drawings, masks and PCK",
    )
    line_width: float = Field(
        default=1.0,
        gt=0,
        description="line width of the skeletons, relative to those that models were trained on",
    )

    @property
    def from_sidecars(self) -> tuple[str, ...]:
        """Return the keys of the controls that come from sidecars; see `SIDECAR_ARRAYS`."""
        return tuple(key for key, name in self._named_sources() if name == "sidecar")

    @property
    def estimated(self) -> tuple[str, ...]:
        """Return the keys of the controls that models estimate, which takes long."""
        return tuple(
            key for key, name in self._named_sources() if name not in ("sidecar", "skeleton")
        )

    def _named_sources(self) -> Iterator[tuple[str, str]]:
        """Yield the keys of the controls that have a source, and the name of each source."""
        for key in SIDECAR_ARRAYS:
            source = getattr(self, key)
            if source is not None:
                yield key, source.name
