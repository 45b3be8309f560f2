"""Clips per second of vidda's reader and of its alternatives, on the same files in one run.

    python tools/bench_video.py                     # makes its own files
    python tools/bench_video.py FOLDER --repeats 9  # uses the videos of a folder

Each method reads 16 frames, spread over the clip, as (16, S, S, 3) uint8 RGB; a ClipDataset item is
also converted to float32 and normalized. Methods take turns on each file, so that a busy machine
slows all alike; results are medians. All decode with one thread unless their row says otherwise.
"""

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import torch
from av.video.reformatter import VideoReformatter

from vidda import video
from vidda.data.dataset import ClipDataset
from vidda.data.frame_cache import FrameCache
from vidda.data.frame_sampling import UniformSampling
from vidda.data.transforms import Resize, TransformConfig
from vidda.types import ClipRecord, Manifest
from vidda.video._decord import decord
from vidda.video.index import _index

FRAMES, HEIGHT, WIDTH, PICKED = 250, 256, 340, 16
SUFFIXES = {".mp4", ".mkv", ".avi", ".webm"}

Method = Callable[[Path, np.ndarray, int], np.ndarray | None]

# Names of methods that the goals refer to.
LIMIT = "decoding alone (the limit)"
OURS = "vidda.video.read"
OURS_AGAIN = "vidda.video.read, file seen before"
CACHED = "vidda from cache"
PLAIN = "plain PyAV loop, PyAV's threads"
PLAIN_ONE = "plain PyAV loop"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", nargs="?", type=Path, help="videos to use; else some are made")
    parser.add_argument("--clips", type=int, default=4, help="how many videos to make")
    parser.add_argument("--repeats", type=int, default=5, help="turns of each method on each file")
    parser.add_argument("--sizes", type=int, nargs="+", default=[112, 224], help="S, in pixels")
    arguments = parser.parse_args()
    cv2.setNumThreads(1)
    torch.set_num_threads(1)  # as in the workers of a loader
    with tempfile.TemporaryDirectory() as scratch:
        if arguments.folder is None:
            files = make_files(Path(scratch) / "videos", arguments.clips)
        else:
            files = sorted(p for p in arguments.folder.iterdir() if p.suffix in SUFFIXES)
        for file in files:
            print(f"{file.name}: {video.probe(file).frames} frames, {file.stat().st_size} bytes")
        others = other_methods(files[0])
        for size in arguments.sizes:
            compare(files, others, size, arguments.repeats, Path(scratch) / "cache")
    return 0


def compare(
    files: Sequence[Path], others: dict[str, Method], size: int, repeats: int, scratch: Path
) -> None:
    """Time all methods on all files, and print the table and the goals for one size."""
    methods = others | our_methods(files, size, scratch)
    picks = {
        f: UniformSampling(frames=PICKED, jitter=False).pick(video.probe(f).frames, None)[0]
        for f in files
    }
    times: dict[str, dict[Path, list[float]]] = {m: {f: [] for f in files} for m in methods}
    cpu_times: dict[str, dict[Path, list[float]]] = {m: {f: [] for f in files} for m in methods}
    wrong: dict[str, int] = dict.fromkeys(methods, 0)
    for file in files:
        truth = sequential(file, picks[file], size)
        for name, method in methods.items():  # also the warm-up, and what fills the cache
            wrong[name] += not agrees(method(file, picks[file], size), truth)
    for turn in range(repeats):
        for file in files:
            order = list(methods)
            order = order[turn % len(order) :] + order[: turn % len(order)]
            for name in order:
                start, start_cpu = time.perf_counter(), time.process_time()
                methods[name](file, picks[file], size)
                times[name][file].append(time.perf_counter() - start)
                cpu_times[name][file].append(time.process_time() - start_cpu)
    seconds = {m: mean_seconds(t) for m, t in times.items()}
    table(size, seconds, {m: mean_seconds(t) for m, t in cpu_times.items()}, wrong)
    goals(seconds, [n for n in others if n != LIMIT and not wrong[n]])


def mean_seconds(times: dict[Path, list[float]]) -> float:
    """Return the mean over files of each file's median time."""
    return statistics.mean(statistics.median(t) for t in times.values())


def table(
    size: int, seconds: dict[str, float], cpu: dict[str, float], wrong: dict[str, int]
) -> None:
    """Print the table of one size.

    CPU time includes other threads, and depends less on other jobs than wall time.
    """
    print(f"\n{PICKED} frames at {size}x{size:<23}clips/s  ours is x times  CPU ms/clip  x  wrong")
    ours, ours_cpu = seconds[OURS], cpu[OURS]
    for name, s in sorted(seconds.items(), key=lambda item: item[1]):
        print(
            f"  {name:<36}{1 / s:10.1f}{s / ours:17.2f}"
            f"{1000 * cpu[name]:13.1f}{cpu[name] / ours_cpu:7.2f}{wrong[name]:4}"
        )


