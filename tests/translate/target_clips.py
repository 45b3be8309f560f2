"""A tiny target domain: clips of one kind of texture, in a manifest with labels on disk."""

import json
from pathlib import Path
from typing import Any

import numpy as np

from tests.clips import moving
from tests.tiny_diffusion import write_tiny
from vidda.data.manifest import save_manifest
from vidda.types import ClipRecord, Manifest
from vidda.video import write

CLIPS, FRAMES, HEIGHT, WIDTH = 6, 8, 40, 48
SIZE = 32


def write_target(folder: Path, labels: int = 0) -> Path:
    """The manifest; `labels` shifts the classes of all clips."""
    records = []
    for number in range(CLIPS):
        path = f"{number}.mp4"
        if not (folder / path).exists():
            red = moving(FRAMES, HEIGHT, WIDTH, seed=number) // np.array([1, 3, 4], np.uint8)
            write(folder / path, red, 8)
        label = (number + labels) % 3
        records.append(ClipRecord(f"clip/{number}", path, label, "real", "ground"))
    manifest = Manifest(folder.absolute(), ("a", "b", "c"), tuple(records))
    save_manifest(manifest, folder / f"target{labels}.csv")
    return folder / f"target{labels}.csv"


def velocity_base(folder: Path) -> Path:
    """A base that was trained to predict velocities, with zero terminal SNR."""
    write_tiny(folder, seed=3, size=SIZE)
    index = folder / "model_index.json"
    content = json.loads(index.read_text())
    content["scheduler"] = ["diffusers", "DDIMScheduler"]
    index.write_text(json.dumps(content))
    file = folder / "scheduler" / "scheduler_config.json"
    noise = {
        "_class_name": "DDIMScheduler",
        "beta_schedule": "scaled_linear",
        "beta_start": 0.00085,
        "beta_end": 0.012,
        "num_train_timesteps": 1000,
        "prediction_type": "v_prediction",
        "rescale_betas_zero_snr": True,
        "timestep_spacing": "trailing",
        "clip_sample": False,
    }
    file.write_text(json.dumps(noise))
    return folder


def content(base: Path, target: Path, run: Path, method: dict[str, Any], **more: Any) -> Any:
    """A config of `vidda personalize` on these files, small enough for seconds."""
    return {
        "run": str(run),
        "target": str(target),
        "base": {"name": "folder", "path": str(base)},
        "method": method,
        "frames": {"count": 12, "held_out": 2},
        "drawing": {"scheduler": {"name": "ddim"}, "steps": 2, "guidance": 2.0},
        "samples": 2,
        "sample_every": 1000,
        "log_every": 1,
        "device": "cpu",
        **more,
    }
