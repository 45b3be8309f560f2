"""Stable Diffusion 1.x with ControlNets and attention across frames, as a backbone."""
