"""The quality of a pre-trained VideoMAE: accuracy after fine-tuning, and without pre-training."""

import json
import time
from dataclasses import dataclass
from pathlib import Path

from tools.mini_videomae.network import architecture
from tools.mini_videomae.recipe import ModelConfig
from vidda import config
from vidda.errors import ViddaError
from vidda.evaluate import job
from vidda.recognize import train
from vidda.recognize.train_config import TrainConfig

FINE_TUNING = Path("configs/train/mini_videomae.yaml")
TASKS = {"ground": "gs2gr", "air": "as2ar"}
WANTED = 0.8
"""Accuracy on the real test clips from the ground, trained on real clips."""


@dataclass(frozen=True)
class Figures:
    """The result of one training on MiniRoCoG's real clips.

    start: the initial weights, pre-trained or random. view: ground or air. accuracy: on the clips
    of the test, in [0, 1]; clips: their number. seconds: of processor time for the training.
    """

    start: str
    view: str
    accuracy: float
    clips: int
    seconds: float


def measure(model: Path, sizes: ModelConfig, prepared: Path, out: Path) -> list[Figures]:
    """Return the accuracy after training on real clips of each view, from the model and from none.

    model: folder of the weights. sizes: of the model. prepared: a prepared MiniRoCoG. out: folder
    of the runs; finished ones are not repeated. Raises ViddaError where clips are missing.
    """
    scratch = architecture(sizes).model_dump(mode="json", exclude={"positions"})
    starts = {"pre-trained": {"name": "folder", "path": str(model)}, "random": scratch}
    return [
        _measured(start, content, view, prepared, out)
        for start, content in starts.items()
        for view in TASKS
    ]


def reaches_goal(found: list[Figures]) -> bool:
    """Return whether the pre-trained model reaches the goal on the ground."""
    goal = ("pre-trained", "ground")
    return any(one.accuracy >= WANTED for one in found if (one.start, one.view) == goal)


def _measured(
    start: str, content: dict[str, object], view: str, prepared: Path, out: Path
) -> Figures:
    split = prepared / "splits" / TASKS[view] / "target_only"
    if not split.is_dir():
        raise ViddaError(f"{split}: no such folder; prepare a MiniRoCoG with this task")
    run, spent = out / f"{start}_{view}", out / f"{start}_{view}.json"
    settings = config.load(
        TrainConfig,
        FINE_TUNING,
        [
            f"run={run}",
            f"train=[{split / 'train.csv'}]",
            f"val={split / 'val.csv'}",
            f"model.start={json.dumps(content)}",
        ],
    )
    began = time.process_time()
    train.run(settings, dry_run=False, resume=True)
    if not spent.exists():
        spent.write_text(json.dumps(time.process_time() - began), encoding="utf-8")
    test = split / "test.csv"
    job.run(
        job.EvaluateConfig(model=run, manifest=test, device="cpu", workers=0),
        dry_run=False,
        resume=True,
    )
    result = json.loads((job.default_out(run, test) / "metrics.json").read_text(encoding="utf-8"))
    return Figures(
        start=start,
        view=view,
        accuracy=result["accuracy"],
        clips=result["clips"],
        seconds=json.loads(spent.read_text(encoding="utf-8")),
    )
