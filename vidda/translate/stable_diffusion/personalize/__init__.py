"""A diffusion model adapted to unlabeled frames of the target domain."""
