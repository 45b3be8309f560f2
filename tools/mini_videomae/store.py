"""The clips for pre-training on disk: rendered in parallel, in shards written atomically."""

import io
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np

from tools.mini_diffusion.cache import in_processes
from tools.mini_videomae.clips import MotionClip, render_clip
from tools.mini_videomae.motions import draw_motion
from tools.mini_videomae.recipe import ClipsConfig
from vidda.files import atomic, discard_partial, require_free
from vidda.mini.gesture_file import Gesture
from vidda.progress import track

VERSION = 1
"""Version of the rendered clips; raise it when they change."""

PARTS = ("train", "held_out")


@dataclass(frozen=True)
class Clips:
    """N clips with what their renderer knows.

    frames: (N, T, S, S) uint8, arms: (N, T, 2, 2, 3) and points: (N, T, POINTS, 2) float32, see
    `MotionClip`. motion: (N,) number of each clip's motion.
    """

    frames: np.ndarray
    arms: np.ndarray
    points: np.ndarray
    motion: np.ndarray

    def __len__(self) -> int:
        return len(self.motion)


@cache
def motion(seed: int, number: int) -> Gesture:
    """Return the motion of a number; seed: of the recipe."""
    return draw_motion(np.random.default_rng((seed, number)))


def render(folder: Path, config: ClipsConfig, seed: int, jobs: int) -> None:
    """Render every shard that does not exist yet into a folder.

    jobs: processes; 0: one for each core. Raises ViddaError when one of them is killed.
    """
    shards = [(part, number) for part in PARTS for number in range(_shards(config, part))]
    missing = [which for which in shards if not _file(folder, config, seed, *which).exists()]
    each = config.shard * config.frames * config.size**2
    require_free(folder, len(missing) * each)
    folder.mkdir(parents=True, exist_ok=True)
    discard_partial(folder)
    done = len(shards) - len(missing)
    rendered = _rendered(folder, config, seed, missing, jobs)
    for _ in track(rendered, label="rendering", total=len(shards), unit="shards", done=done):
        pass


def load(folder: Path, config: ClipsConfig, seed: int, part: str) -> Clips:
    """Load all clips of a part, `train` or `held_out`."""
    shards = []
    for number in range(_shards(config, part)):
        with np.load(_file(folder, config, seed, part, number), allow_pickle=False) as content:
            shards.append({name: content[name] for name in _ARRAYS})
    return Clips(**{name: np.concatenate([one[name] for one in shards]) for name in _ARRAYS})


_ARRAYS = ("frames", "arms", "points", "motion")


def _shards(config: ClipsConfig, part: str) -> int:
    return -(-_count(config, part) // config.shard)


def _count(config: ClipsConfig, part: str) -> int:
    return config.motions * config.renders if part == "train" else config.held_out


def _file(folder: Path, config: ClipsConfig, seed: int, part: str, number: int) -> Path:
    shape = f"{config.rendered}x{config.size}x{config.frames}x{config.motions}x{config.shard}"
    return folder / f"v{VERSION}_{seed}_{shape}_{part}_{number:04d}.npz"


def _rendered(
    folder: Path, config: ClipsConfig, seed: int, missing: list[tuple[str, int]], jobs: int
) -> Iterator[int]:
    calls = [(_file(folder, config, seed, *which), config, seed, *which) for which in missing]
    return in_processes(_shard, calls, jobs, "jobs")


def _shard(file: Path, config: ClipsConfig, seed: int, part: str, number: int) -> int:
    first = number * config.shard
    numbers = np.arange(first, min(first + config.shard, _count(config, part)))
    made: list[MotionClip] = [
        render_clip(
            (seed, PARTS.index(part), int(n)),
            motion(seed, int(n) % config.motions),
            config.frames,
            config.rendered,
            config.size,
        )
        for n in numbers
    ]
    buffer = io.BytesIO()
    np.savez(
        buffer,
        frames=np.stack([one.frames for one in made]),
        arms=np.stack([one.arms for one in made]),
        points=np.stack([one.points for one in made]),
        motion=numbers % config.motions,
    )
    with atomic(file) as temporary:
        temporary.write_bytes(buffer.getvalue())
    return number
