"""The quality of a pose estimator as vidda runs it, by PCK@0.1."""

from dataclasses import dataclass

from tools.mini_diffusion.gate import estimate_poses, score
from tools.mini_pose import examples
from tools.mini_pose.examples import LEARNED_FROM, Examples
from tools.mini_pose.recipe import Recipe
from vidda.control.draw_pose import THRESHOLD
from vidda.control.mmpose_estimator import MMPoseConfig

EVERY = 4
"""Every EVERY-th frame of clips is measured, since neighbors are nearly equal."""

WANTED = 0.9
"""PCK@0.1 on the held-out synthetic clips, of all joints."""


@dataclass(frozen=True)
class Figures:
    """The quality on one set of images.

    pictures: the number of images. all, wrists: PCK@0.1 of joints inside the image, in [0, 1].
    sure: the share of these joints whose score is high enough to be drawn.
    """

    pictures: int
    all: float
    wrists: float
    sure: float


def measure(model: MMPoseConfig, recipe: Recipe) -> dict[str, Figures]:
    """Return the quality of a model on images that were not trained on, by the name of the set."""
    estimator = model.build()
    found = {}
    for name, images in held_out(recipe).items():
        truth, poses = images.pose(), estimate_poses(estimator, images.frames)
        shares = score(truth, poses)
        inside = truth.scores[:, 0] > 0
        found[name] = Figures(
            pictures=len(images),
            all=shares.all,
            wrists=shares.wrists,
            sure=float((poses.scores[:, 0] > THRESHOLD)[inside].mean()),
        )
    return found


def held_out(recipe: Recipe) -> dict[str, Examples]:
    """Return the sets of images to measure on, by name."""
    sets = {"foundation": examples.of_foundation(recipe, "held_out")}
    for domain, split in ((LEARNED_FROM, "val"), ("real", "test")):
        for view in ("ground", "air"):
            clips = examples.clips(recipe, domain=domain, view=view, split=split)
            sets[f"{domain} {view}"] = examples.of_clips(clips, recipe.data.size, EVERY)
    return sets


def reaches_goal(found: dict[str, Figures]) -> bool:
    """Return whether both views of the held-out synthetic clips reach the goal."""
    return all(one.all >= WANTED for name, one in found.items() if name.startswith(LEARNED_FROM))
