"""Manifests of clips that were made from other clips, and the source's clips at their beginning."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from vidda.errors import ViddaError
from vidda.report.run_records import read_record
from vidda.report.target_label_use import Manifests

CAMERAS = "camera-matched"


@dataclass(frozen=True, slots=True)
class DerivedManifest:
    """A manifest that vidda randomize, translate or camera wrote.

    path: of the manifest. origin: the manifest of the clips that it is made of. cameras: whether
    its clips have the target's cameras.
    """

    path: Path
    origin: Path
    cameras: bool

    @property
    def folder(self) -> Path:
        """Return the folder that the command wrote."""
        return self.path.parent


def derivation(path: Path) -> list[DerivedManifest]:
    """Return the steps from the source's clips to a manifest, in order; none for a source.

    path: a manifest, or its folder. Folders that cannot be read end the list.
    """
    steps: list[DerivedManifest] = []
    while (step := _step(path)) is not None and step.path not in [one.path for one in steps]:
        steps.append(step)
        path = step.origin
    return steps[::-1]


def _step(path: Path) -> DerivedManifest | None:
    """Return how a manifest was made of others; None if it was not, or its folder is damaged."""
    manifest = path if path.suffix == ".csv" else path / "manifest.csv"
    if not (manifest.parent / "config.yaml").is_file() or not manifest.is_file():
        return None
    try:
        content = read_record(manifest.parent).content
    except ViddaError:
        return None
    origin, camera = content.get("input"), content.get("camera")
    if not origin:
        return None
    cameras = "match" in content or bool(isinstance(camera, dict) and camera.get("target"))
    return DerivedManifest(manifest, Path(origin), cameras)


def kind_of(steps: Sequence[DerivedManifest], manifests: Manifests) -> str:
    """Return what the last of some steps made, such as "translated, camera-matched".

    steps: from `derivation`. manifests: for the domain of the clips.
    """
    found = manifests.get(steps[-1].path)
    domains = dict.fromkeys(clip.domain for clip in found.clips if clip.domain) if found else {}
    name = " and ".join(domains) or steps[-1].folder.name
    return f"{name}, {CAMERAS}" if any(step.cameras for step in steps) else name
