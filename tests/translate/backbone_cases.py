"""For each backbone of the union its smallest config, on tiny random weights."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

from pydantic import TypeAdapter

from tests.tiny_diffusion import write_motion_adapter
from tests.tiny_wan import write_tiny_wan
from tests.translate.translations import write_models
from vidda.schema import tag
from vidda.translate.backbone import BackboneChoice, BackboneConfig

NAMES = [tag(kind)[1] for kind in get_args(get_args(BackboneConfig)[0])]


@dataclass(frozen=True)
class Case:
    """write: models into a folder, which gives the keys that name them. sampling: its keys. kinds:
    control maps that it takes, by their names in Controls.
    """

    write: Callable[[Path], dict[str, Any]]
    sampling: dict[str, Any]
    kinds: tuple[str, ...]


def source(path: Path) -> dict[str, str]:
    return {"name": "folder", "path": str(path)}


def _stable_diffusion(folder: Path) -> dict[str, Any]:
    write_models(folder)
    return {
        "base": source(folder / "base"),
        "controlnets": [
            # Untrained ones say little.
            {"kind": kind, "source": source(folder / kind), "scale": 8.0}
            for kind in ("edges", "pose")
        ],
    }


def _animatediff(folder: Path) -> dict[str, Any]:
    write_motion_adapter(folder / "motion", 3)
    return _stable_diffusion(folder) | {"motion_adapter": source(folder / "motion")}


def _wan_vace(folder: Path) -> dict[str, Any]:
    return {"base": source(write_tiny_wan(folder / "base"))}


# With one noise for all frames, random weights would make all frames alike.
OF_UNET = {"steps": 2, "guidance": 3.0, "noise": {"name": "independent"}}
CASES = {
    "stable_diffusion": Case(
        _stable_diffusion, {**OF_UNET, "scheduler": {"name": "ddim"}}, ("edges", "pose_maps")
    ),
    "animatediff": Case(
        _animatediff,
        {**OF_UNET, "start": {"name": "noise"}, "window": 4, "overlap": 2},
        ("edges", "pose_maps"),
    ),
    "wan_vace": Case(_wan_vace, {"steps": 3, "guidance": 3.0}, ("pose_maps", "depth")),
}


def backbone_config(name: str, weights: dict[str, Any], **sampling: Any) -> BackboneChoice:
    """The config of a backbone. weights: its keys. sampling: over those of its case."""
    sampled = CASES[name].sampling | sampling
    content = {"name": name, "weights": weights, "sampling": sampled, "precision": "fp32"}
    found: BackboneChoice = TypeAdapter(BackboneConfig).validate_json(
        json.dumps(content), strict=True
    )
    return found
