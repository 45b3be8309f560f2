"""The model card of the pose estimator: description, data, training and quality."""

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

from tools.mini_diffusion.card import cost_of
from tools.mini_pose.measure import EVERY, WANTED, Figures
from tools.mini_pose.model import CONFIG, SIZE, WEIGHTS, WIDTH
from tools.mini_pose.recipe import Recipe
from vidda.control.draw_pose import THRESHOLD
from vidda.files import write_text

CARD = "README.md"
COST = "cost.json"
FIGURES = "figures.json"

TEXT = """\
# vidda's built-in pose estimator

A top-down model of mmpose of {size:.1f} MB, so that poses are really estimated in vidda's built-in
job, on a laptop, without a download. It finds COCO's 17 joints of the computer-drawn people of
MiniRoCoG and of vidda's miniature diffusion model. It is a stand-in for RTMPose in tests and
demonstrations: it has seen no photograph of anybody.

| file | |
| --- | --- |
| `{config}` | mmpose's config: input {pixels}x{pixels}, ResNetV1d-18, {width} channels and up |
| `{weights}` | filters in fp16, norms in fp32 |

    pose.name=mmpose pose.model=builtin:mini_pose/{config} \\
        pose.weights=builtin:mini_pose/{weights}

The backbone lacks ResNet's last stage; two deconvolutions make heatmaps of a cell for 4x4 pixels.
The box of a person is taken as it is, without padding: by default the whole frame.

## Data

MiniRoCoG's synthetic training clips, every frame with its sidecar's joints, and {pictures} pictures
of the {scenes} scenes that the miniature diffusion model learns from (`tools/mini_diffusion`).
Nothing of the `real` domain. Hidden joints are learned like visible ones; joints outside the
picture as being nowhere. At random: shift, turn, zoom from {near:g} to {far:g}, mirror, exposure,
white balance, contrast, saturation, blur, noise.

## Training

`tools/train_mini_pose.py`, seed {seed}: {steps} steps of {batch} pictures, AdamW, mmpose's
KeypointMSELoss on the heatmaps of its MSRAHeatmap codec; the weights are an average over the
steps{cost}.

## Quality

{quality}

## Limits

One person, who stands and is about as large as the box; smaller than {near:g} of it, sitting, lying
or upside down was not learned. No hands, no faces beyond eyes and ears. It has seen no photograph
and no picture without a person: there its poses mean nothing, though scores may be above
{threshold:g}. Take RTMPose for real video.
"""

MEASURED = """\
PCK@0.1 in percent: joints found within a tenth of the longer side of the person's box, hidden ones
included; as vidda runs it, whole frames, without the mirrored crop (`pose.flip_test=true` adds it,
at twice the time). Of clips, each {every}th frame. The goal is {wanted:.0f} on the synthetic ones.
`real` was never trained on.

| pictures not learned from | number | all joints | wrists | scores above {threshold:g} |
| --- | --- | --- | --- | --- |
{rows}

Joints whose score is not above {threshold:g} are not drawn into a pose map.
"""

NAMES = {
    "foundation": "the diffusion model's held-out scenes",
    "synthetic ground": "synthetic, ground, validation clips",
    "synthetic air": "synthetic, air, validation clips",
    "real ground": "real, ground, test clips",
    "real air": "real, air, test clips",
}


def save_figures(recipe: Recipe, found: Mapping[str, Figures]) -> None:
    """Write the figures into the run folder, where the model card reads them."""
    content = {name: asdict(one) for name, one in found.items()}
    write_text(recipe.out / FIGURES, json.dumps(content, indent=2) + "\n")


def write(folder: Path, recipe: Recipe) -> None:
    """Write the model card into a model's folder, with the measurements made so far."""
    text = TEXT.format(
        size=sum((folder / name).stat().st_size for name in (CONFIG, WEIGHTS)) / 1e6,
        config=CONFIG,
        weights=WEIGHTS,
        width=WIDTH,
        pixels=SIZE,
        scenes=recipe.data.scenes,
        pictures=recipe.data.scenes * recipe.data.moments,
        near=recipe.augment.zoom[0],
        far=recipe.augment.zoom[1],
        seed=recipe.seed,
        steps=recipe.training.steps,
        batch=recipe.training.batch,
        cost=cost_of(recipe.out / COST),
        threshold=THRESHOLD,
        quality=_quality(recipe.out / FIGURES),
    )
    write_text(folder / CARD, text)


def _quality(file: Path) -> str:
    if not file.exists():
        return "Not measured yet: `--measure` does."
    found = {
        name: Figures(**content)
        for name, content in json.loads(file.read_text(encoding="utf-8")).items()
    }
    rows = [
        f"| {NAMES[name]} | {one.pictures} | {100 * one.all:.1f} | {100 * one.wrists:.1f}"
        f" | {100 * one.sure:.1f} |"
        for name, one in found.items()
    ]
    return MEASURED.format(
        every=EVERY, wanted=100 * WANTED, threshold=THRESHOLD, rows="\n".join(rows)
    ).rstrip()
