"""A tiny model, clips with sidecars and configs, for the tests of the translation job."""

import csv
import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np

from tests.sidecars import rendered
from tests.tiny_diffusion import write_controlnet, write_tiny
from vidda import video
from vidda.data.manifest import save_manifest
from vidda.sidecar import default_sidecar
from vidda.translate.job import run
from vidda.translate.translate_config import TranslateConfig
from vidda.types import ClipRecord, Manifest

SIDE, FRAMES = 48, 4
CLASSES = ("Advance", "Halt", "Rally")
# With random weights and one noise for all frames, all frames would be alike: frozen.
SAMPLING = {
    "steps": 2,
    "guidance": 3.0,
    "scheduler": {"name": "ddim"},
    "noise": {"name": "independent"},
}


def write_models(folder: Path) -> Path:
    """A base and ControlNets for edges and pose; gives `folder`."""
    base = write_tiny(folder / "base", size=32)
    write_controlnet(folder / "edges", base, 1)
    write_controlnet(folder / "pose", base, 2)
    return folder


def write_source(root: Path, clips: int = 3) -> Path:
    """Clips of MiniRoCoG with sidecars, and their manifest."""
    records = []
    for number in range(clips):
        clip = rendered(FRAMES + number % 2, SIDE, number % 4)
        path = f"syn/ground/{number}.mp4"
        video.write(root / path, clip.frames, 8.0)
        truth = root / default_sidecar(path)
        truth.parent.mkdir(parents=True, exist_ok=True)
        np.savez_compressed(
            truth, keypoints=clip.keypoints, box=clip.box, mask=clip.mask, depth=clip.depth
        )
        meta = {"scene": str(number), "sidecar": default_sidecar(path)}
        air = number == 1
        records.append(
            ClipRecord(
                id=f"clip/{number}",
                path=path,
                label=number % 3,
                domain="synthetic",
                view="air" if air else "ground",
                subject=f"P{number}",
                altitude_m=15.0 if air else None,
                meta=meta,
            )
        )
    save_manifest(Manifest(root.absolute(), CLASSES, tuple(records)), root / "manifest.csv")
    return root / "manifest.csv"


def settings(models: Path, source: Path, out: Path, **more: Any) -> dict[str, Any]:
    """Keys of a job; of `more`, sampling and precision are the backbone's."""
    sampling = more.pop("sampling", SAMPLING)
    backbone = {key: more.pop(key) for key in ("precision",) if key in more}
    nets = [
        {"kind": kind, "source": {"name": "folder", "path": str(models / kind)}}
        for kind in ("edges", "pose")
    ]
    return {
        "input": str(source),
        "out": str(out),
        "size": 32,
        "backbone": {
            "name": "stable_diffusion",
            "weights": {
                "base": {"name": "folder", "path": str(models / "base")},
                "controlnets": nets,
            },
            "sampling": sampling,
            **backbone,
        },
        "control": {"pose": {"name": "sidecar"}},
        "prompt": {"template": "a person, {class}, {view}"},
        "device": "cpu",
        **more,
    }


def without_pose(models: Path, source: Path, out: Path, **more: Any) -> dict[str, Any]:
    """For ordinary videos, of which nobody knows the pose."""
    content = settings(models, source, out, **more)
    weights = content["backbone"]["weights"]
    weights["controlnets"] = weights["controlnets"][:1]
    content["control"] = {}
    content["prompt"] = {}
    return content


def config(content: dict[str, Any]) -> TranslateConfig:
    return TranslateConfig.model_validate_json(json.dumps(content), strict=True)


def start(content: dict[str, Any], *, resume: bool = False, dry_run: bool = False) -> int:
    return run(config(content), dry_run=dry_run, resume=resume)


def written(out: Path) -> dict[str, str]:
    """Digests of everything but the run's own records, which tell of time and place."""
    own = {
        "log.txt",
        "provenance.json",
        "config.yaml",
        "metrics.jsonl",
        "DONE",
        ".lock",
        "shards.json",
    }
    return {
        path.relative_to(out).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(out.rglob("*"))
        if path.is_file() and path.name not in own
    }


def media(out: Path) -> dict[str, str]:
    return {name: digest for name, digest in written(out).items() if name.endswith(".mp4")}


def column(file: Path, name: str) -> list[str]:
    with file.open(encoding="utf-8", newline="") as stream:
        return [row[name] for row in csv.DictReader(stream)]
