"""ControlNets that take the embedding of their control images in place of the images."""

from typing import Any

import torch
from diffusers.models.controlnets.controlnet import ControlNetConditioningEmbedding


class _EmbeddingOrImages(ControlNetConditioningEmbedding):
    """A ControlNet's embedding of control images, which returns embeddings as they are."""

    def forward(self, conditioning: torch.Tensor) -> torch.Tensor:
        """Return the embedding (B, C, h, w) of images (B, 3, H, W), or of itself."""
        if conditioning.shape[1] != self.conv_in.in_channels:
            return conditioning
        return super().forward(conditioning)


def accept_embeddings(model: Any) -> None:
    """Change a ControlNet of diffusers so that it takes images as well as `embed_images` of them.

    Their embedding is the same in all steps and passes, and convolutions at the images' full size
    take a large share of a ControlNet's time.
    """
    # Its weights keep their names, and all else that uses the model finds it as it was.
    model.controlnet_cond_embedding.__class__ = _EmbeddingOrImages


def embed_images(model: Any, images: torch.Tensor) -> torch.Tensor:
    """Return control images (B, 3, H, W) as a ControlNet takes them, (B, C, h, w) embeddings.

    model: after `accept_embeddings`. They stay images where it takes their channels in another
    order, which it would apply to the embeddings' too.
    """
    if model.config.controlnet_conditioning_channel_order != "rgb":
        return images
    embedded: torch.Tensor = model.controlnet_cond_embedding(images)
    return embedded
