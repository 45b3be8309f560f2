"""Video domain adaptation for action recognition."""

__version__ = "0.1.0"
