"""What a personalized model is: a small JSON file beside its weights."""

import json
from pathlib import Path

import vidda
from vidda.files import write_text

CARD = "personalized.json"
FORMAT = "vidda-personalized-1"


def write_card(
    folder: Path,
    *,
    method: str,
    token: str | None,
    prompt: str | None,
    base: str,
    frames: str,
    resolution: int,
    steps: int,
) -> None:
    """Write it into the folder of the weights.

    token: the word that stands for the target, prompt: one with it; None where prompts play no
    part. base, frames: fingerprints of the base's weights and of the frames' pixels. resolution:
    of the frames, in pixels a side.
    """
    content = {
        "format": FORMAT,
        "method": method,
        "token": token,
        "prompt": prompt,
        "base": base,
        "frames": frames,
        "resolution": resolution,
        "steps": steps,
        "vidda": vidda.__version__,
    }
    write_text(folder / CARD, json.dumps(content, indent=2, ensure_ascii=False) + "\n")
