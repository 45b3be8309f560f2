"""Training of the built-in miniature Stable Diffusion: data, stages, quality gate, model card."""
