"""A digest of a translator's weights and settings that does not depend on where files are."""

import hashlib
import json
from pathlib import Path

from vidda.files import sha256
from vidda.translate.stable_diffusion.folders import JsonContent, ModelFolder
from vidda.translate.stable_diffusion.model_files import ModelFiles, find_model_files
from vidda.translate.stable_diffusion.weights_config import WeightsConfig

_DIGESTS: dict[tuple[str, int, int], str] = {}
"""Digests by path, modification time and size, so that a process reads each file once."""

# In every config.json, without effect on the model's outputs.
_ORIGIN = ("_name_or_path", "_diffusers_version", "transformers_version")


def fingerprint(config: WeightsConfig, files: ModelFiles | None = None) -> str:
    """Return the hex SHA-256 of all weights, the models' configs, scales and step windows.

    Paths do not enter. files: the result of `find_model_files`; None: call it. Raises ViddaError,
    as loading does, when something is missing or does not fit.
    """
    files = files or find_model_files(config)
    words = sorted(path for path in files.tokenizer.iterdir() if path.suffix in (".json", ".txt"))
    content = {
        "models": [model_content(p) for p in (files.vae, files.unet, files.text_encoder)],
        "tokenizer": [(path.name, file_digest(path)) for path in words],
        "scheduler": without_origin(files.scheduler),
        "controlnets": [
            (c.kind, c.scale, c.start, c.end, model_content(folder))
            for c, folder in zip(config.controlnets, files.controlnets, strict=True)
        ],
        "loras": [
            (lora.scale, file_digest(file))
            for lora, file in zip(config.loras, files.loras, strict=True)
        ],
        "embeddings": [
            (embedding.token, file_digest(file))
            for embedding, file in zip(config.embeddings, files.embeddings, strict=True)
        ],
    }
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def file_digest(path: Path) -> str:
    """Return the hex SHA-256 of a file's content; an unchanged file is read once a process."""
    stat = path.stat()
    key = (str(path.resolve()), stat.st_mtime_ns, stat.st_size)
    if key not in _DIGESTS:
        _DIGESTS[key] = sha256(path)
    return _DIGESTS[key]


def model_content(folder: ModelFolder) -> tuple[JsonContent, list[str]]:
    """Return a model's config, but for where it came from, and its files' hex SHA-256."""
    return without_origin(folder.config), [file_digest(file) for file in folder.files]


def without_origin(config: JsonContent) -> JsonContent:
    """Return a model's or scheduler's config without where it came from."""
    return {key: value for key, value in config.items() if key not in _ORIGIN}
