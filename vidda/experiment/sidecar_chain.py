"""Sidecars along a chain of variants: the stages that read them, and those that leave none."""

from dataclasses import dataclass
from pathlib import Path

from vidda.camera.job import CameraJobConfig
from vidda.control.mask_job import MaskJobConfig
from vidda.control.sidecar_poses import SidecarPosesConfig
from vidda.data.manifest import load_manifest
from vidda.data.randomize import RandomizeConfig
from vidda.data.survey import Survey
from vidda.sidecar import sidecar_arrays
from vidda.translate.translate_config import TranslateConfig

VariantConfig = RandomizeConfig | MaskJobConfig | TranslateConfig | CameraJobConfig


def keeps_sidecars(config: VariantConfig) -> bool:
    """Return whether the clips that a stage makes have the sidecars of its input."""
    match config:
        case RandomizeConfig():
            return False
        case MaskJobConfig():
            return True
        case TranslateConfig():
            return config.camera is None or not config.camera.match.shake
        case CameraJobConfig():
            return not config.match.shake


@dataclass(frozen=True, slots=True)
class SidecarNeed:
    """The array of a sidecar that a stage reads. array: its name. use: for a message.

    remedy: how to make the array, or to do without it.
    """

    array: str
    use: str
    remedy: str


ESTIMATE = (
    "estimate poses instead: in {where}.change, set control.pose.name to mmpose, onnx, blazepose or"
    " vitpose"
)
MASKS = (
    "vidda mask makes them: add a variant with name masked, of what this one is of, and make this"
    " one of that"
)


def sidecar_need(config: VariantConfig) -> SidecarNeed | None:
    """Return what a stage reads from the sidecars of its input; None if nothing."""
    match config:
        case RandomizeConfig():
            return SidecarNeed("mask", "the masks of vidda randomize", MASKS)
        case TranslateConfig() if isinstance(config.control.pose, SidecarPosesConfig):
            use = "the poses of control.pose (or take another control.pose.name)"
            return SidecarNeed("keypoints", use, ESTIMATE)
        case TranslateConfig() if config.backbone.keeps_person and config.control.pose is None:
            use = "the masks of keep_person (or choose control.pose)"
            return SidecarNeed("mask", use, f"{ESTIMATE}, for masks around them; {MASKS}")
        case _:
            return None


def source_arrays(known: Survey, name: str, manifest: Path) -> frozenset[str] | None:
    """Return the names of the arrays in the sidecars of a list's clips, empty if it has none.

    known: the experiments of the data. name: of the list. manifest: that vidda prepare writes of
    it. None where there are no data yet. Raises ViddaError where a sidecar is damaged.
    """
    if known.listing is not None:
        clips = [known.listing.clips[path] for path in known.listing.lists.get(name, ())]
        return sidecar_arrays(clips, known.listing.root)
    if manifest.is_file():
        source = load_manifest(manifest)
        return sidecar_arrays(source.clips, source.root)
    return None
