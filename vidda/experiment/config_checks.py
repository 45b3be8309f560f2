"""Checks of stages' configs that do not need the clips that the stages read."""

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

from vidda.errors import ViddaError
from vidda.evaluate.job import EvaluateConfig
from vidda.experiment.stage import Stage
from vidda.recognize.train import config_problems as training_problems
from vidda.recognize.train_config import TrainConfig
from vidda.translate.caption_job import CaptionConfig
from vidda.translate.caption_job import config_problems as caption_problems
from vidda.translate.plan import config_problems as translation_problems
from vidda.translate.translate_config import TranslateConfig


@runtime_checkable
class ChecksItself(Protocol):
    """A config that checks itself without clips, as that of vidda personalize."""

    def config_problems(self) -> list[str]:
        """Return the mistakes that show without clips, a line each."""
        ...


def check_configs(stages: Sequence[Stage]) -> None:
    """Raise ViddaError with a line for each mistake that a stage's command would refuse later."""
    found = (f"{stage.title}: {problem}" for stage in stages for problem in _problems(stage))
    if problems := list(found):
        raise ViddaError("\n".join(problems))


def _problems(stage: Stage) -> list[str]:
    match stage.config:
        case TranslateConfig():
            return translation_problems(stage.config)
        case CaptionConfig():
            return caption_problems(stage.config)
        case TrainConfig():
            return training_problems(stage.config)
        case EvaluateConfig():
            return _device_problems(stage.config)
        case ChecksItself():
            return stage.config.config_problems()
        case _:
            return []


def _device_problems(config: EvaluateConfig) -> list[str]:
    try:
        config.torch_device()
    except ViddaError as error:
        return [str(error)]
    return []
