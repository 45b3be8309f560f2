"""A few small clips of two domains, and configs of `vidda adapt` that run on them in a second."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

import pytest
import torch
from safetensors.torch import load_file

from tests.tiny import train_config
from tests.trained import labeled
from vidda import config
from vidda.adapt.adapt_config import AdaptConfig
from vidda.adapt.job import run
from vidda.adapt.methods import AnyMethodConfig
from vidda.data.manifest import save_manifest
from vidda.recognize import loop
from vidda.types import Manifest

METHODS = [
    get_args(schema.model_fields["name"].annotation)[0]
    for schema in get_args(get_args(AnyMethodConfig)[0])
]

# What does not fit clips of 32 pixels, or would only be slow.
SMALL: dict[str, dict[str, Any]] = {
    "dann": {"hidden": 16},
    "mic": {"block": 8},
    "unite": {"block": 8},
    "co2a": {"bottleneck": 16, "projection": 8, "selection": 1.0},
    "comix": {"threshold": 0.34},
    "ta3n": {"width": 16, "bottleneck": 8, "segments": 3},
    "transvae": {"hidden": 16, "latent": 8, "segments": 4, "threshold": 0.34, "pseudo_from": 0.0},
}


def method(name: str) -> dict[str, Any]:
    """The method's config, at a size for these tests."""
    return {"name": name, **SMALL.get(name, {})}


def write_clips(folder: Path) -> Path:
    """Manifests of 12 source clips (10 of them translated), 6 for validation and 10 of a target."""
    every = labeled(folder / "videos", 28)
    source, val, target = every.clips[:12], every.clips[12:18], every.clips[18:]
    translated = [
        replace(clip, id=f"{clip.id}/t", parent_id=clip.id, domain="translated")
        for clip in source[:10]
    ]
    # The same clips with other labels.
    labels = [clip.label for clip in target]
    moved = zip(target, labels[1:] + labels[:1], strict=True)
    shuffled = [replace(clip, label=label) for clip, label in moved]
    named = {
        "train": source,
        "translated": translated,
        "val": val,
        "target": target,
        "shuffled": shuffled,
    }
    assert shuffled != list(target)
    for name, clips in named.items():
        save_manifest(Manifest(every.root, every.classes, tuple(clips)), folder / f"{name}.csv")
    return folder


def adapt_config(data: Path, place: Path, name: str, **changes: Any) -> Path:
    """A config file for `vidda adapt` to the run `place`, with 2 steps an epoch."""
    both = [str(data / "train.csv"), str(data / "translated.csv")]
    first = {
        "train": both,
        "target": str(data / "target.csv"),
        "method": method(name),
        "batch_size": 10,
        "target_batch_size": 6,
    }
    return train_config(data, place, **(first | changes))


def adapt(file: Path, *, resume: bool = False, dry_run: bool = False) -> int:
    """Run `vidda adapt`."""
    return run(config.load(AdaptConfig, file), dry_run=dry_run, resume=resume)


def metrics(run: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]


def state(run: Path, name: str) -> dict[str, torch.Tensor]:
    file = run / "checkpoints" / "last" / f"{name}.safetensors"
    return load_file(file) if file.exists() else {}


def assert_same_run(first: Path, second: Path) -> None:
    for name in ("model", "method", "optimizer"):
        one, other = state(first, name), state(second, name)
        assert one.keys() == other.keys()
        assert all(torch.equal(one[key], other[key]) for key in one)
    for name in ("metrics.jsonl", "selection.json"):
        assert (first / name).read_bytes() == (second / name).read_bytes()
    files = sorted(p.relative_to(first) for p in first.rglob("*.npz"))
    assert files == sorted(p.relative_to(second) for p in second.rglob("*.npz"))
    assert all((first / f).read_bytes() == (second / f).read_bytes() for f in files)


def interrupted_at(step: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the next training end as if its process had been stopped before this step."""
    whole = loop._step

    def until(parts: Any, pair: Any, feed: Any, at: int, pace: Any, seed: int) -> dict[str, float]:
        if at == step:
            raise KeyboardInterrupt
        return whole(parts, pair, feed, at, pace, seed)

    monkeypatch.setattr(loop, "_step", until)
