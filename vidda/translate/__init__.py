"""Translation of rendered clips into real-looking ones by a diffusion model."""

from typing import TYPE_CHECKING

from vidda.lazy import lazy_names

if TYPE_CHECKING:
    from vidda.translate.clip_translator import ClipTranslator, load

__all__ = ["ClipTranslator", "load"]

if not TYPE_CHECKING:  # type checkers know only the names above
    __getattr__, __dir__ = lazy_names(
        __name__, {name: f"vidda.translate.clip_translator:{name}" for name in __all__}
    )
