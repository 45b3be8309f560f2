"""Checks of stages' configs that do not need the clips that the stages read."""

from collections.abc import Iterator, Sequence

from vidda.errors import ViddaError
from vidda.experiment.stage import Stage
from vidda.recognize.train import config_problems as training_problems
from vidda.recognize.train_config import TrainConfig
from vidda.translate.plan import config_problems as translation_problems
from vidda.translate.translate_config import TranslateConfig


def check_configs(stages: Sequence[Stage]) -> None:
    """Raise ViddaError with a line for each mistake that a stage's command would refuse later."""
    found = (f"{stage.title}: {problem}" for stage in stages for problem in _problems(stage))
    if problems := list(found):
        raise ViddaError("\n".join(problems))


def _problems(stage: Stage) -> Iterator[str]:
    if isinstance(stage.config, TranslateConfig):
        yield from translation_problems(stage.config)
    elif isinstance(stage.config, TrainConfig):
        yield from training_problems(stage.config)
