"""What a stage's config alone tells, before the clips that it reads are there."""

from collections.abc import Iterator, Sequence

from vidda.errors import ViddaError
from vidda.experiment.stage import Stage
from vidda.recognize.train import config_problems as training_problems
from vidda.recognize.train_config import TrainConfig
from vidda.translate.plan import config_problems as translation_problems
from vidda.translate.translate_config import TranslateConfig


def check(stages: Sequence[Stage]) -> None:
    """Raise ViddaError with every mistake of configs that their commands would refuse later."""
    found = (f"{stage.name}: {problem}" for stage in stages for problem in _problems(stage))
    if problems := list(found):
        raise ViddaError("\n".join(problems))


def _problems(stage: Stage) -> Iterator[str]:
    if isinstance(stage.config, TranslateConfig):
        yield from translation_problems(stage.config)
    elif isinstance(stage.config, TrainConfig):
        yield from training_problems(stage.config)
