"""The description of a personalized model: a small JSON file beside its weights."""

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
    """Write personalized.json into the folder of the weights.

    method: its name in the config. token: the word for the target. prompt: one that contains it;
    both None for methods without prompts. base, frames: fingerprints of the base's weights and of
    the frames' pixels. resolution: pixels a side of the frames. steps: of training.
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
