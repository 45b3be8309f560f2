"""Training images of a person with joints: MiniRoCoG's synthetic clips, the miniature's scenes."""

from dataclasses import dataclass

import numpy as np

from tools.mini_diffusion import cache
from tools.mini_pose.recipe import Recipe
from vidda import video
from vidda.control.keypoints import Pose
from vidda.control.pose import PoseSource
from vidda.control.sidecar_poses import SidecarPosesConfig
from vidda.data import load_manifest
from vidda.errors import ViddaError
from vidda.progress import track
from vidda.types import Manifest

LEARNED_FROM = "synthetic"
"""The only domain of MiniRoCoG to train on, because vidda adapts to the `real` one."""


@dataclass(frozen=True)
class Examples:
    """N images with keypoints.

    frames: (N, P, P, 3) uint8 RGB; keypoints: (N, 17, 3) float32 x, y in pixels and 1 if the joint
    is inside the image, even hidden, else 0.
    """

    frames: np.ndarray
    keypoints: np.ndarray

    def __len__(self) -> int:
        return len(self.frames)

    def some(self, count: int) -> "Examples":
        """Return up to `count` of the images, spread evenly."""
        chosen = np.linspace(0, len(self) - 1, min(count, len(self))).astype(int)
        return Examples(self.frames[chosen], self.keypoints[chosen])

    def pose(self) -> Pose:
        """Return the true poses, one person in each image."""
        return Pose(self.keypoints[:, None, :, :2], self.keypoints[:, None, :, 2])


def join_examples(parts: list[Examples]) -> Examples:
    """Return the images of several sets as one."""
    frames = np.concatenate([part.frames for part in parts])
    return Examples(frames, np.concatenate([part.keypoints for part in parts]))


def clips(recipe: Recipe, **wanted: str) -> Manifest:
    """Return MiniRoCoG's clips with these values of columns; raise ViddaError without any."""
    found = load_manifest(recipe.clips).where(**wanted)
    if not len(found):
        columns = " ".join(f"{name}={value}" for name, value in wanted.items())
        raise ViddaError(f"{recipe.clips}: no clip with {columns}; take another clips=FOLDER")
    return found


def of_clips(manifest: Manifest, size: int, every: int) -> Examples:
    """Return every `every`-th frame of all clips, size x size pixels, with the sidecars' joints."""
    truth: PoseSource = SidecarPosesConfig().build()
    parts = []
    for clip in track(manifest.clips, label="reading clips", total=len(manifest), unit="clips"):
        frames = video.read(manifest.root / clip.path, size=(size, size))
        pose = truth.estimate(frames, None, clip, manifest.root)
        known = (pose.scores[:, 0] > 0).astype(np.float32)
        joints = np.concatenate([pose.keypoints[:, 0], known[..., None]], axis=-1)
        parts.append(Examples(frames[::every], joints[::every]))
    return join_examples(parts)


def of_foundation(recipe: Recipe, part: str) -> Examples:
    """Return the miniature's images, `train` or `held_out`, after rendering missing ones."""
    cache.render(recipe.pictures, recipe.data, recipe.seed)
    found = cache.load(recipe.pictures, recipe.data, recipe.seed, part)
    return Examples(found.frames, found.keypoints)
