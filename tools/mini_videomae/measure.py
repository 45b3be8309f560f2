"""The quality of a pre-trained VideoMAE: its accuracy after fine-tuning on real clips."""

import json
import time
from dataclasses import dataclass
from pathlib import Path

from vidda import config
from vidda.errors import ViddaError
from vidda.evaluate import job
from vidda.files import write_text
from vidda.recognize import train
from vidda.recognize.train_config import TrainConfig

FINE_TUNING = Path("configs/train/mini_videomae.yaml")
SPLIT = Path("splits/gs2gr/target_only")
"""Of a prepared MiniRoCoG: real clips from the ground."""

WANTED = 0.8
SECONDS = "seconds.json"


@dataclass(frozen=True)
class Figures:
    """The result of one training on MiniRoCoG's real clips from the ground.

    accuracy: on the test clips, in [0, 1]; clips: their number. seconds: of processor time for the
    training.
    """

    accuracy: float
    clips: int
    seconds: float


def measure(model: Path, prepared: Path, run: Path) -> Figures:
    """Return the accuracy after training on real clips from the ground, from a model's weights.

    model: folder of the weights. prepared: a prepared MiniRoCoG. run: folder of the training; a
    finished one is not repeated. Raises ViddaError where clips are missing.
    """
    split = prepared / SPLIT
    if not split.is_dir():
        raise ViddaError(f"{split}: no such folder; prepare a MiniRoCoG with the task gs2gr")
    settings = config.load(
        TrainConfig,
        FINE_TUNING,
        [
            f"run={run}",
            f"train=[{split / 'train.csv'}]",
            f"val={split / 'val.csv'}",
            f"model.start.path={model}",
        ],
    )
    began = time.process_time()
    train.run(settings, dry_run=False, resume=True)
    if not (run / SECONDS).exists():
        write_text(run / SECONDS, json.dumps(time.process_time() - began) + "\n")
    test = split / "test.csv"
    tested = job.EvaluateConfig(model=run, manifest=test, device="cpu", workers=0)
    job.run(tested, dry_run=False, resume=True)
    found = json.loads((job.default_out(run, test) / "metrics.json").read_text(encoding="utf-8"))
    return Figures(
        accuracy=found["accuracy"],
        clips=found["clips"],
        seconds=json.loads((run / SECONDS).read_text(encoding="utf-8")),
    )
