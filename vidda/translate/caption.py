"""Image captions by BLIP (arXiv 2201.12086), and their assignment to source clips."""

from collections.abc import Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import torch
from pydantic import Field

from vidda.config import Config, Count
from vidda.data.frame_sampling import clip_rng
from vidda.errors import ViddaError
from vidda.weights import Hub, SourceConfig, silence_libraries

_FILES = ("*.json", "vocab.txt", "model.safetensors", "pytorch_model.bin")


class CaptionerConfig(Config):
    """A BLIP captioner and its decoding."""

    source: SourceConfig = Field(
        default=Hub(repo="Salesforce/blip-image-captioning-base"),
        description="folder or hub repository of the captioner",
    )
    prefix: str = Field(default="", description="start of every caption, e.g. a photo of")
    max_tokens: Count = Field(default=30, description="most tokens after the prefix")
    beams: Count = Field(
        default=3, description="beam width of the search for a caption; 1: greedy decoding"
    )


class RandomCaption(Config):
    """A random caption for each source clip, decided by the seed and the clip's id alone."""

    name: Literal["random"] = "random"
    seed: int = Field(default=0, ge=0, description="seed of the random choice")

    def pick(self, clips: Sequence[str], captions: int) -> np.ndarray:
        """Return the index of a caption for each clip id, (N,) int64 in 0..captions-1."""
        picked = [clip_rng(self.seed, 0, name, "caption").integers(captions) for name in clips]
        return np.array(picked, np.int64)


class NearestCaption(Config):
    """The caption of the target frame whose BLIP features are most similar to the source clip's."""

    name: Literal["nearest"] = "nearest"

    def pick(self, clips: np.ndarray, targets: np.ndarray) -> np.ndarray:
        """Return the index of the nearest target for each clip, (N,) int64; the first one among
        equals.

        clips: (N, D), targets: (M, D) features, all of unit length.
        """
        return np.array([(targets @ clip).argmax() for clip in clips], np.int64)


AssignConfig = Annotated[RandomCaption | NearestCaption, Field(discriminator="name")]


class Captioner:
    """A loaded BLIP, which captions frames and computes their features."""

    def __init__(self, config: CaptionerConfig, processor: Any, model: Any) -> None:
        self._config = config
        self._processor = processor
        self._model = model

    @torch.inference_mode()
    def describe(self, frames: Sequence[np.ndarray]) -> list[str]:
        """Return a caption of each frame, (H, W, 3) uint8 RGB; it may be empty."""
        prefix = [self._config.prefix] * len(frames) if self._config.prefix else None
        inputs = self._processor(
            images=list(frames), text=prefix, input_data_format="channels_last", return_tensors="pt"
        ).to(self._model.device, self._model.dtype)
        with _quiet():
            ids = self._model.generate(
                **inputs,
                max_new_tokens=self._config.max_tokens,
                num_beams=self._config.beams,
                do_sample=False,
            )
        texts = self._processor.batch_decode(ids, skip_special_tokens=True)
        return [" ".join(text.split()) for text in texts]

    @torch.inference_mode()
    def features(self, frames: Sequence[np.ndarray]) -> np.ndarray:
        """Return the features of BLIP's vision encoder for each frame, (N, D) float32 of unit
        length.
        """
        inputs = self._processor(
            images=list(frames), input_data_format="channels_last", return_tensors="pt"
        ).to(self._model.device, self._model.dtype)
        pooled = self._model.vision_model(pixel_values=inputs.pixel_values).pooler_output.float()
        features: np.ndarray = torch.nn.functional.normalize(pooled, dim=1).cpu().numpy()
        return features


def find_captioner(config: CaptionerConfig, download: bool) -> Path:
    """Return the captioner's folder, downloaded if `download` is set.

    Raises ViddaError when it holds no BLIP for captions.
    """
    from transformers import AutoConfig

    source = config.source
    folder = source.find("captioner.source", _FILES, download)
    try:
        with _quiet():
            names = AutoConfig.from_pretrained(folder, local_files_only=True).architectures or []
    except (OSError, ValueError) as error:
        reason = " ".join(str(error).split())
        raise ViddaError(f"{folder}: no model of transformers ({reason:.120})") from None
    if "BlipForConditionalGeneration" not in names:
        shown = ", ".join(names) or "model of no known class"
        raise ViddaError(
            f"{folder}: holds a {shown}; name a BLIP for captions (BlipForConditionalGeneration)"
        )
    if not any((folder / name).is_file() for name in _FILES[2:]):
        raise ViddaError(
            f"{folder}: no model.safetensors; {source.missing_remedy('captioner.source')}"
        )
    return folder


def load_captioner(
    config: CaptionerConfig, folder: Path, device: torch.device, dtype: torch.dtype
) -> Captioner:
    """Return the captioner in a folder, on a device.

    The public weights are a .bin only: where there is no model.safetensors, transformers reads it
    with torch's loader for tensors (`weights_only`), which runs no code of the file. Raises
    ViddaError when something is missing.
    """
    from transformers import BlipForConditionalGeneration, BlipProcessor

    try:
        with _quiet():
            processor = BlipProcessor.from_pretrained(folder, local_files_only=True)
            loaded: Any = BlipForConditionalGeneration.from_pretrained(
                folder,
                dtype=dtype,
                use_safetensors=(folder / "model.safetensors").is_file(),
                weights_only=True,
                local_files_only=True,
                output_loading_info=True,
            )
    except Exception as error:  # unpickling, tokenizers and safetensors raise errors of their own
        reason = " ".join(str(error).split())
        raise ViddaError(
            f"{folder}: cannot be loaded ({reason:.200}); copy the folder again"
        ) from None
    model, info = loaded
    if info["missing_keys"]:
        first = sorted(info["missing_keys"])[0]
        raise ViddaError(f"{folder}: weights are missing (first {first}); copy the folder again")
    return Captioner(config, processor, model.requires_grad_(False).eval().to(device))


def _quiet() -> AbstractContextManager[None]:
    from transformers.utils import logging

    return silence_libraries(logging)