def goals(seconds: dict[str, float], rivals: Sequence[str]) -> None:
    """Print whether each goal is met; rivals: the alternatives whose frames are right."""
    ours = seconds[OURS]
    best = min(rivals, key=seconds.__getitem__)
    item, cached_item = seconds["ClipDataset item"], seconds["ClipDataset item from cache"]
    wanted_ratios = [
        (f"as fast as the fastest right one ({best})", seconds[best] / ours, 1.0),
        ("time within 1.3 of decoding alone", seconds[LIMIT] / ours, 1 / 1.3),
        ("2.5 times the plain loop as users write it", seconds[PLAIN] / ours, 2.5),
        ("2.5 times the plain loop with one thread", seconds[PLAIN_ONE] / ours, 2.5),
        ("3 times again from the cache", ours / seconds[CACHED], 3.0),
        ("3 times again from the cache, whole items", item / cached_item, 3.0),
    ]
    for text, ratio, wanted in wanted_ratios:
        print(
            f"  {'met   ' if ratio >= wanted else 'MISSED'} {ratio:6.2f} of {wanted:4.2f}: {text}"
        )


def other_methods(file: Path) -> dict[str, Method]:
    """Return the alternatives to vidda's reader, by name; each picks the same frames."""
    methods: dict[str, Method] = {
        LIMIT: decode_only,
        PLAIN_ONE: lambda f, n, s: plain_loop(f, n, s, one_thread=True),
        PLAIN: lambda f, n, s: plain_loop(f, n, s, one_thread=False),
        "tuned PyAV loop": sequential,
        "plain decord": lambda f, n, s: plain_decord(f, n, s, threads=1),
        "plain decord, its own threads": lambda f, n, s: plain_decord(f, n, s, threads=0),
        "plain decord, its own resize": decord_resized,
    }
    return methods | ({"torchcodec": torchcodec} if torchcodec_loads(file) else {})


def torchcodec_loads(file: Path) -> bool:
    """Return whether torchcodec can read a file on this machine."""
    try:
        torchcodec(file, np.zeros(1, int), 8)
    except (ImportError, RuntimeError, OSError) as error:
        print(f"torchcodec does not load here: {str(error).splitlines()[0]}")
        return False
    return True


def torchcodec(file: Path, numbers: np.ndarray, size: int) -> np.ndarray:
    """Read frames with torchcodec, in one thread."""
    from torchcodec.decoders import VideoDecoder

    decoder = VideoDecoder(str(file), dimension_order="NHWC", num_ffmpeg_threads=1)
    return resized(decoder.get_frames_at(numbers.tolist()).data.numpy(), size)


def our_methods(files: Sequence[Path], size: int, scratch: Path) -> dict[str, Method]:
    """Return vidda's own methods, by name."""
    cache = FrameCache(scratch / "frames", min_free_gib=1)
    clips = tuple(ClipRecord(f.name, f.name, 0, "real", "ground") for f in files)
    manifest = Manifest(files[0].parent, ("any",), clips)
    position = {file: number for number, file in enumerate(files)}
    sampling = UniformSampling(frames=PICKED)
    transform = TransformConfig(size=size, crop=Resize())
    fresh = ClipDataset(manifest, sampling, transform)
    kept = ClipDataset(manifest, sampling, transform, cache=scratch / "items")

    def ours(file: Path, numbers: np.ndarray, size: int) -> np.ndarray:
        _index.cache_clear()  # as if this process had never seen the file
        return video.read(file, numbers, (size, size))

    def ours_again(file: Path, numbers: np.ndarray, size: int) -> np.ndarray:
        video.probe(file)
        return video.read(file, numbers, (size, size))

    def cached(file: Path, numbers: np.ndarray, size: int) -> np.ndarray:
        side = (size, size)
        return cache.frames(file, side, "all", lambda: video.read(file, None, side))[numbers]

    def item(file: Path, numbers: np.ndarray, size: int) -> None:
        _index.cache_clear()
        fresh[position[file]]

    def cached_item(file: Path, numbers: np.ndarray, size: int) -> None:
        kept[position[file]]

    return {
        OURS: ours,
        OURS_AGAIN: ours_again,
        CACHED: cached,
        "ClipDataset item": item,
        "ClipDataset item from cache": cached_item,
    }


def decode_only(file: Path, numbers: np.ndarray, size: int) -> None:
    """Decode up to the last frame, without conversion to RGB."""
    with av.open(str(file)) as container:
        stream = container.streams.video[0]
        stream.codec_context.thread_count = 1
        for number, _ in enumerate(container.decode(stream)):
            if number == numbers[-1]:
                break


