"""Sidecars along a chain of variants: the stages that read them, and those that leave none."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from vidda.camera.job import CameraJobConfig
from vidda.control.control_config import SIDECAR_ARRAYS
from vidda.control.mask_job import MaskJobConfig
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
    """An array of a sidecar that a stage reads. arrays: names, one of which is enough.

    use: for a message. remedy: how to make the array, or to do without it.
    """

    arrays: tuple[str, ...]
    use: str
    remedy: str


ESTIMATE = (
    "estimate poses instead: in {where}.change, set control.pose.name to mmpose, onnx, blazepose or"
    " vitpose"
)
ESTIMATE_MAP = "estimate it instead: in {where}.change, set control.%s.name to %s"
MASKS = (
    "vidda mask makes them: add a variant with name masked, of what this one is of, and make this"
    " one of that"
)


CONTROL_REMEDIES = {
    "pose": ESTIMATE,
    "depth": ESTIMATE_MAP % ("depth", "depth_anything"),
    "segmentation": ESTIMATE_MAP % ("segmentation", "segmenter"),
    "mask": ESTIMATE_MAP % ("mask", "blazepose, mask_rcnn or segmenter") + f"; {MASKS}",
}
"""How to do without the sidecars that a control comes from."""


def sidecar_needs(config: VariantConfig) -> list[SidecarNeed]:
    """Return what a stage reads from the sidecars of its input."""
    match config:
        case RandomizeConfig():
            return [SidecarNeed(("mask",), "the masks of vidda randomize", MASKS)]
        case TranslateConfig():
            return list(_translation_needs(config))
        case _:
            return []


def _translation_needs(config: TranslateConfig) -> Iterator[SidecarNeed]:
    control = config.control
    for key in control.from_sidecars:
        noun = "poses" if key == "pose" else key
        use = f"the {noun} of control.{key} (or take another control.{key}.name)"
        yield SidecarNeed(SIDECAR_ARRAYS[key], use, CONTROL_REMEDIES[key])
    if config.backbone.keeps_person and control.pose is None and control.mask is None:
        use = "the masks of keep_person (or choose control.pose or control.mask)"
        yield SidecarNeed(("mask",), use, f"{ESTIMATE}, for masks around them; {MASKS}")


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
