"""A diffusion model adapted to unlabelled frames of the target domain."""
