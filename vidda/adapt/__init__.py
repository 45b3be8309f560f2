"""Adaptation of a recognizer to unlabeled target clips: methods and their losses."""

from typing import TYPE_CHECKING

from vidda.lazy import lazy_names

if TYPE_CHECKING:
    from vidda.adapt import losses

__all__ = ["losses"]

if not TYPE_CHECKING:  # type checkers know only the names above
    __getattr__, __dir__ = lazy_names(__name__, {"losses": "vidda.adapt.losses"})
