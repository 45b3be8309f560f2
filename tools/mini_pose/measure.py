"""How well a model finds poses: through vidda's own way from a config to a pose, by PCK@0.1."""

from dataclasses import dataclass

from tools.mini_diffusion.gate import estimated, score
from tools.mini_pose import examples
from tools.mini_pose.examples import LEARNED_FROM, Examples
from tools.mini_pose.recipe import Recipe
from vidda.control.draw_pose import THRESHOLD
from vidda.control.mmpose_estimator import MMPoseConfig

EVERY = 4
"""So-manieth frames of clips are measured; neighbors say the same."""

WANTED = 0.9
"""PCK@0.1 on the held-out synthetic clips, of all joints."""


@dataclass(frozen=True)
class Figures:
    """pictures: how many. all, wrists: PCK@0.1 of joints that the picture holds, as a share.

    sure: the share of them whose score lets vidda draw them.
    """

    pictures: int
    all: float
    wrists: float
    sure: float


def measure(model: MMPoseConfig, recipe: Recipe) -> dict[str, Figures]:
    """Figures on pictures that were not learned from, by what they are of."""
    estimator = model.build()
    found = {}
    for name, pictures in held_out(recipe).items():
        given, poses = pictures.pose(), estimated(estimator, pictures.frames)
        shares = score(given, poses)
        held = given.scores[:, 0] > 0
        found[name] = Figures(
            pictures=len(pictures),
            all=shares.all,
            wrists=shares.wrists,
            sure=float((poses.scores[:, 0] > THRESHOLD)[held].mean()),
        )
    return found


def held_out(recipe: Recipe) -> dict[str, Examples]:
    """Return the pictures that are measured on."""
    sets = {"foundation": examples.of_foundation(recipe, "held_out")}
    for domain, split in ((LEARNED_FROM, "val"), ("real", "test")):
        for view in ("ground", "air"):
            clips = examples.clips(recipe, domain=domain, view=view, split=split)
            sets[f"{domain} {view}"] = examples.of_clips(clips, recipe.data.size, EVERY)
    return sets


def enough(found: dict[str, Figures]) -> bool:
    """Return whether the goal is reached on both views of the held-out synthetic clips."""
    return all(one.all >= WANTED for name, one in found.items() if name.startswith(LEARNED_FROM))
