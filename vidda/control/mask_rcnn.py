"""Masks of people by Mask R-CNN of torchvision (arXiv 1703.06870), trained on COCO."""

from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal
from urllib.parse import urlparse

import numpy as np
from pydantic import Field

from vidda.config import Config, Count
from vidda.control.boxes import COCO_PERSON
from vidda.control.network_weights import load_network_weights
from vidda.device import torch_device
from vidda.errors import ViddaError
from vidda.types import ClipRecord

if TYPE_CHECKING:  # takes seconds to import
    import torch


class MaskRcnnConfig(Config):
    """Mask R-CNN of torchvision, in float32."""

    name: Literal["mask_rcnn"] = Field(default="mask_rcnn", description="Mask R-CNN of torchvision")
    model: Literal["maskrcnn_resnet50_fpn", "maskrcnn_resnet50_fpn_v2"] = Field(
        default="maskrcnn_resnet50_fpn_v2", description="torchvision's name of the network"
    )
    weights: Path | None = Field(
        default=None,
        description="file of weights: .safetensors or a torch state_dict; null: torchvision's own,"
        " from its cache",
    )
    download: bool = Field(
        default=False, description="download torchvision's weights where its cache lacks them"
    )
    size: Count = Field(
        default=800, description="shorter side in pixels at which frames are inspected"
    )
    detected: Annotated[float, Field(ge=0, lt=1)] = Field(
        default=0.5, description="lowest score of a detected person"
    )
    people: Count = Field(
        default=8, description="most people per frame; those with the highest scores are kept"
    )
    batch: Count = Field(default=2, description="frames per batch")
    device: str = Field(
        default="auto", description="cpu, cuda, cuda:1, ...; auto: a GPU if there is one"
    )

    def build(self, key: str = "source") -> "MaskRcnn":
        """Return the loaded network; raises ViddaError when its weights or device are not
        available.

        key: of this config, for messages.
        """
        return MaskRcnn(self, key)


class MaskRcnn:
    """Mask R-CNN, loaded for inference.

    config, key: see `MaskRcnnConfig.build`.
    """

    def __init__(self, config: MaskRcnnConfig, key: str) -> None:
        from torchvision.models import get_model

        self.config = config
        self.device = torch_device(config.device, f"{key}.device")
        self._model = get_model(
            config.model, weights=None, weights_backbone=None, min_size=config.size
        )
        if config.weights is not None:
            load_network_weights(self._model, config.weights, f"{key}.weights")
        else:
            self._model.load_state_dict(_torchvision_weights(config, key))
        self._model.eval().requires_grad_(False).to(self.device)

    def find_masks(
        self,
        frames: Iterable[np.ndarray],
        clip: ClipRecord,
        root: Path,
        indices: Iterable[int] | None = None,
    ) -> Iterator[np.ndarray]:
        """Yield the masks of the people in each frame, the highest score first.

        Arguments and result as in `vidda.control.mask_source.MaskSource`; only the frames are
        used.
        """
        import torch

        remaining = iter(frames)
        while batch := list(islice(remaining, self.config.batch)):
            images = torch.from_numpy(np.stack(batch)).to(self.device)
            with torch.inference_mode():
                outputs = self._model(list(images.permute(0, 3, 1, 2).float() / 255.0))
            for output in outputs:
                people = output["labels"] == COCO_PERSON
                people &= output["scores"] >= self.config.detected
                yield output["masks"][people, 0][: self.config.people].cpu().numpy()


def _torchvision_weights(config: MaskRcnnConfig, key: str) -> "dict[str, torch.Tensor]":
    """Return torchvision's own weights, from its cache or, if the config says so, downloaded.

    key: of the config, for messages.
    """
    import torch
    from torchvision.models import get_model_weights

    weights = get_model_weights(config.model).DEFAULT
    file = Path(torch.hub.get_dir(), "checkpoints", Path(urlparse(weights.url).path).name)
    if not (file.is_file() or config.download):
        raise ViddaError(
            f"{file}: torchvision's weights are not there; name a file with {key}.weights, or"
            f" {key}.download=true downloads them"
        )
    state: dict[str, torch.Tensor] = weights.get_state_dict(check_hash=True)
    return state
