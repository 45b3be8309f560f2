"""Pre-train vidda's built-in VideoMAE, measure it, and write its model card.

    python -m tools.train_mini_videomae runs/mini_videomae                   # on one core of a CPU
    python -m tools.train_mini_videomae runs/mini_videomae device=cuda
    python -m tools.train_mini_videomae runs/mini_videomae --minutes 9       # stop after 9
    python -m tools.train_mini_videomae runs/mini_videomae --bench 5
    python -m tools.train_mini_videomae runs/mini_videomae --measure data/mini_prepared

From the root of the repository. Clips of random motions are rendered into `rendered=FOLDER`
(`tools/mini_videomae/clips.py`), and a VideoMAE is trained on what their renderer knows. OUT is a
run folder with metrics, checkpoints and contact sheets; OUT/result is the encoder in transformers'
format with its card, to be copied to vidda/assets/mini_videomae. After an interruption, the same
command resumes. --measure fine-tunes the result by configs/train/mini_videomae.yaml on the real
clips of a prepared MiniRoCoG (`vidda mini data/mini` and its `vidda prepare`). All settings are in
the recipe (`tools/mini_videomae/recipe.py`); key=value overrides one.
"""

import argparse
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from vidda import config
from vidda.errors import ViddaError


def main(arguments: Sequence[str] | None = None) -> int:
    """Return the exit status: 0 when finished or the goal is reached, 3 when time is up, else 1, 2.

    1: the goal is missed; 2: a mistake, printed as `error: ...` lines.
    """
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("out", type=Path)
    parser.add_argument("overrides", nargs="*", metavar="key=value", help="overrides of the recipe")
    parser.add_argument("--minutes", type=float, help="save and stop after so many, exit status 3")
    parser.add_argument("--bench", type=int, metavar="STEPS", help="only time so many steps")
    parser.add_argument(
        "--measure", type=Path, metavar="PREPARED", help="fine-tune the result on these clips"
    )
    options = parser.parse_args(arguments)
    started = time.monotonic()
    try:
        return _run(options, started)
    except ViddaError as error:
        for line in str(error).splitlines():
            print(f"error: {line}", file=sys.stderr)
        return 2


def _run(options: argparse.Namespace, started: float) -> int:
    # Imported late, so that --help and mistakes in the recipe do not wait for torch.
    from tools.mini_videomae.recipe import Recipe

    recipe = config.load(Recipe, None, [f"out={options.out}", *options.overrides])

    from tools.mini_videomae.build import Builder

    builder = Builder(recipe)
    if options.bench:
        each, steps = builder.seconds(options.bench), recipe.training.steps
        print(f"{each:.3f} s/step x {steps} steps = {steps * each / 60:.1f} minutes")
        return 0
    if options.measure:
        return 0 if builder.measure(options.measure) else 1
    minutes = float("inf") if options.minutes is None else options.minutes
    if builder.build(started + 60.0 * minutes):
        print(f"done: {builder.result}")
        return 0
    print(f"time is up after {minutes:g} minutes; the same command resumes")
    return 3


if __name__ == "__main__":
    sys.exit(main())
