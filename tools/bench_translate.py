"""Speed and memory of `vidda translate`: its sampling, and whole runs on video files.

    python tools/bench_translate.py                               # tiny random weights on the CPU
    python tools/bench_translate.py --sd15 --device cuda          # Stable Diffusion 1.5's sizes
    python tools/bench_translate.py --sd15 --device cuda --compile --few --long --beside OLDER

One way after the other, each with warm-up: vidda's sampler without
and with attention to other frames, with --compile compiled too, and diffusers' pipeline frame by
frame; then `vidda translate` in processes of its own, in steady state, on clips with edges, poses,
flow, quality figures and H.264 files. --beside runs another checkout's `vidda translate` too, in
turns with this one's. On the CPU that is `configs/translate/builtin.yaml`, in seconds of CPU time,
which other programs on the machine do not change. Operations are counted on PyTorch's meta device,
without computing them.
"""

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch

if not __package__:  # run as a script, which finds only the modules beside it
    sys.path.insert(0, str(Path(__file__).parents[1]))

from tools.translation_bench.jobs import HERE, JobTime, job_keys, time_job, write_clips
from tools.translation_bench.memory import count_memory
from tools.translation_bench.networks import SIZES, Size, random_clip, random_models, write_models
from tools.translation_bench.sampling import (
    StepTime,
    count_teraflops,
    sampling_config,
    time_autoencoder,
    time_diffusers,
    time_long_clip,
    time_steps,
)
from vidda.device import torch_dtype
from vidda.translate.stable_diffusion.loading import Models

LONG_CLIP = 1024
VAE_CHUNK = 4
BUILTIN = "configs/translate/builtin.yaml"


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])  # type: ignore[union-attr]
    parser.add_argument("--sd15", action="store_true", help="Stable Diffusion 1.5's sizes")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument(
        "--precision", choices=["bf16", "fp16", "fp32"], help="default: bf16 on cuda, fp32 on cpu"
    )
    parser.add_argument("--chunk", type=int, default=16)
    parser.add_argument("--frames", type=int)
    parser.add_argument("--steps", type=int)
    parser.add_argument("--clips", type=int, default=11, help="of whole runs; 0: no whole runs")
    parser.add_argument("--repeats", type=int, default=1, help="turns of whole runs")
    parser.add_argument("--beside", type=Path, help="another checkout, for whole runs")
    parser.add_argument("--compile", action="store_true", help="compiled too, in all that is timed")
    parser.add_argument("--few", action="store_true", help="whole runs of sd15_fast.yaml too")
    parser.add_argument("--long", action="store_true", help=f"also a clip of {LONG_CLIP} frames")
    parser.add_argument("--tflops", type=float, default=790.0, help="that the device reaches")
    options = parser.parse_args(argv)
    begin = time.perf_counter()
    size = SIZES["sd15" if options.sd15 else "tiny"]
    size = replace(size, frames=options.frames or size.frames, steps=options.steps or size.steps)
    precision = options.precision or ("bf16" if options.device == "cuda" else "fp32")
    device = torch.device(options.device)
    name = torch.cuda.get_device_name() if device.type == "cuda" else "CPU"
    print(f"{size.frames} frames of {size.pixels} pixels, {size.steps} steps of PNDM, guidance,")
    print(f"two ControlNets, {precision} on {name}, torch {torch.__version__}")
    models = random_models(size, device, torch_dtype(precision))
    with tempfile.TemporaryDirectory() as folder:
        if options.clips and device.type == "cuda":
            write_models(models, Path(folder) / "models")
        print_sampling(options, size, models)
        del models
        if options.clips:
            print_jobs(options, size, precision, Path(folder))
    print(f"all of this took {time.perf_counter() - begin:.0f} s")
    return 0


