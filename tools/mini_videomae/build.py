"""The whole pre-training of the VideoMAE, with measurements and model card."""

import json
import time
from pathlib import Path

from tools.mini_diffusion.loop import RESULT, Machine, seconds_per_step, train
from tools.mini_pose.build import machine_name
from tools.mini_videomae import card, store
from tools.mini_videomae.learner import Learner
from tools.mini_videomae.measure import WANTED, measure
from tools.mini_videomae.optimizer import MuonAndAdamW
from tools.mini_videomae.recipe import Recipe, VideoMaeRun
from vidda.device import torch_device
from vidda.errors import ViddaError
from vidda.files import write_text
from vidda.run import RunFolder


class Builder:
    """Pre-trains the VideoMAE of a recipe in the recipe's folder."""

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
        content = VideoMaeRun(
            seed=recipe.seed,
            clips=recipe.clips,
            model=recipe.model,
            training=recipe.training,
            augment=recipe.augment,
            precision=recipe.precision,
        )
        made_from = {"clips": str(store.VERSION)}
        with RunFolder.open(recipe.out, content, made_from, resume=True) as run:
            if not run.finished:
                learner = self._learner()
                start = time.process_time()
                ended = train(
                    run,
                    learner,
                    recipe.training,
                    self.machine,
                    recipe.seed,
                    deadline,
                    self._optimizer(learner),
                )
                self._add_cost(time.process_time() - start)
                if not ended:
                    return False
                run.finish()
        card.write(self.result, recipe)
        return True

    def measure(self, prepared: Path) -> bool:
        """Fine-tune and test the model, write it into the card; return whether the goal is reached.

        prepared: a prepared MiniRoCoG.
        """
        if not self.result.exists():
            raise ViddaError(
                f"{self.result} does not exist yet; first run the same command without --measure"
            )
        found = measure(self.result, prepared, self.recipe.out / "fine_tuned")
        card.save_figures(self.recipe, found)
        card.write(self.result, self.recipe)
        print(f"{found.accuracy:.1%} of {found.clips} clips")
        return found.accuracy >= WANTED

    def seconds(self, steps: int) -> float:
        """Return the seconds of a training step with random weights, over so many steps."""
        learner, training = self._learner(), self.recipe.training
        optimizer = self._optimizer(learner)
        return seconds_per_step(learner, training, self.machine, 0, steps, optimizer)

    def _learner(self) -> Learner:
        recipe = self.recipe
        store.render(recipe.rendered, recipe.clips, recipe.seed, recipe.jobs)
        train, held_out = (
            store.load(recipe.rendered, recipe.clips, recipe.seed, part) for part in store.PARTS
        )
        return Learner(train, held_out, recipe, self.machine)

    def _optimizer(self, learner: Learner) -> MuonAndAdamW:
        return MuonAndAdamW(learner.learned, ".layer.", self.recipe.training)

    def _add_cost(self, seconds: float) -> None:
        """Add seconds of processor time to the training time in the model card."""
        file = self.recipe.out / card.COST
        spent = json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}
        kind = machine_name(self.machine.device)
        spent[kind] = spent.get(kind, 0.0) + seconds
        write_text(file, json.dumps(spent) + "\n")
