"""Decord, imported so that it leaves PyAV alone: `from vidda.video._decord import decord`.

Decord brings its own old libvpx, libx264 and FFmpeg, and loads them with RTLD_GLOBAL, so that their
symbols replace those of PyAV's newer copies: with decord 0.6.0 and PyAV 18.1.0, PyAV's VP8 encoder
does not open after a plain `import decord`. With RTLD_LOCAL the two work side by side.
"""

import ctypes

_global = ctypes.RTLD_GLOBAL
setattr(ctypes, "RTLD_GLOBAL", ctypes.RTLD_LOCAL)  # noqa: B010 - mypy takes it for a constant
try:
    import decord
finally:
    setattr(ctypes, "RTLD_GLOBAL", _global)  # noqa: B010

# It would print every message of FFmpeg on a damaged file; the error reports it once.
decord.logging.set_level(decord.logging.QUIET)

__all__ = ["decord"]
