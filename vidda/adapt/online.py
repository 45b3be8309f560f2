"""Test-time adaptation: a step on each batch of clips, and a prediction for them right after it."""

from collections.abc import Callable
from pathlib import Path

import torch

from vidda.recognize.infer import Outputs
from vidda.recognize.method import Method
from vidda.recognize.recognizer import Recognizer


class Online(Method):
    """A method whose result is its prediction for each clip right after the step on it.

    answers: (N, K) float32, the logits of the target's clips, nan before their step. It is a
    buffer, so that a resumed run continues with the rest of the clips.
    """

    answers: torch.Tensor

    def __init__(self, clips: int, classes: int) -> None:
        super().__init__()
        self.register_buffer("answers", torch.full((clips, classes), torch.nan))
        self._step_clips: list[torch.Tensor] = []

    def begin(
        self,
        model: Recognizer,
        folder: Path,
        infer_source: Callable[[], Outputs],
        target_logits: Callable[[torch.Tensor], torch.Tensor],
    ) -> None:
        """Prepare for the first step, of a new or a resumed run.

        model: with the source's weights, as started. folder: the run's. infer_source: runs the
        model on every training clip of the source, as in testing. target_logits: returns the logits
        (B, K) of the target clips with these numbers (B,), as in testing.
        """
        self._target_logits = target_logits

    def record_clips(self, number: torch.Tensor) -> None:
        """Record the clips (B,) of this step by number, to predict them after it."""
        self._step_clips.append(number)

    def after_step(self, model: torch.nn.Module) -> None:
        number = torch.cat(self._step_clips)
        self.answers[number] = self._target_logits(number.cpu()).to(self.answers)
        self._step_clips = []
