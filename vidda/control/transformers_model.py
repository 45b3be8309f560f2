"""Models of transformers with their image processors, from a folder or the Hugging Face hub."""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from pydantic import Field

from vidda.config import Config, Count
from vidda.device import torch_device
from vidda.errors import ViddaError
from vidda.weights import Folder, Hub, SourceConfig, silence_libraries

if TYPE_CHECKING:  # takes seconds to import, and a sidecar or ONNX needs none of it
    import torch

FILES = (
    "config.json",
    "preprocessor_config.json",
    "model*.safetensors",
    "model.safetensors.index*.json",
)
"""Files of a model, with wildcards: sizes, input preparation, weights and the index of these."""


class TransformersModelConfig(Config):
    """Base of the configs of estimators that are models of transformers.

    Only safetensors are read, and no code of a repository is run.
    """

    weights: SourceConfig = Field(description="folder or hub repository of the model")
    download: bool = Field(default=False, description="fetch what the hub's cache lacks")
    batch: Count = Field(default=8, description="frames per batch")
    device: str = Field(
        default="auto", description="cpu, cuda, cuda:1, ...; auto: a GPU if there is one"
    )


@dataclass(frozen=True, slots=True)
class TransformersModel:
    """A model of transformers in float32 for inference, and its image processor.

    name: of the hub's repository or the folder that it was loaded from, for messages.
    """

    name: str
    processor: Any
    model: Any
    device: "torch.device"

    def run(self, frames: np.ndarray) -> Any:
        """Return the model's outputs for frames (T, H, W, 3) uint8 RGB, in one batch."""
        import torch

        inputs = self.processor(
            images=list(frames),
            input_data_format="channels_last",
            return_tensors="pt",
            device=self.device,
        )
        with torch.inference_mode():
            return self.model(**inputs.to(self.device))

    def index_of(self, label: str) -> int:
        """Return the number of the class with this label, in letters of either case.

        Raises ViddaError where the model has no such class.
        """
        labels: dict[int, str] = self.model.config.id2label
        for number, name in labels.items():
            if name.casefold() == label:
                return number
        raise ViddaError(
            f"{self.name}: no class {label!r} among its {len(labels)} ({_few(labels.values())});"
            f" name a model that knows a {label}"
        )


def load_transformers_model(
    config: TransformersModelConfig, key: str, classes: Mapping[str, str], job: str
) -> TransformersModel:
    """Return the model that a config names, on its device.

    key: of the config, for messages. classes: names of transformers' model classes that will do, by
    the model's type. job: of these classes, for messages, such as "object detection". Raises
    ViddaError when the device, the files or weights are missing, damaged or of another class.
    """
    import transformers

    device = torch_device(config.device, f"{key}.device")
    folder = _find_files(config.weights, f"{key}.weights", config.download)
    local = {"local_files_only": True, "trust_remote_code": False}
    with _one_line(folder):
        sizes: Any = transformers.AutoConfig.from_pretrained(folder, **local)
    wanted, found = classes.get(sizes.model_type), sizes.architectures or []
    if wanted is None or wanted not in found:
        raise ViddaError(
            f"{folder}: holds a {_few(found) or 'model of no known class'}; {key}.weights names a"
            f" model for {job} ({_few(classes.values())})"
        )
    with _one_line(folder):
        processor = transformers.AutoImageProcessor.from_pretrained(folder, **local)
        model, info = getattr(transformers, wanted).from_pretrained(
            folder,
            config=sizes,
            dtype="float32",
            variant=config.weights.variant,
            use_safetensors=True,
            local_files_only=True,
            output_loading_info=True,
        )
    if missing := sorted(info["missing_keys"]):
        raise ViddaError(
            f"{folder}: {len(missing)} weights are missing (first {missing[0]}); copy the folder"
            " again"
        )
    name = config.weights.repo if isinstance(config.weights, Hub) else str(folder)
    return TransformersModel(name, processor, model.requires_grad_(False).eval().to(device), device)


def _find_files(source: Folder | Hub, key: str, download: bool) -> Path:
    """Return a model's folder; raises ViddaError when a file that it needs is not there."""
    folder = source.find(key, FILES, download)
    for pattern in FILES[:3]:
        if not any(folder.glob(pattern)):
            pickles = [file.name for file in sorted(folder.glob("*.bin"))]
            also = pickles and pattern == FILES[2]
            raise ViddaError(
                f"{key}: {folder}: no {pattern.replace('*', '')}"
                + (f" ({pickles[0]} is a pickle, which vidda does not load)" if also else "")
                + f"; {source.missing_remedy(key)}"
            )
    return folder


@contextmanager
def _one_line(folder: Path) -> Iterator[None]:
    """Silence transformers, and raise whatever it raises as a ViddaError of one line."""
    from transformers.utils import logging

    try:
        with silence_libraries(logging):
            yield
    except Exception as error:  # configs, processors and safetensors have errors of their own
        reason = " ".join(str(error).split())
        raise ViddaError(
            f"{folder}: cannot be loaded ({reason:.200}); copy the folder again, or name another"
        ) from None


def _few(names: Iterable[str]) -> str:
    """Return the first five of some names, for a message."""
    listed = list(names)
    return ", ".join(listed[:5]) + (", ..." if len(listed) > 5 else "")
