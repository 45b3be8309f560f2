"""Adaptation at test time: a step on the clips that come, and an answer for them at once."""

from collections.abc import Callable
from pathlib import Path

import torch

from vidda.recognize.method import Method, Outputs
from vidda.recognize.recognizer import Recognizer


class Online(Method):
    """A method whose result is what it says of each clip right after the step on it.

    answers: (N, K) float32 logits of the target's clips, nan before. It is a buffer, so a run that
    is resumed answers for the rest of the clips as if it had not been stopped.
    """

    answers: torch.Tensor

    def __init__(self, clips: int, classes: int) -> None:
        super().__init__()
        self.register_buffer("answers", torch.full((clips, classes), torch.nan))
        self._now: list[torch.Tensor] = []

    def begin(
        self,
        model: Recognizer,
        folder: Path,
        source: Callable[[], Outputs],
        show: Callable[[torch.Tensor], torch.Tensor],
    ) -> None:
        """What precedes the first step, of a new run or one that goes on.

        model: as it was started, with the source's weights. folder: the run's. source: shows it
        every training clip of the source as in testing. show: shows it the target's clips of these
        numbers so, and gives their logits.
        """
        self._show = show

    def came(self, number: torch.Tensor) -> None:
        """Say which clips this step is on, to answer for them after it."""
        self._now.append(number)

    def after_step(self, model: torch.nn.Module) -> None:
        number = torch.cat(self._now)
        self.answers[number] = self._show(number.cpu()).to(self.answers)
        self._now = []
