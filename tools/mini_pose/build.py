"""The whole training of the pose estimator, with measurements and model card."""

import json
import platform
import time
from pathlib import Path

import torch

from tools.mini_diffusion import cache
from tools.mini_diffusion.loop import RESULT, Machine, seconds_per_step, train
from tools.mini_pose import card, examples
from tools.mini_pose.learner import Learner
from tools.mini_pose.measure import measure, reaches_goal
from tools.mini_pose.model import CONFIG, WEIGHTS
from tools.mini_pose.recipe import PoseRun, Recipe
from vidda.control.mmpose_estimator import MMPoseConfig
from vidda.device import torch_device
from vidda.errors import ViddaError
from vidda.files import write_text
from vidda.run import RunFolder

EVALUATED = 512
"""Images of each kind that are evaluated during training."""


class Builder:
    """Trains the pose estimator of a recipe in the recipe's folder."""

    def __init__(self, recipe: Recipe) -> None:
        self.recipe = recipe
        self.machine = Machine(torch_device(recipe.device, "device"), recipe.precision)

    @property
    def result(self) -> Path:
        """Return the model's folder."""
        return self.recipe.out / RESULT

    def build(self, deadline: float) -> bool:
        """Run or resume training until the deadline; return whether it is finished.

        deadline: by time.monotonic().
        """
        recipe = self.recipe
        content = PoseRun(
            seed=recipe.seed,
            data=recipe.data.model_copy(update={"jobs": 0}),
            training=recipe.training,
            augment=recipe.augment,
            precision=recipe.precision,
        )
        learned = examples.clips(recipe, domain=examples.LEARNED_FROM, split="train")
        made_from = {
            "clips": learned.fingerprint(),
            "pictures": cache.fingerprint(recipe.data, recipe.seed),
        }
        with RunFolder.open(recipe.out, content, made_from, resume=True) as run:
            if not run.finished:
                learner = self._learner()
                start = time.monotonic()
                ended = train(run, learner, recipe.training, self.machine, recipe.seed, deadline)
                self._add_cost(time.monotonic() - start)
                if not ended:
                    return False
                run.finish()
        card.write(self.result, recipe)
        return True

    def measure(self) -> bool:
        """Measure the model, write it into the model card, print it; return if the goal is met."""
        if not self.result.exists():
            raise ViddaError(
                f"{self.result} does not exist yet; first run the same command without --measure"
            )
        model = MMPoseConfig(
            model=self.result / CONFIG,
            weights=self.result / WEIGHTS,
            device=str(self.machine.device),
        )
        found = measure(model, self.recipe)
        card.save_figures(self.recipe, found)
        card.write(self.result, self.recipe)
        for name, one in found.items():
            print(f"{name:17s} PCK@0.1 {one.all:6.1%}  wrists {one.wrists:6.1%}")
        return reaches_goal(found)

    def seconds(self, steps: int) -> float:
        """Return the seconds of a training step with random weights, over so many steps."""
        return seconds_per_step(self._learner(), self.recipe.training, self.machine, 0, steps)

    def _learner(self) -> Learner:
        recipe = self.recipe
        held_out = {
            "foundation": examples.of_foundation(recipe, "held_out").some(EVALUATED),
            "synthetic": self._of_clips("val", 4).some(EVALUATED),
        }
        train = examples.join_examples(
            [self._of_clips("train", 1), examples.of_foundation(recipe, "train")]
        )
        return Learner(train, held_out, recipe.augment, self.machine, recipe.seed)

    def _of_clips(self, split: str, every: int) -> examples.Examples:
        found = examples.clips(self.recipe, domain=examples.LEARNED_FROM, split=split)
        return examples.of_clips(found, self.recipe.data.size, every)

    def _add_cost(self, seconds: float) -> None:
        """Add seconds to the training time in the model card."""
        file = self.recipe.out / card.COST
        spent = json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}
        kind = machine_name(self.machine.device)
        spent[kind] = spent.get(kind, 0.0) + seconds
        write_text(file, json.dumps(spent) + "\n")


def machine_name(device: torch.device) -> str:
    """Return a device as the model card names it: a GPU, or threads of a CPU."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    threads = torch.get_num_threads()
    return f"{threads} thread{'s' if threads > 1 else ''} of a CPU ({platform.machine()})"
