"""AnimateDiff, motion modules in Stable Diffusion 1.x with ControlNets, as a backbone."""