def plain_loop(file: Path, numbers: np.ndarray, size: int, one_thread: bool) -> np.ndarray:
    """Read all frames in a PyAV loop as users write it, and pick from them."""
    with av.open(str(file)) as container:
        stream = container.streams.video[0]
        if one_thread:
            stream.codec_context.thread_count = 1
        every = [
            frame.reformat(format="rgb24", threads=1).to_ndarray()
            if one_thread
            else frame.to_ndarray(format="rgb24")
            for frame in container.decode(stream)
        ]
    return resized(np.stack(every)[numbers], size)


def sequential(file: Path, numbers: np.ndarray, size: int) -> np.ndarray:
    """Read frames in a tuned PyAV loop, which converts only those that are picked."""
    wanted, picked = set(numbers.tolist()), {}
    reformatter = VideoReformatter()
    with av.open(str(file)) as container:
        stream = container.streams.video[0]
        stream.codec_context.thread_count = 1
        for number, frame in enumerate(container.decode(stream)):
            if number in wanted:
                image = reformatter.reformat(frame, format="rgb24", threads=1)
                picked[number] = image.to_ndarray()
            if number == numbers[-1]:
                break
    return resized(np.stack([picked[n] for n in numbers.tolist()]), size)


def plain_decord(file: Path, numbers: np.ndarray, size: int, threads: int) -> np.ndarray:
    """Read frames with decord, and resize them afterwards."""
    reader = decord.VideoReader(str(file), num_threads=threads)
    return resized(reader.get_batch(numbers.tolist()).asnumpy(), size)


def decord_resized(file: Path, numbers: np.ndarray, size: int) -> np.ndarray:
    """Read frames with decord, resized by it."""
    reader = decord.VideoReader(str(file), width=size, height=size, num_threads=1)
    return reader.get_batch(numbers.tolist()).asnumpy()


def resized(frames: np.ndarray, size: int) -> np.ndarray:
    """Return frames resized to size x size pixels by area averaging."""
    return np.stack([cv2.resize(f, (size, size), interpolation=cv2.INTER_AREA) for f in frames])


def agrees(frames: np.ndarray | None, truth: np.ndarray) -> bool:
    """Return whether each frame is nearest to the true frame at its position.

    This holds whatever filter resized it.
    """
    if frames is None:
        return True
    error = [
        int(np.abs(truth.astype(np.int16) - frame).mean(axis=(1, 2, 3)).argmin())
        for frame in frames.astype(np.int16)
    ]
    return error == list(range(len(truth)))


def make_files(folder: Path, count: int) -> list[Path]:
    """Write clips, alternately in FFmpeg's default H.264 and in vidda's encoding; return them."""
    folder.mkdir(parents=True)
    files = []
    for number in range(count):
        frames = scene(np.random.default_rng(number))
        file = folder / f"{number}_{'vidda' if number % 2 else 'default'}.mp4"
        if number % 2:
            video.write(file, frames, 25, crf=23)
        else:
            write_default(file, frames)
        files.append(file)
    return files


def scene(rng: np.random.Generator) -> np.ndarray:
    """Return frames of a camera pan over textured ground with moving blobs and slight noise."""
    ground = sum(
        cv2.resize(rng.normal(0, 60 / 2**k, (6 * 2**k, 8 * 2**k, 3)), (WIDTH * 2, HEIGHT * 2))
        for k in range(5)
    )
    ground = np.clip(ground + 120, 0, 255).astype(np.uint8)
    blobs = [
        (rng.uniform(40, 200, 2), rng.normal(0, 1.5, 2), rng.integers(0, 255, 3)) for _ in range(6)
    ]
    frames = np.empty((FRAMES, HEIGHT, WIDTH, 3), np.uint8)
    for t in range(FRAMES):
        y, x = int(60 + 50 * np.sin(t / 20)), int(120 + 100 * np.sin(t / 30))
        frame = ground[y : y + HEIGHT, x : x + WIDTH].copy()
        for center, speed, color in blobs:
            at = (center + speed * t) % (WIDTH, HEIGHT)
            cv2.circle(frame, tuple(map(int, at)), 22, tuple(map(int, color)), -1, cv2.LINE_AA)
        frames[t] = np.clip(frame + rng.normal(0, 5, (HEIGHT, WIDTH, 1)), 0, 255)
    return frames


def write_default(file: Path, frames: np.ndarray) -> None:
    """Write frames with FFmpeg's default H.264 settings."""
    with av.open(str(file), "w") as container:
        stream = container.add_stream("libx264", rate=Fraction(25))
        stream.height, stream.width, stream.pix_fmt = HEIGHT, WIDTH, "yuv420p"
        stream.options = {"crf": "23"}
        for frame in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode())


if __name__ == "__main__":
    sys.exit(main())
