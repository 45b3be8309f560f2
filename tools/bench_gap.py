"""Clips per second of the attributes of `vidda gap`, against decoding alone, in one run.

    python tools/bench_gap.py                     # makes its own files
    python tools/bench_gap.py FOLDER --repeats 9  # uses the videos of a folder

Three ways take turns on each file, so that a busy machine slows all alike: decoding every frame;
decoding the frames that the attributes are measured on, to their size; and the attributes, which
decode these frames themselves. Made files are measured once more with a sidecar of boxes, joints
and masks of the full size. Rates are from medians of CPU time, on one thread.
"""

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import cv2
import numpy as np
import torch

from vidda import video
from vidda.gap.clip_attributes import measure_attributes, pair_numbers
from vidda.types import ClipRecord

FRAMES, SIZES = 150, ((240, 320), (720, 1280))
ALL, SAME, OURS = "decoding every frame", "decoding the same frames", "attributes"
GOAL = 0.7
"""Wanted rate of the attributes as a share of that of decoding every frame."""
CLIPS, CORES, HOURS = 53_000, 8, 2
"""Clips to measure, cores that do it, and hours that it may take."""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", nargs="?", type=Path, help="videos to use; else some are made")
    parser.add_argument("--repeats", type=int, default=5, help="turns of each way on each file")
    parser.add_argument("--pairs", type=int, default=8, help="pairs of frames of a clip")
    parser.add_argument("--size", type=int, default=160, help="shorter side that is measured")
    arguments = parser.parse_args()
    cv2.setNumThreads(1)
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as scratch:
        if arguments.folder is None:
            clips, root = make_clips(Path(scratch)), Path(scratch)
        else:
            root = arguments.folder.absolute()
            names = sorted(one.name for one in root.iterdir() if one.suffix in (".mp4", ".mkv"))
            clips = [ClipRecord(name, name, None, "", "") for name in names]
        for clip in clips:
            compare(clip, root, arguments.repeats, arguments.pairs, arguments.size)
    return 0


def make_clips(folder: Path) -> list[ClipRecord]:
    """Return clips of two sizes, a moving texture each, without and with a sidecar."""
    rng = np.random.default_rng(0)
    clips = []
    for height, width in SIZES:
        coarse = rng.uniform(0, 255, (height // 8 + 40, width // 8 + 40, 3)).astype(np.float32)
        fine = cv2.resize(coarse, None, fx=8, fy=8, interpolation=cv2.INTER_CUBIC).clip(0, 255)
        frames = [fine[t : t + height, t : t + width] for t in range(FRAMES)]
        name = f"{width}x{height}.mp4"
        video.write(folder / name, np.stack(frames).astype(np.uint8), 30)
        clips.append(ClipRecord(name, name, None, "", "", meta={"sidecar": "none.npz"}))
        box = np.array([width * 0.4, height * 0.2, width * 0.55, height * 0.8])
        mask = np.zeros((FRAMES, height, width), np.uint8)
        mask[:, height // 5 : height * 4 // 5, width * 2 // 5 : width * 11 // 20] = 1
        joints = np.concatenate(
            [rng.uniform(0, height, (FRAMES, 17, 2)), np.full((FRAMES, 17, 1), 2)], 2
        )
        np.savez_compressed(
            folder / f"{name}.npz", box=np.tile(box, (FRAMES, 1)), mask=mask, keypoints=joints
        )
        meta = {"sidecar": f"{name}.npz"}
        clips.append(ClipRecord(f"{name} with a sidecar", name, None, "", "", meta=meta))
    return clips


def compare(clip: ClipRecord, root: Path, repeats: int, pairs: int, size: int) -> None:
    """Time all ways on one clip in alternation, and print the rates and the goals."""
    path = root / clip.path
    numbers = pair_numbers(video.probe(path).frames, pairs)
    ways: dict[str, Callable[[], object]] = {
        ALL: lambda: sum(1 for _ in video.stream(path)),
        SAME: lambda: video.read(path, numbers, size),
        OURS: lambda: measure_attributes(clip, root, pairs, size),
    }
    for way in ways.values():
        way()
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for turn in range(repeats):
        for name in rotated(list(ways), turn):
            start = time.process_time()
            ways[name]()
            seconds[name].append(time.process_time() - start)
    rates = {name: 1 / statistics.median(times) for name, times in seconds.items()}
    print(f"\n{clip.id}: {video.probe(path).frames} frames")
    for name, rate in rates.items():
        print(f"  {name:26} {rate:8.2f} clips/s")
    share, hours = rates[OURS] / rates[ALL], CLIPS / rates[OURS] / CORES / 3600
    print(f"  of decoding every frame    {share:8.2f}   goal {GOAL}: {verdict(share >= GOAL)}")
    print(f"  of decoding the same       {rates[OURS] / rates[SAME]:8.2f}")
    wanted = f"goal {HOURS}: {verdict(hours < HOURS)}"
    print(f"  hours for {CLIPS} on {CORES} cores {hours:7.2f}   {wanted}")


def rotated(names: Sequence[str], turn: int) -> list[str]:
    """Return the names in order, beginning with another one at each turn."""
    first = turn % len(names)
    return [*names[first:], *names[:first]]


def verdict(met: bool) -> str:
    return "met" if met else "MISSED"


if __name__ == "__main__":
    sys.exit(main())
