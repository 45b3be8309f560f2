"""The clips of gestures other than RoCoG-v2's: a labeled dataset of varied people and places.

A place, indoors or outdoors, returns in clips of every class with other people and cameras. A
class's clips are CLASS/sceneNN_NNN.mp4; those of every fifth place are for validation.
"""

from collections.abc import Mapping

import numpy as np

from vidda.mini import appearance
from vidda.mini.body import Body
from vidda.mini.cameras import Viewpoint
from vidda.mini.gesture_file import Gesture
from vidda.mini.layout import ClipPlan, purpose_seed, syn_sun, syn_terrain
from vidda.mini.staging import Framing, Performer, Scene

PLACES = 60
VAL_EVERY = 5
PEOPLE = 40
SHARE_INDOORS = 0.6
PARTS = ("train", "val")
"""Names of the lists that the clips are divided into."""

FRAMING = Framing((1.35, 2.1), (-0.1, 0.1), (-0.06, 0.06))
"""From a person who fills the frame to one of half its height."""


def plans(seed: int, gestures: Mapping[str, Gesture], clips: int) -> list[ClipPlan]:
    """Return every clip of the dataset, class by class in alphabetical order.

    seed: of the dataset. gestures: by class name. clips: per class, 2 or more.
    """
    return [
        _clip(seed, name, gestures[name], label, number)
        for label, name in enumerate(sorted(gestures))
        for number in range(clips)
    ]


def class_and_scene(plan: ClipPlan) -> tuple[str, str]:
    """Return the names of a clip's class and of its place, such as scene07."""
    name, file = plan.path.split("/")
    return name, file.split("_")[0]


def _clip(seed: int, name: str, gesture: Gesture, label: int, number: int) -> ClipPlan:
    place = number % PLACES
    path = f"{name}/scene{place:02}_{number:03}.mp4"
    rng = np.random.default_rng(purpose_seed(seed, f"labeled clip {path}"))
    person = int(rng.integers(PEOPLE))
    factors = {"background", "shadow"} if rng.random() < 0.75 else set()
    factors |= {"clothes"} if rng.random() < 0.75 else set()
    place_rng = np.random.default_rng(purpose_seed(seed, f"labeled place {place}"))
    scene = Scene(
        gesture=gesture,
        person=_draw_person(seed, person),
        view="ground",
        viewpoint=_draw_viewpoint(rng),
        altitude_m=None,
        terrain=syn_terrain(place),
        sun_preset=syn_sun(place),
        mocap=True,
        factors=frozenset(factors),
        seed=purpose_seed(seed, path),
        outfit_seed=purpose_seed(seed, f"labeled outfit {person} {rng.integers(3)}"),
        surroundings_seed=purpose_seed(seed, f"labeled place {place}"),
        framing=FRAMING,
        indoor=bool(place_rng.random() < SHARE_INDOORS),
        from_start=True,
    )
    part = PARTS[place % VAL_EVERY == 1]
    return ClipPlan(path, label, (part,), scene)


def _draw_viewpoint(rng: np.random.Generator) -> Viewpoint:
    """Return a camera in a hand or on a stand, a few meters away, roughly in front."""
    return Viewpoint(
        azimuth=float(np.clip(rng.normal(0.0, 0.22), -0.6, 0.6)),
        height_m=rng.uniform(0.9, 1.8),
        distance_m=rng.uniform(2.4, 6.0),
        roll=float(np.clip(rng.normal(0.0, 0.1), -0.25, 0.25)),
    )


def _draw_person(seed: int, person: int) -> Performer:
    """Return a person of any build, the same in all of that person's clips."""
    rng = np.random.default_rng(purpose_seed(seed, f"labeled person {person}"))
    # Shorter arms and narrower shoulders than people's own: pose estimators see them so.
    shape = Body(
        height_m=rng.uniform(1.5, 1.98),
        build=rng.uniform(0.85, 1.2),
        shoulders=rng.uniform(0.82, 1.12),
        short_sleeves=bool(rng.random() < 0.5),
        short_trousers=bool(rng.random() < 0.3),
        long_hair=bool(rng.random() < 0.4),
        reach=rng.uniform(0.82, 1.06),
    )
    return Performer(
        shape,
        skin=int(rng.integers(len(appearance.SKINS))),
        left_handed=bool(rng.random() < 0.1),
        tempo=rng.uniform(0.8, 1.25),
        amplitude=rng.uniform(0.82, 1.1),
        unsteadiness=rng.uniform(0.6, 1.5),
    )
