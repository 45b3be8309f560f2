"""Digests and seeds that identify a translation: of the config, of config and weights, of
a clip.
"""

import hashlib
import json

from vidda.config import Config
from vidda.control.cache_keys import config_identity
from vidda.translate.translate_config import TranslateConfig

# Keys that choose clips, folders, devices and filters do not change a clip's frames.
_NOT_IN_FINGERPRINT = {
    *("input", "out", "clips", "limit", "show", "keep_if", "check_pose", "batch", "cache"),
    *("device", "engine", "workers", "shard", "backbone"),
}


def config_fingerprint(config: TranslateConfig) -> str:
    """Return the hex digest of all config keys that decide a clip's translation, without the
    weights.

    Files that the config names count with their content.
    """
    content = {
        name: json.loads(config_identity(value)) if isinstance(value, Config) else value
        for name, value in config
        if name not in _NOT_IN_FINGERPRINT
    }
    content["backbone"] = config.backbone.settings()
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def translation_digest(config: str, weights: str) -> str:
    """Return eight hex digits that identify one translation of a clip, for the clips' ids.

    config, weights: hex digests of both.
    """
    return hashlib.sha256(f"{config}/{weights}".encode()).hexdigest()[:8]


def clip_seed(seed: int, clip_id: str) -> int:
    """Return a clip's seed, 0..2^48-1, from the job's seed and the clip's id alone."""
    return int.from_bytes(hashlib.sha256(f"{seed}\0{clip_id}".encode()).digest()[:6])
