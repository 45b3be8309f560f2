"""The error that all readers and writers of video raise."""

from vidda.errors import ViddaError


class VideoError(ViddaError):
    """A failure to read or write a video as asked; its text begins with the file's name."""
