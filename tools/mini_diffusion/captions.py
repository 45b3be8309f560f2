"""Captions of images, composed from the facts of their scene."""

from dataclasses import dataclass

import numpy as np

GOOD = ("best quality", "extremely detailed")
POOR = (
    *("longbody", "lowres", "bad anatomy", "bad hands", "missing fingers", "extra digit"),
    *("fewer digits", "cropped", "worst quality", "low quality"),
)
"""Quality words, the same as in vidda's own prompts."""

MEDIA = {"photo": ("photo", "picture", "video frame"), "render": ("render", "game", "simulation")}


@dataclass(frozen=True)
class Facts:
    """The facts that a caption may name; None where unknown or not applicable."""

    medium: str
    view: str
    altitude_m: float | None
    upper: str | None
    pattern: str | None
    lower: str | None
    ground: str
    texture: str | None
    horizon: str | None
    light: str | None
    action: str
    gesture: str | None
    lens: tuple[str, ...]
    poor: bool


def caption(rng: np.random.Generator, facts: Facts) -> str:
    """Return a caption with a random choice of the facts, in random wording."""
    who = f"a {_opening(rng, facts)}of a person" if rng.random() < 0.7 else "a person"
    parts = [" ".join([who, *_clothes(rng, facts)])]
    if rng.random() < 0.6:
        named = facts.gesture is not None and rng.random() < 0.5
        parts[0] += f" {facts.gesture.lower()}" if named and facts.gesture else f" {facts.action}"
    details = [_ground(rng, facts), _view(rng, facts)]
    if facts.horizon and rng.random() < 0.5:
        details.append(f"{facts.horizon} behind")
    if facts.light and rng.random() < 0.4:
        details.append(f"{facts.light} light")
    parts += [text for text in details if text and rng.random() < 0.7]
    quality = POOR if facts.poor else GOOD
    if rng.random() < (0.7 if facts.poor else 0.4):
        count = int(rng.integers(1, len(quality) + 1))
        parts += [str(word) for word in rng.choice(quality, count, replace=False)]
    if facts.poor and rng.random() < 0.2:
        return ", ".join(POOR)
    return ", ".join(parts)


def _opening(rng: np.random.Generator, facts: Facts) -> str:
    medium = str(rng.choice(MEDIA[facts.medium]))
    words = [word for word in facts.lens if rng.random() < 0.8]
    return " ".join([*words, medium, ""])


def _clothes(rng: np.random.Generator, facts: Facts) -> list[str]:
    if facts.upper is None or facts.pattern is None or facts.lower is None or rng.random() < 0.4:
        return []
    pattern = [facts.pattern] if rng.random() < 0.5 else []
    shirt = ["in", "a", *pattern, facts.upper, "shirt"]
    return [*shirt, "and", facts.lower, "trousers"] if rng.random() < 0.6 else shirt


def _ground(rng: np.random.Generator, facts: Facts) -> str:
    texture = f"{facts.texture} " if facts.texture and rng.random() < 0.5 else ""
    return f"on {texture}{facts.ground}"


def _view(rng: np.random.Generator, facts: Facts) -> str:
    if facts.altitude_m is None:
        return "seen from the ground"
    # The spelling is one that the shipped tokenizer knows as a word.
    exact = f"from {facts.altitude_m:.0f} metres" if rng.random() < 0.3 else ""
    return exact or str(rng.choice(["seen from the air", "seen by a drone", "seen from above"]))