def print_sampling(options: argparse.Namespace, size: Size, models: Models) -> None:
    """Time and print a step of each way of sampling, the autoencoder, and diffusers' pipeline."""
    clip = random_clip(size)
    rate = 1 / time_diffusers(models, clip, size.steps)
    print(f"  diffusers' pipeline, frame by frame: {rate:.3g} frames/s")
    ways = [("none", False), ("first_previous", False)]
    ways += [("first_previous", True)] if options.compile else []
    found: dict[str, StepTime] = {}
    for context, compiled in ways:
        config = sampling_config(size, context, options.chunk, compiled=compiled)
        name = f"{context}, compiled" if compiled else context
        found[name] = time_steps(models, clip, config)
        work, decoding = count_teraflops(size, config)
        _print_step(name, found[name], work, options)
    config = sampling_config(size, "first_previous", options.chunk, compiled=False)
    step, decoding = count_memory(size, config, VAE_CHUNK)
    print(f"  memory as counted, in bf16: {step:.3g} GiB in a step, {decoding:.3g} GiB in decoding")
    if options.long:
        long = time_long_clip(models, size, config, LONG_CLIP)
        print(f"  a step of {LONG_CLIP} frames     {long.first:8.2f} s    {long.peak:.2f} GiB")
    ratio = found["first_previous"].cpu / found["none"].cpu
    if options.device == "cuda":
        ratio = found["first_previous"].seconds / found["none"].seconds
    print(f"  first_previous takes {ratio - 1:+.0%} of none's time")
    encode, decode = time_autoencoder(models, clip, VAE_CHUNK)
    print(
        f"  autoencoder, all frames: encode {encode * 1000:.0f} ms, decode {decode * 1000:.0f} ms,"
    )
    print(f"    which is {decoding:.3g} TFLOP")


def _print_step(name: str, found: StepTime, work: float, options: argparse.Namespace) -> None:
    """Print a way's time for a step, its operations, and the share of what the device reaches."""
    line = f"  {name:25s} {found.seconds * 1000:8.1f} ms a step, first {found.first:.1f} s"
    line += f", {work:.3g} TFLOP"
    if options.device == "cuda":
        line += f", {work / found.seconds / options.tflops:.0%} of {options.tflops:g} TFLOP/s"
        line += f", {found.peak:.2f} GiB"
    print(line)


def print_jobs(options: argparse.Namespace, size: Size, precision: str, folder: Path) -> None:
    """Time and print whole runs of this checkout and of the other one, in turns."""
    checkouts = {"this": HERE}
    if options.beside:
        checkouts["beside"] = options.beside.absolute()
    pixels, frames = (size.pixels, size.frames) if options.device == "cuda" else (112, 16)
    manifest = write_clips(folder / "source", options.clips, frames, pixels)
    jobs: dict[str, tuple[Path, list[str]]] = {}
    if options.device == "cuda":
        for name, checkout in checkouts.items():
            keys = job_keys(checkout, folder / "models", precision, few=False)
            jobs[name] = (checkout, keys)
        if options.few:
            few = job_keys(HERE, folder / "models", precision, few=True)
            jobs["this, four steps"] = (HERE, few)
        if options.compile:
            jobs["this, compiled"] = (HERE, [*jobs["this"][1], "backbone.sampling.compile=true"])
        jobs["this"][1].append("backbone.sampling.compile=false")
    else:
        jobs = {name: (checkout, [BUILTIN]) for name, checkout in checkouts.items()}
    found: dict[str, list[JobTime]] = {name: [] for name in jobs}
    for turn in range(options.repeats):
        for name in list(jobs) if turn % 2 == 0 else list(jobs)[::-1]:
            checkout, keys = jobs[name]
            ran = [*keys, f"input={manifest}", f"device={options.device}"]
            out = folder / f"{name.replace(', ', '_').replace(' ', '_')}_{turn}"
            found[name].append(time_job(checkout, ran, out, options.clips))
    for name, times in found.items():
        _print_job(name, times, frames)
    if options.beside:
        ratio = statistics.median(
            other.cpu / own.cpu for own, other in zip(found["this"], found["beside"], strict=True)
        )
        print(f"  CPU time of the other checkout: {ratio:.2f} x this one's")


def _print_job(name: str, times: Sequence[JobTime], frames: int) -> None:
    """Print a job's median speed in steady state, CPU time for a clip, and the GPU's idle share."""
    seconds = statistics.median(one.seconds for one in times)
    cpu = statistics.median(one.cpu for one in times)
    line = f"  vidda translate, {name:18s} {frames / seconds:7.2f} frames/s"
    line += f", {seconds:.2f} s and {cpu:.2f} s of CPU time a clip"
    idle = [one.idle for one in times if one.idle is not None]
    print(line + (f", GPU idle {statistics.median(idle):.0%}" if idle else ""))


if __name__ == "__main__":
    sys.exit(main())
