"""The files of Wan VACE, found and checked before any is loaded."""

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from vidda.errors import ViddaError
from vidda.translate.stable_diffusion.fingerprint import (
    file_digest,
    model_content,
    without_origin,
)
from vidda.translate.stable_diffusion.folders import (
    DIFFUSERS,
    SCHEDULER,
    TRANSFORMERS,
    JsonContent,
    ModelFolder,
    model_files,
)
from vidda.translate.stable_diffusion.model_finder import ModelFinder
from vidda.translate.wan_vace.vace_config import VaceWeightsConfig

PIPELINES = ("WanVACEPipeline",)
TEXT_ENCODERS = ("UMT5EncoderModel", "T5EncoderModel")
SCHEDULERS = {"UniPCMultistepScheduler": "flow_shift", "FlowMatchEulerDiscreteScheduler": "shift"}
"""The schedulers of flow matching, and the name of their setting for `flow_shift`."""


@dataclass(frozen=True, slots=True)
class VaceFiles:
    """The files of all models of Wan VACE.

    scheduler: the content of scheduler_config.json. tokenizer: its folder. loras: files in the
    order of the config.
    """

    transformer: ModelFolder
    vae: ModelFolder
    text_encoder: ModelFolder
    tokenizer: Path
    scheduler: JsonContent
    loras: tuple[Path, ...]

    @property
    def frames_per_latent(self) -> int:
        """Return the frames that one latent stands for; the first stands for one alone."""
        return frames_per_latent(self.vae.config)

    @property
    def multiple(self) -> int:
        """Return the pixels along a side of one patch of the transformer."""
        return pixels_per_latent(self.vae.config) * _patch(self.transformer.config)


def pixels_per_latent(vae: JsonContent) -> int:
    """Return the pixels along a side of one latent; vae: the config of an AutoencoderKLWan."""
    return int(2 ** len(_downsamples(vae)))


def frames_per_latent(vae: JsonContent) -> int:
    """Return `VaceFiles.frames_per_latent`; vae: the config of an AutoencoderKLWan."""
    return int(2 ** sum(_downsamples(vae)))


def find_vace_files(config: VaceWeightsConfig) -> VaceFiles:
    """Find all files, and compare the models' sizes by their configs.

    Raises ViddaError with a line for each model or file that is missing, is of the wrong kind, or
    does not fit the others. Downloads only with `config.download`.
    """
    finder, base = ModelFinder(config), config.base
    folder = finder.pipeline(PIPELINES, _pipeline_files(base.variant), "Wan VACE")
    loras = [
        finder.file(f"loras.{n}", lora.source, lora.file, "pytorch_lora_weights.safetensors")
        for n, lora in enumerate(config.loras)
    ]
    if folder is None:
        raise ViddaError("\n".join(finder.problems))
    transformer = finder.model_folder(folder / "transformer", ("WanVACETransformer3DModel",), base)
    vae = finder.model_folder(folder / "vae", ("AutoencoderKLWan",), base)
    text = finder.model_folder(folder / "text_encoder", TEXT_ENCODERS, base, TRANSFORMERS)
    tokenizer = finder.tokenizer(folder / "tokenizer", base)
    scheduler = finder.content(folder / SCHEDULER, base)
    problems = finder.problems
    index = finder.content(folder / "model_index.json", base) or {}
    if any(index.get("transformer_2") or ()):
        problems.append(f"{folder}: a two-stage Wan 2.2; name a Wan 2.1 VACE, of one transformer")
    if scheduler and scheduler.get("_class_name") not in SCHEDULERS:
        problems.append(
            f"{folder / SCHEDULER}: a {scheduler.get('_class_name')}; Wan needs one of"
            f" {', '.join(SCHEDULERS)}"
        )
    if transformer and vae and text:
        problems += _size_mismatches(transformer, vae, text)
    if problems:
        raise ViddaError("\n".join(problems))
    assert transformer and vae and text and tokenizer and scheduler
    found = tuple(file for file in loras if file)
    return VaceFiles(transformer, vae, text, tokenizer, scheduler, found)


def fingerprint_of(
    config: VaceWeightsConfig, files: VaceFiles, references: tuple[Path, ...]
) -> str:
    """Return the hex SHA-256 of all weights, the models' configs, scales and reference videos."""
    words = sorted(one for one in files.tokenizer.iterdir() if one.suffix in (".json", ".txt"))
    content = {
        "models": [model_content(m) for m in (files.transformer, files.vae, files.text_encoder)],
        "tokenizer": [(path.name, file_digest(path)) for path in words],
        "scheduler": without_origin(files.scheduler),
        "loras": [
            (lora.scale, file_digest(file))
            for lora, file in zip(config.loras, files.loras, strict=True)
        ],
        "references": [file_digest(video) for video in references],
    }
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def _pipeline_files(variant: str | None) -> list[str]:
    """Return patterns of the files that are read from a repository; variant: of weight files."""
    return [
        "model_index.json",
        SCHEDULER,
        "tokenizer/*",
        *model_files(DIFFUSERS, variant, "vae/"),
        *model_files(DIFFUSERS, variant, "transformer/"),
        *model_files(TRANSFORMERS, variant, "text_encoder/"),
    ]


def _downsamples(vae: JsonContent) -> list[bool]:
    return list(vae.get("temperal_downsample", (False, True, True)))


def _patch(transformer: JsonContent) -> int:
    return int(transformer.get("patch_size", (1, 2, 2))[1])


def _size_mismatches(
    transformer: ModelFolder, vae: ModelFolder, text: ModelFolder
) -> Iterator[str]:
    """Yield a line for each size of a transformer that does not fit the other models."""
    latent = vae.config.get("z_dim", 16)
    wanted = 2 * latent + pixels_per_latent(vae.config) ** 2
    for key, own, other in (
        ("in_channels", latent, vae),
        ("vace_in_channels", wanted, vae),
        ("text_dim", text.config.get("d_model"), text),
    ):
        if key in transformer.config and transformer.config[key] != own:
            yield (
                f"{transformer.path}: {key} is {transformer.config[key]}, but {other.path} makes"
                f" {own}; take both from one pipeline"
            )
