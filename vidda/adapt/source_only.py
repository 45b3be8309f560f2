"""No adaptation: the baseline, in the same loop and with the same clips as every method."""

from typing import Literal

from vidda.adapt.joint import MethodConfig, MethodSettings
from vidda.recognize.method import Method, Supervised
from vidda.recognize.recognizer import Recognizer


class SourceOnlyConfig(MethodConfig):
    """Cross-entropy on the source; the target is never shown to the model in training."""

    name: Literal["source_only"] = "source_only"

    def build(self, model: Recognizer, supervised: Supervised, setting: MethodSettings) -> Method:
        return supervised
