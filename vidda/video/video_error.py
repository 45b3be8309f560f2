"""The one error of this package."""

from vidda.errors import ViddaError


class VideoError(ViddaError):
    """A video that cannot be read or written as asked; its text begins with the file's name."""
