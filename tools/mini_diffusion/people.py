"""The people in the miniature's training images: any body, any arms, clothes of vivid colors."""

from dataclasses import dataclass

import numpy as np

from tools.mini_diffusion.palette import HUES
from vidda.mini import appearance, gestures
from vidda.mini.body import Body, Limbs, Posture, joints, limbs
from vidda.mini.raster import Cloth
from vidda.sidecar import REGIONS

TEXELS = 64
TEXELS_PER_M = 90.0
TRIES = 12


@dataclass(frozen=True)
class Outfit:
    """Textures by region, and the caption's words: color and pattern above, color below."""

    cloth: dict[int, Cloth]
    upper: str
    pattern: str
    lower: str


def draw_body(rng: np.random.Generator) -> Body:
    """Return a random body, from small to tall and from slim to broad."""
    return Body(
        height_m=rng.uniform(1.5, 1.98),
        build=rng.uniform(0.86, 1.2),
        shoulders=rng.uniform(0.9, 1.12),
        short_sleeves=bool(rng.random() < 0.5),
        short_trousers=bool(rng.random() < 0.35),
        long_hair=bool(rng.random() < 0.45),
    )


def draw_outfit(rng: np.random.Generator, ground: np.ndarray) -> Outfit:
    """Return random clothes that contrast with a ground; ground: mean reflectance (3,)."""
    upper, lower = (str(name) for name in rng.choice(list(HUES), 2))
    pattern = str(rng.choice(list(PATTERNS), p=list(PATTERN_SHARES.values())))
    first = _bright(rng, np.array(HUES[upper]), ground)
    second = first * rng.uniform(0.35, 0.65)  # a darker tone is as vivid
    share = PATTERNS[pattern](rng)[..., None]
    skin = np.array(appearance.SKINS[rng.integers(len(appearance.SKINS))])
    textures = {
        "skin": skin * rng.uniform(0.85, 1.15),
        "upper": first * share + second * (1.0 - share),
        "lower": _bright(rng, np.array(HUES[lower]), ground),
        "shoes": np.array(HUES[str(rng.choice(list(HUES)))]) * rng.uniform(0.05, 0.5),
        "hair": np.array(appearance.HAIRS[rng.integers(len(appearance.HAIRS))]),
    }
    cloth = {
        REGIONS.index(name): Cloth(_texture(texture), TEXELS_PER_M)
        for name, texture in textures.items()
    }
    return Outfit(cloth, upper, pattern, lower)


def _texture(texture: np.ndarray) -> np.ndarray:
    """Return a color (3,) or a texture (h, w, 3) as a texture, (1, 1, 3) or (h, w, 3)."""
    return (texture.reshape(1, 1, 3) if texture.ndim == 1 else texture).astype(np.float32)


def _bright(rng: np.random.Generator, hue: np.ndarray, ground: np.ndarray) -> np.ndarray:
    """Return a hue at a random brightness with enough contrast, else at the best one tried."""
    levels = np.exp(rng.uniform(np.log(0.06), np.log(0.85), TRIES))
    ratio = levels * hue.mean() / ground.mean()
    contrast = np.maximum(ratio, 1.0 / ratio)
    enough = np.flatnonzero(contrast >= appearance.MIN_CONTRAST)
    chosen = levels[enough[0] if len(enough) else contrast.argmax()]
    color: np.ndarray = hue * chosen
    return color


def _even(rng: np.random.Generator) -> np.ndarray:
    return np.ones((1, 1))


def _dots(rng: np.random.Generator) -> np.ndarray:
    row, column = np.mgrid[:TEXELS, :TEXELS]
    period = int(rng.choice([8, 16, 32]))
    away = np.hypot(row % period - period / 2, column % period - period / 2)
    return (away > period * rng.uniform(0.2, 0.4)).astype(float)


def _slanted(rng: np.random.Generator) -> np.ndarray:
    row, column = np.mgrid[:TEXELS, :TEXELS] / TEXELS
    return (np.sin(2.0 * np.pi * rng.integers(3, 9) * (row + column)) > 0.0).astype(float)


def _shaded(rng: np.random.Generator) -> np.ndarray:
    row, _ = np.mgrid[:TEXELS, :TEXELS] / TEXELS
    return 0.5 + 0.5 * np.cos(2.0 * np.pi * row)


PATTERNS = {"plain": _even, "dotted": _dots, "slanted": _slanted, "shaded": _shaded}
"""Patterns of clothes, each a texture with the brighter tone's share in [0, 1]; the real domain has
worn, striped, checked and camouflaged ones instead."""

PATTERN_SHARES = {"plain": 0.7, "dotted": 0.1, "slanted": 0.1, "shaded": 0.1}
"""Probabilities of the patterns; mostly plain, or samples are mottled."""


@dataclass(frozen=True)
class Stance:
    """A body at T unrelated moments: its joints by name (T, 3), its surface, and its action."""

    points: dict[str, np.ndarray]
    surface: Limbs
    action: str
    gesture: str | None


def draw_stance(rng: np.random.Generator, body: Body, moments: int) -> Stance:
    """Return a stance at random moments of a random gesture, or with random arms."""
    if rng.random() < 0.5:
        gesture = str(rng.choice(gestures.GESTURES))
        arms = _gesturing(rng, gesture, moments)
        action = "waving both arms" if gesture in gestures.TWO_ARMED else "waving one arm"
    else:
        gesture = None
        arms, action = _anyhow(rng, moments)
    turned = rng.normal(0.0, 0.35) + rng.normal(0.0, 0.1, moments)
    posture = Posture(
        yaw=turned,
        lean_side=rng.normal(0.0, 0.03, moments),
        lean_front=rng.uniform(-0.03, 0.08, moments),
        head_turn=rng.normal(0.0, 0.2, moments),
        stance_m=rng.uniform(0.14, 0.5, moments),
    )
    points = joints(body, posture, arms)
    return Stance(points, limbs(body, points), action, gesture)


def _gesturing(rng: np.random.Generator, gesture: str, moments: int) -> np.ndarray:
    style = gestures.Style(
        start_s=0.0,
        end_s=99.0,
        raise_s=0.3,
        period_s=float(rng.uniform(0.7, 1.3)),
        amplitude=float(rng.uniform(0.7, 1.15)),
        left_handed=bool(rng.random() < 0.5),
    )
    arms = gestures.arms(gestures.ROCOG[gesture], rng.uniform(0.0, 3.0, moments), style)
    return _unit(arms + rng.normal(0.0, 0.1, arms.shape))


def _anyhow(rng: np.random.Generator, moments: int) -> tuple[np.ndarray, str]:
    """Return random arms (T, 2, 2, 3), hanging or in any direction outward, and the action."""
    rest = np.broadcast_to(np.stack(gestures.REST), (moments, 2, 2, 3))
    upper = _unit(rng.normal((0.5, 0.25, 0.0), 1.0, (moments, 2, 3)))
    fore = _unit(upper + rng.uniform(0.0, 1.6) * rng.normal(0.0, 1.0, upper.shape))
    free = np.stack([upper, fore], axis=2)
    raised = rng.random(2) < 0.65
    arms = np.where(raised[None, :, None, None], free, rest)
    action = ("standing", "moving one arm", "moving both arms")[int(raised.sum())]
    return _unit(arms + rng.normal(0.0, 0.05, arms.shape)), action


def _unit(vector: np.ndarray) -> np.ndarray:
    unit: np.ndarray = vector / np.linalg.norm(vector, axis=-1, keepdims=True)
    return unit
