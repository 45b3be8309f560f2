"""Frames per second of each estimator of poses, people, masks and depth, and of one pass for all.

    vidda weights blazepose
    OMP_NUM_THREADS=2 python tools/bench_estimators.py clip.mp4

BlazePose runs with its own weights. The other models are built in the sizes of their published
configurations with random weights, which take as long; so the detector finds nobody, and Mask R-CNN
has no masks to draw. Estimators take turns on the first frames of the video, so that a busy machine
slows all alike; the best turn counts. CPU time depends less on other jobs.

Then masks, poses and depth of the clip are written in one pass, and in three that decode it each;
and the peak memory of `vidda mask` is measured on a clip and on one four times as long.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Sequence
from itertools import cycle, islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import save_file

from vidda import video
from vidda.control.blazepose import BlazePoseConfig
from vidda.control.clip_estimators import ClipEstimators
from vidda.control.depth import DepthAnythingConfig
from vidda.control.detr import DetrConfig
from vidda.control.keypoints import NobodyError
from vidda.control.mask_rcnn import MaskRcnnConfig
from vidda.control.mask_sidecar import MaskSettings, write_mask_sidecar
from vidda.control.segmenter import SegmenterConfig
from vidda.control.vitpose import VitPoseConfig
from vidda.types import ClipRecord
from vidda.weights import Folder

SETTINGS = MaskSettings("all", 0.5, 0.4, 15)
MASK = """
import re, sys
from pathlib import Path
from vidda.cli import main
main(sys.argv[1:])
print(int(re.search("VmHWM: *(.*) kB", Path("/proc/self/status").read_text())[1]) // 1024)
"""
"""A program that runs a command and prints its peak memory in MiB. The peak of `getrusage` would be
at least that of the process that starts it."""

Run = Callable[[], object]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("video", type=Path, help="a clip with a person in it")
    parser.add_argument("--blazepose", type=Path, default=Path("weights/blazepose"))
    parser.add_argument("--frames", type=int, default=16, help="frames of a turn")
    parser.add_argument("--repeats", type=int, default=3, help="turns of each estimator")
    parser.add_argument("--threads", type=int, default=2, help="threads of each model")
    parser.add_argument("--memory-frames", type=int, default=100, help="of the shorter clip")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        frames = np.stack([*islice(video.stream(arguments.video), arguments.frames)])
        video.write(folder / "clip.mp4", frames, 25)
        clip = ClipRecord("clip.mp4", "clip.mp4", None, "real", "ground")
        print(f"{len(frames)} frames of {frames.shape[2]}x{frames.shape[1]}")
        blazepose = BlazePoseConfig(weights=arguments.blazepose, threads=arguments.threads)
        models = write_models(folder)
        compare_estimators(frames, clip, folder, blazepose, models, arguments.repeats)
        compare_passes(clip, folder, blazepose, models["depth"], arguments.repeats)
        compare_memory(arguments.video, folder, arguments)
    return 0


def compare_estimators(
    frames: np.ndarray,
    clip: ClipRecord,
    root: Path,
    blazepose: BlazePoseConfig,
    models: dict[str, Path],
    repeats: int,
) -> None:
    """Print the frames per second of each estimator, and its CPU time."""
    own = {name: {"weights": Folder(path=path), "device": "cpu"} for name, path in models.items()}
    rcnn = MaskRcnnConfig(weights=models.pop("mask_rcnn"), device="cpu").build()
    people, pose, detector = blazepose.build(), own["vitpose"], own["detr"]
    vitpose, detr = VitPoseConfig(**pose).build(), DetrConfig(**detector).build()
    segmenter = SegmenterConfig(**own["segmenter"]).build()
    depth = DepthAnythingConfig(**own["depth"]).build()
    runs: dict[str, Run] = {
        "decoding": lambda: list(video.stream(root / clip.path)),
        "BlazePose, poses": lambda: list(people.stream_joints(frames, clip, root)),
        "BlazePose, poses and masks": lambda: list(people.find_people(frames, clip, root)),
        "ViTPose base, poses": lambda: list(vitpose.stream_joints(frames, clip, root)),
        "RT-DETR v2 R50, people": lambda: found_or_nobody(detr.find, frames, clip, root, None),
        "SegFormer B0, masks": lambda: list(segmenter.find_masks(frames, clip, root)),
        "Mask R-CNN R50 v2, masks": lambda: list(rcnn.find_masks(frames, clip, root)),
        "Depth Anything V2 small, depth": lambda: depth.estimate(frames),
    }
    for name, (wall, cpu) in best_seconds(runs, repeats).items():
        rate = len(frames) / wall
        print(f"  {name:<32}{rate:8.2f} frames/s{1000 * cpu / len(frames):10.0f} ms of CPU a frame")


def compare_passes(
    clip: ClipRecord, root: Path, blazepose: BlazePoseConfig, depth_model: Path, repeats: int
) -> None:
    """Print how much faster one pass is than one for each kind of estimate."""
    depth = DepthAnythingConfig(weights=Folder(path=depth_model), device="cpu")
    masks, poses = ClipEstimators(blazepose), blazepose.build()
    both, all_three = (
        ClipEstimators(blazepose, blazepose),
        ClipEstimators(blazepose, blazepose, depth),
    )
    distances = depth.build()

    def write(estimators: ClipEstimators) -> None:
        write_mask_sidecar(estimators, SETTINGS, clip, root, lambda _: None, root / "out.npz")

    def separately(*, with_depth: bool) -> None:
        write(masks)
        list(poses.stream_joints(video.stream(root / clip.path), clip, root))
        if with_depth:
            found = distances.estimate(np.stack([*video.stream(root / clip.path)]))
            np.savez_compressed(root / "depth.npz", inverse_depth=found.astype(np.float16))

    runs: dict[str, Run] = {
        "masks, poses": lambda: write(both),
        "masks, poses, each alone": lambda: separately(with_depth=False),
        "masks, poses, depth": lambda: write(all_three),
        "masks, poses, depth, each alone": lambda: separately(with_depth=True),
    }
    found = best_seconds(runs, repeats)
    for name in ("masks, poses", "masks, poses, depth"):
        (wall, cpu), (walls, cpus) = found[name], found[f"{name}, each alone"]
        print(
            f"  {name} in one pass: {walls / wall:.2f} times as fast as each alone"
            f" ({cpus / cpu:.2f} by CPU time)"
        )


def compare_memory(source: Path, folder: Path, arguments: argparse.Namespace) -> None:
    """Print the peak memory of `vidda mask` with poses on a clip, and on a longer one."""
    for count in (arguments.memory_frames, 4 * arguments.memory_frames):
        clip = folder / f"{count}.mp4"
        video.write(clip, islice(repeated(source), count), 25)
        people = [
            f"{key}.{setting}"
            for key in ("source", "pose")
            for setting in ("name=blazepose", f"weights={arguments.blazepose}")
        ]
        command = ["mask", f"input={clip}", f"out={folder / str(count)}", *people]
        done = subprocess.run(
            [sys.executable, "-c", MASK, *command],
            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, check=True,
            env={**os.environ, "OMP_NUM_THREADS": str(arguments.threads)},
        )  # fmt: skip
        print(f"  masks, poses of {count} frames: peak of {done.stdout.split()[-1]} MiB")


def repeated(source: Path) -> Iterable[np.ndarray]:
    """Return the frames of a video again and again."""
    return (frame for path in cycle([source]) for frame in video.stream(path))


def found_or_nobody(find: Callable[..., object], *inputs: Any) -> object:
    """Return the boxes of people, None where there are none."""
    try:
        return find(*inputs)
    except NobodyError:
        return None


def best_seconds(runs: dict[str, Run], repeats: int) -> dict[str, tuple[float, float]]:
    """Return the shortest wall time and CPU time of each run, in turns, after one to warm up."""
    best = dict.fromkeys(runs, (float("inf"), float("inf")))
    for turn in range(repeats + 1):
        for name, run in runs.items():
            start, start_cpu = time.perf_counter(), time.process_time()
            run()
            spent = time.perf_counter() - start, time.process_time() - start_cpu
            if turn:
                best[name] = min(best[name][0], spent[0]), min(best[name][1], spent[1])
    return best


def write_models(folder: Path) -> dict[str, Path]:
    """Write models of the published sizes with random weights; return their folders, by kind."""
    import transformers as tf
    from torchvision.models import get_model

    dino = tf.Dinov2Config(
        hidden_size=384, num_attention_heads=6, image_size=518, patch_size=14,
        out_indices=[3, 6, 9, 12], reshape_hidden_states=False, apply_layernorm=True,
    )  # fmt: skip
    names = ["person", *(f"class {number}" for number in range(1, 150))]
    labels = {"id2label": dict(enumerate(names)), "label2id": {n: i for i, n in enumerate(names)}}
    built: dict[str, Sequence[Any]] = {
        "vitpose": (
            tf.VitPoseForPoseEstimation(
                tf.VitPoseConfig(
                    backbone_config=tf.VitPoseBackboneConfig(out_indices=[12]),
                    num_labels=17,
                    use_simple_decoder=True,
                )
            ),
            tf.VitPoseImageProcessor(),
        ),
        "detr": (
            tf.RTDetrV2ForObjectDetection(tf.RTDetrV2Config(id2label={0: "person", 1: "car"})),
            tf.RTDetrImageProcessor(),
        ),
        "segmenter": (
            tf.SegformerForSemanticSegmentation(tf.SegformerConfig(**labels)),
            tf.SegformerImageProcessor(),
        ),
        "depth": (
            tf.DepthAnythingForDepthEstimation(tf.DepthAnythingConfig(backbone_config=dino)),
            tf.DPTImageProcessor(
                size={"height": 518, "width": 518}, keep_aspect_ratio=True, ensure_multiple_of=14
            ),
        ),
    }
    for name, (model, processor) in built.items():
        millions = sum(weight.numel() for weight in model.parameters()) / 1e6
        print(f"{name}: {millions:.1f} million random weights")
        model.save_pretrained(folder / name)
        processor.save_pretrained(folder / name)
    rcnn = get_model("maskrcnn_resnet50_fpn_v2", weights=None, weights_backbone=None)
    save_file(rcnn.state_dict(), folder / "mask_rcnn.safetensors")
    return {
        **{name: folder / name for name in built},
        "mask_rcnn": folder / "mask_rcnn.safetensors",
    }


if __name__ == "__main__":
    sys.exit(main())
