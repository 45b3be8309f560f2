"""Rendering of training images: moments of random scenes with annotations and captions."""

from dataclasses import dataclass

import numpy as np

from tools.mini_diffusion.captions import Facts, caption
from tools.mini_diffusion.capture import draw_lens, draw_sun, perfect
from tools.mini_diffusion.people import draw_body, draw_outfit, draw_stance
from tools.mini_diffusion.places import Setting, backdrop, draw_setting
from vidda.control.keypoints import JOINTS
from vidda.mini import appearance, raster, shadows
from vidda.mini.cameras import Viewpoint, aim_camera
from vidda.mini.capture import capture_frames
from vidda.mini.raster import Cloth, Layers, Sun
from vidda.sidecar import REGIONS

RENDERED = 0.2
"""The share of scenes that look like the synthetic domain, which is the translation's source."""

GROUND_SIDE, AIR_SIDE = (1.3, 1.6), (1.1, 1.5)
"""Ranges of an image's side in body heights; smaller in the air, where people are foreshortened."""


@dataclass(frozen=True)
class RenderedScene:
    """T images of one scene.

    frames: (T, S, S, 3) uint8 RGB; clean: the same without the lens's effects; keypoints:
    (T, 17, 2) float32 pixels; inside: (T, 17) bool, whether they are in the image; mask: (T, S, S)
    bool, of the person; air: whether it is seen from the air; captions: K for each image.
    """

    frames: np.ndarray
    clean: np.ndarray
    keypoints: np.ndarray
    inside: np.ndarray
    mask: np.ndarray
    air: bool
    captions: list[list[str]]


@dataclass(frozen=True)
class _World:
    """The surroundings and clothes of a person."""

    sun: Sun
    cloth: dict[int, Cloth]
    facts: dict[str, str | None]
    setting: Setting | None
    place: appearance.Surroundings


def render_scene(seed: tuple[int, ...], moments: int, size: int, captions: int) -> RenderedScene:
    """Render a random scene by the seed: `moments` images of size x size pixels.

    captions: number of captions of each image.
    """
    rng = np.random.default_rng(seed)
    rendered = rng.random() < RENDERED
    body = draw_body(rng)
    stance = draw_stance(rng, body, moments)
    view, altitude = _viewpoint(rng)
    side = body.height_m * rng.uniform(*(GROUND_SIDE if altitude is None else AIR_SIDE))
    offset = (rng.uniform(-0.05, 0.05), rng.uniform(-0.04, 0.05))
    camera = aim_camera(view, 0.6 * body.height_m, side, size, offset)
    world = _rendered(rng) if rendered else _photographed(rng)
    if world.setting is None:
        behind, ground_at = appearance.render_backdrop(world.place, world.sun, camera, size)
    else:
        behind, ground_at = backdrop(world.setting, world.sun, camera, size)
    layers = raster.render_person(stance.surface, world.cloth, world.sun, [camera] * moments, size)
    shades = shadows.shadow_maps(stance.surface, world.sun)
    ground = shadows.shade_ground(behind, ground_at, shades, world.sun)
    light = _composed(ground, layers)
    taken = draw_lens(rng, moments, size)
    lens = perfect(moments) if rendered else taken.lens
    facts = Facts(
        medium="render" if rendered else "photo",
        view="ground" if altitude is None else "air",
        altitude_m=altitude,
        action=stance.action,
        gesture=stance.gesture,
        lens=() if rendered else taken.words,
        poor=taken.poor and not rendered,
        **world.facts,  # type: ignore[arg-type]
    )
    keypoints = np.stack([camera.project(stance.points[name])[0] for name in JOINTS], axis=1)
    return RenderedScene(
        frames=capture_frames(rng, light, lens, 0),
        clean=capture_frames(rng, light, perfect(moments), 0),
        keypoints=keypoints.astype(np.float32),
        inside=np.all((keypoints > -0.5) & (keypoints < size - 0.5), axis=-1),
        mask=layers.region > REGIONS.index("background"),
        air=altitude is not None,
        captions=[[caption(rng, facts) for _ in range(captions)] for _ in range(moments)],
    )


def _viewpoint(rng: np.random.Generator) -> tuple[Viewpoint, float | None]:
    """Return a random viewpoint, and its altitude in meters if it is in the air."""
    azimuth = rng.normal(0.0, np.radians(22.0))
    if rng.random() < 0.5:
        return Viewpoint(azimuth, rng.uniform(1.2, 2.4), rng.uniform(6.0, 14.0)), None
    altitude = rng.uniform(9.0, 40.0)
    distance = altitude / np.sin(np.radians(rng.uniform(27.0, 60.0)))
    return Viewpoint(azimuth, altitude, distance), float(altitude)


def _photographed(rng: np.random.Generator) -> _World:
    setting = draw_setting(rng)
    sun, light = draw_sun(rng)
    mean = setting.place.fine.mean((0, 1))
    outfit = draw_outfit(rng, mean)
    facts: dict[str, str | None] = {
        "upper": outfit.upper,
        "pattern": outfit.pattern,
        "lower": outfit.lower,
        "ground": setting.ground,
        "texture": setting.texture,
        "horizon": setting.horizon,
        "light": light,
    }
    return _World(sun, outfit.cloth, facts, setting, setting.place)


def _rendered(rng: np.random.Generator) -> _World:
    """Return surroundings like those of `vidda.mini.clip.render` for a synthetic clip."""
    terrain = str(rng.choice(list(appearance.TERRAINS)))
    place = appearance.draw_surroundings(rng, False, terrain)
    sun = appearance.draw_sun(rng, False, int(rng.integers(len(appearance.SUNS_DEG))))
    mean = place.fine.mean((0, 1))
    cloth = appearance.draw_clothes(rng, False, int(rng.integers(len(appearance.SKINS))), mean)
    unsaid = ("upper", "pattern", "lower", "texture", "horizon", "light")
    facts: dict[str, str | None] = {**dict.fromkeys(unsaid), "ground": terrain.lower()}
    return _World(sun, cloth, facts, None, place)


def _composed(ground: np.ndarray, layers: Layers) -> np.ndarray:
    light: np.ndarray = ground * (1.0 - layers.cover[..., None]) + layers.color
    return light.astype(np.float32)
