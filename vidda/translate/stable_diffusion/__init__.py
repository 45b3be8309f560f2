"""Stable Diffusion 1.x or 2.x with ControlNets and cross-frame attention, as a backbone."""
