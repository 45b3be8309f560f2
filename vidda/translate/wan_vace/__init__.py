"""Wan VACE, a video diffusion transformer with one control video, as a backbone."""
