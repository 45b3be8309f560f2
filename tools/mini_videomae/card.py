"""The model card of the built-in VideoMAE: description, data, training and quality."""

import json
from dataclasses import asdict
from pathlib import Path

from tools.mini_diffusion.card import cost_of
from tools.mini_videomae.clips import POINTS
from tools.mini_videomae.measure import WANTED, Figures
from tools.mini_videomae.motions import NEAREST_DEG
from tools.mini_videomae.network import INPUT, WEIGHTS
from tools.mini_videomae.recipe import Recipe
from vidda.files import write_text

CARD = "README.md"
COST = "cost.json"
FIGURES = "figures.json"

TEXT = """\
# vidda's built-in VideoMAE

A VideoMAE encoder of {size:.1f} MB in transformers' format, so that `vidda train` has a VideoMAE to
start from on a laptop, without a download. It knows the arms of computer-drawn people. It is a
stand-in for VideoMAE's weights of Kinetics in tests and demonstrations, and of no other use: it has
seen no photograph of anybody.

| file | |
| --- | --- |
| `config.json` | {sizes} |
| `{weights}` | the encoder and the norm before the head, in fp16; there is no head |

    model.name=videomae model.size={pixels} model.input={input} \\
        model.start="{{name: folder, path: 'builtin:mini_videomae'}}"

Its input is `{input}`, see `vidda/recognize/motion_input.py`.

## Data

{clips} computer-drawn clips of one person, {frames} frames at 8 a second, from the ground and
from the air: {motions} random motions of the arms, each by {renders} people in other places.
Nothing from the internet, and no clip of MiniRoCoG, of its `synthetic` or its `real` domain.

- Motions: one or both arms hold, circle or repeat random poses. Each differs by {nearest:g} degrees
  or more from every one of RoCoG-v2's seven gestures and of the thirteen drone commands
  (`tools/mini_videomae/motions.py`); their labels never appear.
- People, clothes, places, light and cameras are those of `builtin:mini_diffusion`'s scenes, whose
  grounds, clothes, suns and lenses the `real` domain does not have.
- At random: zoom, shift, turn, mirror, a shaking camera, gamma, noise.

`tests/test_train_mini_videomae.py` tests it. Bodies, viewpoints, colors of skin and that cameras
shake are shared.

## Training

`tools/train_mini_videomae.py`, seed {seed}: {steps} steps of {batch} clips, Muon and AdamW{cost}.
The encoder sees {visible:.0f}% of the positions, those near the person first, and in
{unmasked:.0f}% of the steps all. It is supervised by what the renderer knows: the directions of
both arms in every frame, in the body's own axes; the places of {joints} joints in the image; and
which of the {motions} motions a clip shows. Masked pixels are not reconstructed: that taught little
on clips like these.

## Quality

{quality}

## Limits

One person, who stands and is as large as the image, and moves the arms. It says nothing about how a
VideoMAE of real video would do.
"""

MEASURED = """\
Fine-tuned by `configs/train/mini_videomae.yaml` on MiniRoCoG's real training clips from the ground,
which took {seconds:.0f} s of processor time: {accuracy:.1f}% of its {clips} real test clips are
recognized (wanted: {wanted:.0f}), one seed.
"""

HELD_OUT = """\
On {clips} held-out clips of the same motions by other people, at the end of pre-training: upper
arms are off by {upper:.0f} degrees on average and forearms by {fore:.0f}; {wrists:.0f}% of the
wrists are found within a patch; {motions:.0f}% of the motions are found among {all}.
"""


def save_figures(recipe: Recipe, found: Figures) -> None:
    """Write the figures into the run folder, where the model card reads them."""
    write_text(recipe.out / FIGURES, json.dumps(asdict(found), indent=2) + "\n")


def write(folder: Path, recipe: Recipe) -> None:
    """Write the model card into a model's folder, with the measurements made so far."""
    clips, model, training = recipe.clips, recipe.model, recipe.training
    text = TEXT.format(
        size=(folder / WEIGHTS).stat().st_size / 1e6,
        weights=WEIGHTS,
        sizes=f"patches of {model.tubelet}x{model.patch}x{model.patch}, width {model.width},"
        f" {model.layers} layers, {model.heads} heads",
        frames=clips.frames,
        pixels=model.size,
        input=INPUT,
        clips=clips.motions * clips.renders,
        motions=clips.motions,
        renders=clips.renders,
        nearest=NEAREST_DEG,
        seed=recipe.seed,
        steps=training.steps,
        batch=training.batch,
        visible=100 * training.visible,
        unmasked=100 * training.unmasked,
        joints=len(POINTS),
        cost=cost_of(recipe.out / COST),
        quality=f"{_held_out(recipe)}\n{_fine_tuned(recipe.out / FIGURES)}",
    )
    write_text(folder / CARD, text)


def _held_out(recipe: Recipe) -> str:
    """Return the last figures on held-out clips, as text."""
    lines = (recipe.out / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
    found = [one for one in map(json.loads, lines) if "held_out/wrists" in one][-1]
    return HELD_OUT.format(
        clips=recipe.clips.held_out,
        upper=found["held_out/upper_arms_deg"],
        fore=found["held_out/forearms_deg"],
        wrists=100 * found["held_out/wrists"],
        motions=100 * found["held_out/motions"],
        all=recipe.clips.motions,
    )


def _fine_tuned(file: Path) -> str:
    if not file.exists():
        return "Not measured yet after fine-tuning: `--measure` does."
    found = Figures(**json.loads(file.read_text(encoding="utf-8")))
    return MEASURED.format(
        clips=found.clips,
        seconds=found.seconds,
        accuracy=100 * found.accuracy,
        wanted=100 * WANTED,
    ).rstrip()
