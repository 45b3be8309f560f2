"""The miniature's training images on disk: rendered in parallel, in shards written atomically."""

import io
import json
import multiprocessing
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tools.mini_diffusion import scenes
from tools.mini_diffusion.recipe import DataConfig
from vidda.control.draw_pose import COLORS, LIMB_BRIGHTNESS, draw_openpose
from vidda.control.edges import CannyEdges
from vidda.control.keypoints import Pose
from vidda.errors import ViddaError
from vidda.files import atomic, discard_partial, require_free
from vidda.progress import track
from vidda.workers import start_worker

VERSION = 2
"""Version of the rendered data; raise it when the scenes change.

In version 1 people were smaller in the air (1.3 to 1.6 body heights a side), and three shirts of
four had a pattern.
"""

PARTS = ("train", "held_out")

_FULL = np.array(COLORS, np.uint8)
PALETTE = np.unique(
    np.concatenate([np.zeros((1, 3), np.uint8), _FULL, (_FULL * LIMB_BRIGHTNESS).astype(np.uint8)]),
    axis=0,
)
"""All colors of pose maps: few enough that index, edge bit and person bit fit into one byte."""

EDGE, PERSON = 64, 128
assert len(PALETTE) <= EDGE


@dataclass(frozen=True)
class SceneImages:
    """N images with their annotations.

    frames: (N, S, S, 3) uint8 RGB; facts: (N, S, S) uint8 from `pack_facts`; keypoints: (N, 17, 3)
    float32 x, y in pixels and 1 if inside the image, else 0; captions: K for each image; air: (N,)
    bool, whether it is seen from the air; scene: (N,) number of each image's scene.
    """

    frames: np.ndarray
    facts: np.ndarray
    keypoints: np.ndarray
    captions: list[list[str]]
    air: np.ndarray
    scene: np.ndarray

    def __len__(self) -> int:
        return len(self.frames)

    def some(self, count: int) -> "SceneImages":
        """Return up to `count` of the images, spread evenly over the scenes."""
        return self.at(np.linspace(0, len(self) - 1, min(count, len(self))).astype(int))

    def at(self, chosen: np.ndarray) -> "SceneImages":
        """Return some of the images; chosen: their numbers (M,) int."""
        return SceneImages(
            self.frames[chosen],
            self.facts[chosen],
            self.keypoints[chosen],
            [self.captions[n] for n in chosen],
            self.air[chosen],
            self.scene[chosen],
        )

    def pose(self, numbers: slice) -> Pose:
        """Return the true poses of the images in a slice, one person in each."""
        points = self.keypoints[numbers, None]
        return Pose(points[..., :2], points[..., 2])


