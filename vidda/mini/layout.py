"""The clips of MiniRoCoG, in RoCoG-v2's own tree, names and lists.

As in RoCoG-v2, test subjects are never in training, every training clip from the air is at 15 m,
and all clips at 30 m are of subject S00 in the air test set. A synthetic scene's index, modulo six,
decides its camera's azimuth; only some are frontal, as nearly all the real ones are.
"""

import zlib
from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np

from vidda.mini import appearance
from vidda.mini.body import Body
from vidda.mini.cameras import Viewpoint
from vidda.mini.gestures import GESTURES, ROCOG
from vidda.mini.staging import Performer, Scene

SYN_SCENES = 12
SYN_VAL_SCENES = (1, 9)
AZIMUTHS_DEG = (0, 30, 330, 15, 345, 45)
BODIES = [
    (race, build)
    for race in ("Caucasian", "AfricanAmerican", "EastIndian")
    for build in ("Thin", "Thick")
]
TRAIN_SUBJECTS = tuple(f"S{n:02d}" for n in range(1, 21))
VAL_SUBJECTS = TRAIN_SUBJECTS[-4:]
TEST_SUBJECTS = ("S00", *(f"S{n:02d}" for n in range(21, 26)))
SUBJECT_AT_30_M = "S00"
SHARE_AT_30_M = 0.3


@dataclass(frozen=True)
class Sizes:
    """Number of clips per class and view in each part of the dataset.

    syn_train, syn_val: synthetic clips. real_train: split by subject into train_tsonly and
    val_tsonly. real_test: of the test subjects.
    """

    syn_train: int
    syn_val: int
    real_train: int
    real_test: int


@dataclass(frozen=True)
class ClipPlan:
    """One clip to render.

    path: in the tree. label: class id. lists: names of the official lists that it is in. scene: its
    parameters.
    """

    path: str
    label: int
    lists: tuple[str, ...]
    scene: Scene


@dataclass(frozen=True)
class SynVideo:
    """The facts of one synthetic video in simulation_info, apart from its scene.

    gesture: the class's name. race, build: of the avatar, as in RoCoG-v2's names. mocap: whether it
    is labeled as motion capture, else as animation.
    """

    gesture: str
    race: str
    build: str
    mocap: bool


def plans(seed: int, sizes: Sizes, factors: frozenset[str]) -> list[ClipPlan]:
    """Return every clip of the dataset.

    seed: of the dataset. factors: those of `clip.FACTORS` that make the real clips look real.
    """
    both = [(view, _synthetic(seed, view, sizes)) for view in ("ground", "air")]
    real = [(view, _real(seed, view, sizes, factors)) for view in ("ground", "air")]
    return [plan for _, part in both + real for plan in part]


def syn_videos(sizes: Sizes) -> list[SynVideo]:
    """Return the playlist, as in RoCoG-v2's XML, that the {index} of a synthetic name refers to."""
    per_class = sizes.syn_train + sizes.syn_val
    return [
        SynVideo(gesture, *BODIES[n % len(BODIES)], mocap=n % 2 == 1)
        for gesture in GESTURES
        for n in range(per_class)
    ]


def syn_viewpoint(view: str, scene: int) -> Viewpoint:
    """Return the camera's position in a synthetic scene. view: ground or air. scene: its index."""
    azimuth = np.radians(AZIMUTHS_DEG[scene % 6])
    second_half = scene >= 6
    if view == "ground":
        return Viewpoint(azimuth, 1.75, 8.0 if second_half else 10.0)
    elevation = np.radians(48.0 if second_half else 36.0)
    distance = 18.0 if second_half else 26.0
    height = 1.0 + distance * np.sin(elevation)
    # A third of the scenes circle the person, as RoCoG-v2's orbital videos do.
    orbit = np.radians(8.0) if scene % 3 == 2 else 0.0
    return Viewpoint(azimuth, height, distance, orbit)


