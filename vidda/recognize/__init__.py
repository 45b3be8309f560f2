"""Recognizers of actions in clips: training them, and predicting with a trained one."""

from typing import TYPE_CHECKING

from vidda.lazy import lazy_names

if TYPE_CHECKING:
    from vidda.recognize.predictor import ClipPredictions, Predictor, load

__all__ = ["ClipPredictions", "Predictor", "load"]

if not TYPE_CHECKING:  # type checkers know only the names above
    __getattr__, __dir__ = lazy_names(
        __name__, {name: f"vidda.recognize.predictor:{name}" for name in __all__}
    )
