"""Personalization: a diffusion model is fine-tuned on unlabeled frames of the target domain."""
