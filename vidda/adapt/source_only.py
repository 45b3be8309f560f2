"""No adaptation: the baseline, in the same loop and with the same clips as every method."""

from typing import Literal

from vidda.adapt.joint import MethodBase, Setting
from vidda.recognize.recognizer import Recognizer
from vidda.recognize.step import Method, Supervised


class SourceOnly(MethodBase):
    """Cross-entropy on the source; the target is never shown to the model in training."""

    name: Literal["source_only"] = "source_only"

    def build(self, model: Recognizer, supervised: Supervised, setting: Setting) -> Method:
        return supervised
