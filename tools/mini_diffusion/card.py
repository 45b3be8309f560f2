"""The model card of the miniature: description, data, training and quality."""

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

from tools.mini_diffusion.gate import (
    FIGURES,
    LEAST_EDGES,
    MOST_CHROMA,
    MOST_MOTTLE,
    WANTED,
    WANTED_WRISTS,
)
from tools.mini_diffusion.networks import bytes_in
from tools.mini_diffusion.palette import FARTHEST_ALIKE
from tools.mini_diffusion.recipe import Recipe
from tools.mini_diffusion.words import vocabulary
from vidda.files import write_text

CARD = "README.md"
COST = "cost.json"

TEXT = """\
# vidda's miniature Stable Diffusion

A latent text-to-image diffusion model of {size:.1f} MB in diffusers' format, so that vidda works
out of the box, on a laptop, without a download. It draws one person, cropped around them, in
pictures of {pixels}x{pixels} pixels. It is a stand-in for Stable Diffusion in tests and
demonstrations, and of no other use.

| part | class | |
| --- | --- | --- |
| `vae` | AutoencoderTiny | {latents} channels, a latent is {side}x{side} pixels |
| `unet` | UNet2DConditionModel | widths {unet}, v-prediction, zero terminal SNR |
| `text_encoder`, `tokenizer` | CLIPTextModel, CLIPTokenizer | width {text}, {words} words |
| `controlnet_edges` | ControlNetModel | Canny's edges near the person (`vidda.control.edges`) |
| `controlnet_pose` | ControlNetModel | OpenPose's skeletons (`vidda.control.draw_pose`) |

Sample with DDIM, steps spaced `trailing`, 7 to 20 steps, guidance 1 to 3. PNDM cannot be used.

## Data

Computer-drawn scenes, {moments} pictures of each, of one person with any arms or one of the seven
gestures, from the ground and from the air, with captions from the scene's facts. No photograph of
anybody, nothing from the internet. One scene in five looks as MiniRoCoG's `synthetic` domain does.
Nothing looks as its `real` domain, which is what vidda adapts to; `tools/mini_diffusion` says how,
and `tests/test_mini_diffusion.py` tests it:

- grounds: none nearer than Delta E {ground:.0f} to any of the real domain's, and laid, tiled, woven
  or wavy, where the real ones are soft mixtures of two colors;
- behind: sea, sunset, mountains, wall, studio or night, not trees and houses with windows;
- clothes: colors more vivid than any of the real domain's; dotted, slanted, shaded or plain, not
  worn, striped, checked or camouflaged;
- light: a sun lower than 28 or higher than 75 degrees, or hardly any, which the real one never is;
- camera: no shaking, no compression, and blur, exposure, haze and noise only stronger than there.

Bodies, gestures, viewpoints and the colors of skin and hair are shared.

## Training

{training}

## Quality

{quality}

## Limits

It knows few words (others are read letter by letter, and mean nothing) and one kind of picture.
Faces, hands and text are beyond {pixels} pixels. It draws what its data were drawn from, so it says
nothing about how a large model would do.
"""

FROM_RANDOM = """\
`tools/train_mini_diffusion.py`, seed {seed}, on {scenes} scenes: the autoencoder ({a} steps of
{a_batch}), then text encoder, UNet and both ControlNets together ({d} steps of
{d_batch}){cost}.{scaled}"""

FURTHER = """\
Then all but the autoencoder were trained further, seed {seed}, on {scenes} other scenes: {d} steps
of {d_batch} at a learning rate of {lr:g}{cost}.{scaled}"""

SCALED = "\nThe ControlNets' outputs were then multiplied by {factor:g}."

TRAINING, AFTER = "## Training\n\n", "\n\n## Quality"
"""The lines around the training's history in a card."""

GATE = """\
Poses that were found again in {steps}-step samples from pure noise, guidance {guidance:g}, with the
controls of {pictures} held-out pictures (PCK@0.1, in percent of the joints; by the pose alone at
least {wanted:.0f}, and {wrists:.0f} of the wrists, are wanted in each view), and the looks of the
samples: standard deviation of a* and b* over the shirt (mottle), gradient of L* in the background
(edges), and 99th percentile of the chroma. Of samples by both ControlNets at most {mottle:g}, at
least {edges:g} and at most {chroma:g} times those of the pictures are wanted.
{verdict}

| ControlNets | view | all joints | wrists | mottle | edges | chroma |
| --- | --- | --- | --- | --- | --- | --- |
{rows}

`pictures` are the held-out pictures themselves, as the same estimator sees them.
"""


PASSED = "The gate is passed."


def write(folder: Path, recipe: Recipe) -> None:
    """Write the model card into a pipeline's folder, with the measurements made so far."""
    text = TEXT.format(
        size=bytes_in(folder) / 1e6,
        pixels=recipe.data.size,
        latents=recipe.sizes.latents,
        side=2 ** (recipe.sizes.vae_levels - 1),
        unet=", ".join(map(str, recipe.sizes.unet)),
        text=recipe.sizes.text,
        words=len(vocabulary()),
        moments=recipe.data.moments,
        ground=FARTHEST_ALIKE,
        training=_training(recipe),
        quality=_quality(recipe.out / FIGURES),
    )
    write_text(folder / CARD, text)


def _training(recipe: Recipe) -> str:
    """Return the history of the training, which begins with that of the earlier result, if any."""
    text = FROM_RANDOM if recipe.start is None else FURTHER
    factor = recipe.control_scale
    own = text.format(
        seed=recipe.seed,
        a=recipe.autoencoder.steps,
        d=recipe.denoiser.steps,
        a_batch=recipe.autoencoder.batch,
        d_batch=recipe.denoiser.batch,
        lr=recipe.denoiser.lr,
        scenes=recipe.data.scenes,
        cost=cost_of(recipe.out / COST),
        scaled="" if factor == 1.0 else SCALED.format(factor=factor),
    )
    if recipe.start is None:
        return own
    earlier = (recipe.start / CARD).read_text(encoding="utf-8")
    return f"{earlier.partition(TRAINING)[2].partition(AFTER)[0]}\n{own}"


def cost_of(file: Path) -> str:
    """Return the training time by kind of machine, as text; empty when not recorded."""
    if not file.exists():
        return ""
    spent: dict[str, float] = json.loads(file.read_text(encoding="utf-8"))
    each = [f"{timedelta(seconds=round(s))} on {machine}" for machine, s in spent.items()]
    return f"; {' and '.join(each)}"


def _quality(file: Path) -> str:
    if not file.exists():
        return "Not measured yet: `--gate` does."
    found: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    rows = [
        f"| {way} | {view} | {100 * s['pose']['all']:.1f} | {100 * s['pose']['wrists']:.1f} |"
        f" {s['looks']['mottle']:.1f} | {s['looks']['edges']:.2f} | {s['looks']['chroma']:.1f} |"
        for way, views in found["found"].items()
        for view, s in views.items()
    ]
    missed = found["failures"]
    return GATE.format(
        pictures=found["pictures"],
        steps=found["steps"],
        guidance=found["guidance"],
        wanted=100 * WANTED,
        wrists=100 * WANTED_WRISTS,
        mottle=MOST_MOTTLE,
        edges=LEAST_EDGES,
        chroma=MOST_CHROMA,
        verdict=f"The gate is not passed: {'; '.join(missed)}."
        if missed
        else "The gate is passed.",
        rows="\n".join(rows),
    ).rstrip()