def syn_terrain(scene: int) -> str:
    """Return the name, as in RoCoG-v2's XML, of a synthetic scene's terrain. scene: its index."""
    return list(appearance.TERRAINS)[(scene // 2) % 2]


def syn_sun(scene: int) -> int:
    """Return the index, in appearance.SUNS_DEG, of a synthetic scene's sun. scene: its index."""
    return (scene // 4) % len(appearance.SUNS_DEG)


def _synthetic(seed: int, view: str, sizes: Sizes) -> list[ClipPlan]:
    videos = syn_videos(sizes)
    per_class = sizes.syn_train + sizes.syn_val
    train_scenes = [s for s in range(SYN_SCENES) if s not in SYN_VAL_SCENES]
    start = datetime(2022, 1, 30, 9, 0, 0) if view == "ground" else datetime(2022, 8, 20, 9, 0, 0)
    found = []
    for index, video in enumerate(videos):
        n = index % per_class
        validates = n >= sizes.syn_train
        pool = SYN_VAL_SCENES if validates else train_scenes
        # Two steps of the pool for each body and manner: no scene has only one of them.
        scene = pool[(n + n // len(pool)) % len(pool)]
        label = GESTURES.index(video.gesture)
        moment = start + timedelta(seconds=9 * index)
        stamp = f"{moment:%-d_%-m_%Y_%-H_%-M_%-S}"
        path = f"syn/{view}/{video.gesture}/Scene{scene}_{index}_{video.gesture}_{stamp}.mp4"
        plan_scene = Scene(
            gesture=ROCOG[video.gesture],
            person=_game_figure(seed, video, scene),
            view=view,
            viewpoint=syn_viewpoint(view, scene),
            altitude_m=None,
            terrain=syn_terrain(scene),
            sun_preset=syn_sun(scene),
            mocap=video.mocap,
            factors=frozenset(),
            seed=purpose_seed(seed, path),
            outfit_seed=purpose_seed(seed, f"syn outfit {index % 24}"),
            surroundings_seed=purpose_seed(seed, f"syn place {view} {scene}"),
        )
        list_name = f"syn_{view}_{'val' if validates else 'train'}"
        found.append(ClipPlan(path, label, (list_name,), plan_scene))
    return found


def _real(seed: int, view: str, sizes: Sizes, factors: frozenset[str]) -> list[ClipPlan]:
    found = []
    for gesture in GESTURES:
        for n in range(sizes.real_train):
            subject = TRAIN_SUBJECTS[n % len(TRAIN_SUBJECTS)]
            part = "val" if subject in VAL_SUBJECTS else "train"
            lists = (f"real_{view}_train", f"real_{view}_{part}_tsonly")
            found.append(_real_clip(seed, view, gesture, subject, n, lists, factors))
        high = round(SHARE_AT_30_M * sizes.real_test) if view == "air" else 0
        for n in range(sizes.real_test):
            others = TEST_SUBJECTS[1:] if view == "air" else TEST_SUBJECTS
            subject = SUBJECT_AT_30_M if n < high else others[n % len(others)]
            test = (f"real_{view}_test",)
            found.append(_real_clip(seed, view, gesture, subject, n, test, factors))
    return found


def _real_clip(
    seed: int,
    view: str,
    gesture: str,
    subject: str,
    n: int,
    lists: tuple[str, ...],
    factors: frozenset[str],
) -> ClipPlan:
    label = GESTURES.index(gesture)
    # Each subject returns with other clothes and, every time, to other surroundings.
    visit = n // (len(TRAIN_SUBJECTS) if subject in TRAIN_SUBJECTS else len(TEST_SUBJECTS))
    session = "b" if visit % 2 else ""
    meters = 10 if view == "ground" else 30 if subject == SUBJECT_AT_30_M else 15
    platform = "ground" if view == "ground" else "hover"
    start = 100 + 400 * n + 47 * label
    name = f"{subject}{session}_{meters}m_{platform}_label{label + 1}_start{start}.mp4"
    path = f"real/{view}/{gesture}/{name}"
    rng = np.random.default_rng(purpose_seed(seed, f"camera {path}"))
    scene = Scene(
        gesture=ROCOG[gesture],
        person=_volunteer(seed, subject),
        view=view,
        viewpoint=_real_viewpoint(rng, meters),
        altitude_m=float(meters) if view == "air" else None,
        terrain=syn_terrain(n),
        sun_preset=syn_sun(n),
        mocap=True,
        factors=factors,
        seed=purpose_seed(seed, path),
        outfit_seed=purpose_seed(seed, f"real outfit {subject}{session}"),
        surroundings_seed=purpose_seed(seed, f"real place {view} {subject} {visit}"),
    )
    return ClipPlan(path, label, lists, scene)


def _real_viewpoint(rng: np.random.Generator, meters: int) -> Viewpoint:
    """Return a camera on the ground 10 m away, or hovering at 15 or 30 m, nearly in front."""
    azimuth = rng.normal(0.0, np.radians(9.0))
    if meters == 10:
        return Viewpoint(azimuth, rng.uniform(1.3, 1.7), rng.uniform(9.5, 10.5))
    low, high = (32.0, 46.0) if meters == 15 else (42.0, 55.0)
    height = meters + rng.normal(0.0, 0.4)
    return Viewpoint(azimuth, height, height / np.sin(np.radians(rng.uniform(low, high))))


def _game_figure(seed: int, video: SynVideo, scene: int) -> Performer:
    """Return one of the game's few figures, for a body that the XML names."""
    female = scene % 2 == 1
    rng = np.random.default_rng(purpose_seed(seed, f"figure {video.race} {video.build} {female}"))
    shape = Body(
        height_m=rng.uniform(1.62, 1.72) if female else rng.uniform(1.74, 1.86),
        build=0.92 if video.build == "Thin" else 1.1,
        shoulders=0.93 if female else 1.04,
        short_sleeves=bool(rng.random() < 0.5),
        short_trousers=False,
        long_hair=female,
    )
    skin = {"Caucasian": 0, "EastIndian": 2, "AfricanAmerican": 3}[video.race]
    return Performer(shape, skin, left_handed=False, tempo=1.0, amplitude=1.0, unsteadiness=1.0)


def _volunteer(seed: int, subject: str) -> Performer:
    """Return a real subject, with the same body and manner in all of that subject's clips."""
    rng = np.random.default_rng(purpose_seed(seed, f"subject {subject}"))
    shape = Body(
        height_m=rng.uniform(1.58, 1.92),
        build=rng.uniform(0.88, 1.15),
        shoulders=rng.uniform(0.92, 1.1),
        short_sleeves=bool(rng.random() < 0.5),
        short_trousers=bool(rng.random() < 0.3),
        long_hair=bool(rng.random() < 0.4),
    )
    return Performer(
        shape,
        skin=int(rng.integers(len(appearance.SKINS))),
        left_handed=bool(rng.random() < 0.2),
        tempo=rng.uniform(0.85, 1.2),
        amplitude=rng.uniform(0.82, 1.08),
        unsteadiness=rng.uniform(0.8, 1.6),
    )


def purpose_seed(seed: int, text: str) -> tuple[int, int]:
    """Return a seed that depends on the purpose `text`, not on the order of the draws."""
    return seed, zlib.crc32(text.encode())