def pack_facts(poses: np.ndarray, edges: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Return pose maps (N, H, W, 3), edges and masks (N, H, W) packed into one byte a pixel."""
    index = np.searchsorted(_code(PALETTE), _code(poses)).astype(np.uint8)
    return index | np.where(edges > 0, EDGE, 0).astype(np.uint8) | (mask * np.uint8(PERSON))


def render(folder: Path, config: DataConfig, seed: int) -> None:
    """Render every shard that does not exist yet into a folder."""
    missing = [
        (part, number)
        for part in PARTS
        for number in range(_shards(config, part))
        if not _file(folder, config, seed, part, number).exists()
    ]
    total = sum(_shards(config, part) for part in PARTS)
    require_free(folder, len(missing) * config.shard * config.moments * 5 * config.size**2)
    folder.mkdir(parents=True, exist_ok=True)
    discard_partial(folder)
    done = total - len(missing)
    for _ in track(
        _rendered(folder, config, seed, missing),
        label="rendering",
        total=total,
        unit="shards",
        done=done,
    ):
        pass


def load(folder: Path, config: DataConfig, seed: int, part: str) -> SceneImages:
    """Load all images of a part, `train` or `held_out`."""
    shards = [
        _read(_file(folder, config, seed, part, number)) for number in range(_shards(config, part))
    ]
    whole = {name: np.concatenate([shard[name] for shard in shards]) for name in _ARRAYS}
    return SceneImages(
        frames=whole["frames"],
        facts=whole["facts"],
        keypoints=whole["keypoints"],
        captions=[captions for shard in shards for captions in json.loads(str(shard["captions"]))],
        air=whole["air"],
        scene=whole["scene"],
    )


def fingerprint(config: DataConfig, seed: int) -> str:
    """Return the settings that determine the images, as JSON."""
    chosen = config.model_dump(mode="json", exclude={"jobs", "shard"})
    return json.dumps({"version": VERSION, "seed": seed, **chosen}, sort_keys=True)


_ARRAYS = ("frames", "facts", "keypoints", "air", "scene")


def _code(colors: np.ndarray) -> np.ndarray:
    """Return colors (..., 3) as integers, in the order of `np.unique`."""
    wide = colors.astype(np.int32)
    return (wide[..., 0] << 16) | (wide[..., 1] << 8) | wide[..., 2]


def _shards(config: DataConfig, part: str) -> int:
    return -(-(config.scenes if part == "train" else config.held_out) // config.shard)


def _file(folder: Path, config: DataConfig, seed: int, part: str, number: int) -> Path:
    shape = f"{config.size}x{config.moments}x{config.captions}x{config.shard}"
    return folder / f"v{VERSION}_{seed}_{shape}_{part}_{number:04d}.npz"


def _read(file: Path) -> dict[str, np.ndarray]:
    with np.load(file, allow_pickle=False) as content:
        return {name: content[name] for name in (*_ARRAYS, "captions")}


def _rendered(
    folder: Path, config: DataConfig, seed: int, missing: list[tuple[str, int]]
) -> Iterator[int]:
    calls = [(_file(folder, config, seed, *which), config, seed, *which) for which in missing]
    return in_processes(_shard, calls, config.jobs, "data.jobs")


def in_processes(
    shard: Callable[..., int], calls: Sequence[tuple[Any, ...]], jobs: int, key: str
) -> Iterator[int]:
    """Call `shard` in several processes; yield what each call returns, as they end.

    calls: its arguments, once for each shard. jobs: processes; 0: one for each core. key: of that
    number, for the message. Raises ViddaError when a process was killed.
    """
    workers = min(jobs or os.cpu_count() or 1, max(len(calls), 1))
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, mp_context=context, initializer=start_worker) as pool:
        pending = [pool.submit(shard, *arguments) for arguments in calls]
        try:
            for future in as_completed(pending):
                yield future.result()
        except BrokenProcessPool:
            raise ViddaError(
                "a rendering process was killed, perhaps for lack of memory; the same command with"
                f" a smaller {key}=N resumes"
            ) from None
        finally:
            pool.shutdown(cancel_futures=True)


def _shard(file: Path, config: DataConfig, seed: int, part: str, number: int) -> int:
    first = number * config.shard
    count = config.scenes if part == "train" else config.held_out
    numbers = range(first, min(first + config.shard, count))
    rendered = [
        scenes.render_scene(
            (seed, PARTS.index(part), n), config.moments, config.size, config.captions
        )
        for n in numbers
    ]
    content = {
        "frames": np.concatenate([one.frames for one in rendered]),
        "facts": np.concatenate([_facts(one, config.size) for one in rendered]),
        "keypoints": np.concatenate(
            [np.concatenate([one.keypoints, one.inside[..., None]], axis=-1) for one in rendered]
        ).astype(np.float32),
        "captions": np.array(json.dumps([texts for one in rendered for texts in one.captions])),
        "air": np.repeat([one.air for one in rendered], config.moments),
        "scene": np.repeat(np.array(numbers), config.moments),
    }
    buffer = io.BytesIO()
    np.savez(buffer, **content)  # type: ignore[arg-type]
    with atomic(file) as temporary:
        temporary.write_bytes(buffer.getvalue())
    return number


def _facts(scene: scenes.RenderedScene, size: int) -> np.ndarray:
    """Return the packed edges of clean frames, true pose maps and masks, as in a translation."""
    pose = Pose(scene.keypoints[:, None], scene.inside[:, None].astype(np.float32))
    maps = draw_openpose(pose, size, size)
    return pack_facts(maps, CannyEdges().edges(scene.clean), scene.mask)
