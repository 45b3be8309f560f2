"""Small settings of each method of `vidda personalize`, runs of them, and what they leave."""

import json
from pathlib import Path
from typing import Any

from vidda import config
from vidda.translate.stable_diffusion.personalize import job
from vidda.translate.stable_diffusion.personalize.personalize_config import PersonalizeConfig

DREAMBOOTH = {
    "name": "dreambooth",
    "steps": 30,
    "lr": 2e-3,
    "batch_size": 4,
    "gradient_checkpointing": True,
    "prior": {"count": 3, "batch_size": 2},
}
LORA = {"name": "lora", "steps": 30, "lr": 1e-2, "batch_size": 4, "rank": 4}
INVERSION = {
    "name": "textual_inversion",
    "steps": 40,
    "lr": 5e-2,
    "batch_size": 2,
    "accumulate": 2,
    "scale_lr": True,
    "initializer": "person",
    "vectors": 2,
    "templates": ["a {token}", "in the {token} of"],
}
VAE = {"name": "vae_decoder", "steps": 30, "lr": 3e-3}


def personalize(content: Any, *, resume: bool = False, dry_run: bool = False) -> int:
    file = Path(content["run"]).with_suffix(".yaml")
    file.write_text(json.dumps(content))  # JSON is YAML
    return job.run(config.load(PersonalizeConfig, file), dry_run=dry_run, resume=resume)


def metrics(run: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]


def measured(run: Path, name: str) -> list[float]:
    return [line[name] for line in metrics(run) if name in line]


def files(folder: Path) -> dict[str, bytes]:
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): path.read_bytes() for path in paths}


def assert_same_run(first: Path, second: Path) -> None:
    """Bit for bit the same result, last checkpoint, sheets and metrics."""
    for part in ("result", "samples", "checkpoints"):
        assert files(first / part) == files(second / part), part
    assert (first / "metrics.jsonl").read_bytes() == (second / "metrics.jsonl").read_bytes()
