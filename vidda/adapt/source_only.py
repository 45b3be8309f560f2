"""Training on the source alone: the baseline, in the same loop with the same clips."""

from typing import Literal

from vidda.adapt.joint import MethodConfig, MethodSettings
from vidda.recognize.method import Method, Supervised
from vidda.recognize.recognizer import Recognizer


class SourceOnlyConfig(MethodConfig):
    """Cross-entropy on the source; the model is never trained on the target."""

    name: Literal["source_only"] = "source_only"

    def build(self, model: Recognizer, supervised: Supervised, settings: MethodSettings) -> Method:
        return supervised
