"""Whole runs of `vidda translate`, each in its own process, of this checkout or of another one."""

import os
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np

from tools.translation_bench.networks import KINDS
from vidda import video
from vidda.data.manifest import save_manifest
from vidda.sidecar import default_sidecar
from vidda.types import ClipRecord, Manifest

HERE = Path(__file__).parents[2]
POLL_S = 0.02
GPU_QUERY = ("nvidia-smi", "--query-gpu=utilization.gpu", "--format=csv,noheader,nounits")


@dataclass(frozen=True)
class JobTime:
    """The speed of a run in steady state: between its first finished clip and its last.

    seconds, cpu: median of the time and of the process's CPU time for a clip. idle: share of the
    time in which the GPU ran nothing; None where it cannot be asked.
    """

    seconds: float
    cpu: float
    idle: float | None


def write_clips(folder: Path, count: int, frames: int, pixels: int) -> Path:
    """Write clips of a figure that moves, with sidecars of its pose; return their manifest."""
    records = []
    for number in range(count):
        rng = np.random.default_rng(number)
        ground = cv2.GaussianBlur(
            rng.integers(0, 256, (pixels + frames, pixels + frames, 3), np.uint8), (0, 0), 3
        )
        shown = np.stack([ground[t : t + pixels, t : t + pixels] for t in range(frames)])
        joints = np.zeros((frames, 17, 3), np.float32)
        for t in range(frames):
            joints[t, :, 0] = pixels * (0.4 + 0.2 * rng.random(17)) + t
            joints[t, :, 1] = pixels * np.linspace(0.2, 0.8, 17)
            joints[t, :, 2] = 2
            outline = joints[t, :, :2].astype(np.int32)
            cv2.polylines(shown[t], [outline], isClosed=False, color=(200, 60, 40), thickness=5)
        path = f"clips/{number:03d}.mp4"
        video.write(folder / path, shown, 8.0)
        sidecar = default_sidecar(path)
        (folder / sidecar).parent.mkdir(parents=True, exist_ok=True)
        np.savez_compressed(folder / sidecar, keypoints=joints)
        meta = {"sidecar": sidecar}
        records.append(ClipRecord(f"clip/{number:03d}", path, 0, "synthetic", "ground", meta=meta))
    save_manifest(Manifest(folder.absolute(), ("move",), tuple(records)), folder / "manifest.csv")
    return folder / "manifest.csv"


def job_keys(checkout: Path, models: Path, precision: str, *, few: bool) -> list[str]:
    """Return keys for a checkout's sd15.yaml, or its recipe of few steps, with a folder's models.

    The pose comes from the sidecars, and the flow for the measures of quality is DIS.
    """
    file = checkout / "configs/translate" / ("sd15_fast.yaml" if few else "sd15.yaml")
    # In older checkouts Stable Diffusion's keys are not under `backbone`.
    prefix = "backbone." if "\nbackbone:" in file.read_text() else ""
    nets = ", ".join(
        f"{{kind: {kind}, source: {{name: folder, path: '{models}/controlnet_{kind}'}}}}"
        for kind in KINDS
    )
    keys = [
        str(file),
        f"{prefix}weights.base={{name: folder, path: '{models}'}}",
        f"{prefix}weights.controlnets=[{nets}]",
        f"{prefix}precision={precision}",
        "control.pose={name: sidecar}",
        "control.flow={name: dis}",
        "prompt.token=null",
        "prompt.template=a person",  # short, because every letter is a token
        "prompt.negative=lowres",
        "cache=null",
    ]
    if few:
        vae = f"{{name: folder, path: '{models}/tiny_vae'}}"
        return [*keys, f"{prefix}weights.loras=[]", f"{prefix}weights.vae={vae}"]
    return keys


def time_job(checkout: Path, keys: Sequence[str], out: Path, clips: int) -> JobTime:
    """Run a checkout's `vidda translate` with a config and keys; return its speed.

    clips: that the job has, three or more. Raises CalledProcessError when the run fails.
    """
    command = [sys.executable, "-m", "vidda.cli", "translate", *keys, f"out={out}"]
    environment = {**os.environ, "PYTHONPATH": str(checkout)}
    output = out.with_suffix(".txt")
    found: list[tuple[float, float]] = []
    busy: list[float] = []
    with output.open("w") as log, _GpuMonitor() as monitor:
        process = subprocess.Popen(
            command, cwd=checkout, env=environment, stdout=log, stderr=subprocess.STDOUT
        )
        while process.poll() is None:
            done = len(list((out / "videos").rglob("*.json")))
            if done > len(found):
                found += [(time.perf_counter(), _cpu_seconds(process.pid))] * (done - len(found))
            if 0 < len(found) < clips:
                busy += monitor.read()
            time.sleep(POLL_S)
    if process.returncode:
        print(output.read_text())
        raise subprocess.CalledProcessError(process.returncode, command)
    steps = list(pairwise(found))
    return JobTime(
        seconds=statistics.median(end[0] - begin[0] for begin, end in steps),
        cpu=(found[-1][1] - found[0][1]) / len(steps),
        idle=1 - statistics.mean(busy) / 100 if busy else None,
    )


def _cpu_seconds(pid: int) -> float:
    """Return the CPU time of a process on Linux; 0 elsewhere, and once it has ended."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


class _GpuMonitor:
    """The utilization of the first GPU, asked five times a second; nothing where there is none."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        if shutil.which(GPU_QUERY[0]):
            self._process = subprocess.Popen(
                [*GPU_QUERY, "--id=0", "--loop-ms=200"],
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
            )
            assert self._process.stdout
            os.set_blocking(self._process.stdout.fileno(), False)

    def __enter__(self) -> "_GpuMonitor":
        return self

    def read(self) -> list[float]:
        """Return the percentages since the last call."""
        if self._process is None:
            return []
        assert self._process.stdout
        # None where nothing has been written.
        return [float(line) for line in (self._process.stdout.read() or b"").split()]

    def __exit__(self, *_: object) -> None:
        if self._process is not None:
            self._process.terminate()
            self._process.wait()
