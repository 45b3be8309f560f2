"""How vidda's built-in miniature Stable Diffusion is made: data, training, gate, model card."""
