"""What decides a translation, as digests: the config's part of it, and all together."""

import hashlib
import json

from vidda.config import Config
from vidda.control.controls import identity
from vidda.translate.translate_config import TranslateConfig

# What is translated, where it goes, who does it, and what is kept of it.
_NOT_IN_PRINT = {
    *("input", "out", "clips", "limit", "show", "keep_if", "check_pose", "batch", "cache"),
    *("device", "engine", "workers", "shard", "backbone"),
}


def config_fingerprint(config: TranslateConfig) -> str:
    """Return hex digest of all keys that decide what a clip becomes, but for the weights.

    Files that are named in it enter by their content.
    """
    content = {
        name: json.loads(identity(value)) if isinstance(value, Config) else value
        for name, value in config
        if name not in _NOT_IN_PRINT
    }
    content["backbone"] = config.backbone.settings()
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def translation_digest(config: str, weights: str) -> str:
    """Eight hex digits that tell one translation of a clip from another, for the clips' ids."""
    return hashlib.sha256(f"{config}/{weights}".encode()).hexdigest()[:8]


def clip_seed(seed: int, clip_id: str) -> int:
    """Return a clip's seed, 0..2^48-1, that depends on nothing else."""
    return int.from_bytes(hashlib.sha256(f"{seed}\0{clip_id}".encode()).digest()[:6])
