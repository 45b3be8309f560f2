"""What a translator is made of, as one digest: the same weights give it wherever they lie."""

import hashlib
import json
from pathlib import Path

from vidda.files import sha256
from vidda.translate.stable_diffusion.folders import Content, FolderPart
from vidda.translate.stable_diffusion.model_files import ModelFiles, find_model_files
from vidda.translate.stable_diffusion.weights_config import WeightsConfig

_KNOWN: dict[tuple[str, int, int], str] = {}
"""Digests of files by path, time of change and size: gigabytes are read once a process."""

# In every config.json, and without effect on what the model computes.
_ORIGIN = ("_name_or_path", "_diffusers_version", "transformers_version")


def fingerprint(config: WeightsConfig, parts: ModelFiles | None = None) -> str:
    """Return hex SHA-256 over all weights, the models' configs, and scales and windows, not over
    places.

    parts: where `find_model_files` found them; None: it looks now. Raises ViddaError, as loading
    does, when something is missing or does not fit.
    """
    parts = parts or find_model_files(config)
    words = sorted(path for path in parts.tokenizer.iterdir() if path.suffix in (".json", ".txt"))
    content = {
        "models": [_model(p) for p in (parts.vae, parts.unet, parts.text_encoder)],
        "tokenizer": [(path.name, file_digest(path)) for path in words],
        "scheduler": _without_origin(parts.scheduler),
        "controlnets": [
            (c.kind, c.scale, c.start, c.end, _model(part))
            for c, part in zip(config.controlnets, parts.controlnets, strict=True)
        ],
        "loras": [
            (lora.scale, file_digest(file))
            for lora, file in zip(config.loras, parts.loras, strict=True)
        ],
        "embeddings": [
            (embedding.token, file_digest(file))
            for embedding, file in zip(config.embeddings, parts.embeddings, strict=True)
        ],
    }
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def file_digest(path: Path) -> str:
    """Return hex SHA-256 of a file's content; one that has not changed is not read again."""
    stat = path.stat()
    key = (str(path.resolve()), stat.st_mtime_ns, stat.st_size)
    if key not in _KNOWN:
        _KNOWN[key] = sha256(path)
    return _KNOWN[key]


def _model(part: FolderPart) -> tuple[Content, list[str]]:
    return _without_origin(part.config), [file_digest(file) for file in part.files]


def _without_origin(config: Content) -> Content:
    return {key: value for key, value in config.items() if key not in _ORIGIN}
