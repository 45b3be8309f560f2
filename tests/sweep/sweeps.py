"""Tiny sweeps."""

import json
from pathlib import Path
from typing import Any

from tests.experiment.jobs import MINI, TRAIN
from vidda.sweep.sweep_config import SweepConfig

ADAPT = {**TRAIN, "method": {"name": "source_only"}}


def method(name: str, **more: Any) -> dict[str, Any]:
    """A recipe of this method of adaptation, at a size for these tests."""
    return {"change": {"method": {"name": name}}, **more}


def sweep(out: Path, **more: Any) -> dict[str, Any]:
    """Two methods on one task with one seed, on a MiniRoCoG of a few clips."""
    return {
        "out": str(out),
        "mini": MINI,
        "prepare": {"dataset.name": "rocog_v2"},
        "tasks": ["gs2gr"],
        "seeds": [0],
        "steps": 6,
        "change": dict(TRAIN),
        "methods": {"source only": method("source_only"), "coral": method("coral")},
        "intervals": {"samples": 200},
        **more,
    }


def loaded(content: dict[str, Any]) -> SweepConfig:
    return SweepConfig.model_validate_json(json.dumps(content), strict=True)
