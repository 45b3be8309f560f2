"""Sidecars along a chain of variants: the stages that read them, and those that leave none."""

from vidda.camera.job import CameraJobConfig
from vidda.control.sidecar_poses import SidecarPosesConfig
from vidda.data.randomize import RandomizeConfig
from vidda.translate.translate_config import TranslateConfig

VariantConfig = RandomizeConfig | TranslateConfig | CameraJobConfig


def keeps_sidecars(config: VariantConfig) -> bool:
    """Return whether the clips that a stage makes have the sidecars of its input."""
    match config:
        case RandomizeConfig():
            return False
        case TranslateConfig():
            return config.camera is None or not config.camera.match.shake
        case CameraJobConfig():
            return not config.match.shake


def sidecar_need(config: VariantConfig) -> str | None:
    """Return what a stage reads from the sidecars of its input, for a message; None if nothing."""
    match config:
        case RandomizeConfig():
            return "the masks of vidda randomize"
        case TranslateConfig() if isinstance(config.control.pose, SidecarPosesConfig):
            return (
                "the poses of control.pose (or choose control.pose.name=mmpose, onnx or blazepose)"
            )
        case TranslateConfig() if config.backbone.keeps_person and config.control.pose is None:
            return "the masks of keep_person (or choose control.pose)"
        case _:
            return None
