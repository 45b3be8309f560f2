"""Frozen lower layers of a recognizer, and their outputs for each clip, computed once.

FOLDER/<digest>/N.safetensors    states of clip N of a manifest, see `Framewise`; the digest is of
                                 the frozen weights, the clips, their sampling and transform
"""

import hashlib
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import nn
from torch.utils.data import Dataset

from vidda.adapt.adapt_config import AdaptConfig
from vidda.adapt.norm_statistics import weights_digest
from vidda.data.dataset import UNLABELED, ClipDataset
from vidda.data.loader import ClipLoader, Order
from vidda.device import torch_dtype
from vidda.errors import ViddaError
from vidda.files import atomic, size_and_time
from vidda.progress import meter
from vidda.recognize.framewise import Framewise
from vidda.types import Manifest
from vidda.video import READER
from vidda.video.video_error import VideoError

log = logging.getLogger("vidda")

STATES = "states"


class ClipStates(NamedTuple):
    """One item of a `StatesDataset`.

    states: (...), see `Framewise.states`. label: 0..K-1, or -1 where it is unknown. number: index
    of the clip in the manifest, from 0.
    """

    states: torch.Tensor
    label: int
    number: int


class StatesBatch(NamedTuple):
    """One batch of a `StatesDataset`.

    states: (B, ...), see `Framewise.states`. label: (B,) int64, -1 where unknown. number: (B,)
    int64 index of each clip in the manifest.
    """

    states: torch.Tensor
    label: torch.Tensor
    number: torch.Tensor


class StatesDataset(Dataset[ClipStates]):
    """A manifest's clips as their stored states.

    The states are those of the clip in testing, so every draw of a clip is the same.
    """

    def __init__(self, config: AdaptConfig, model: Framewise, manifest: Manifest) -> None:
        assert config.frozen is not None
        self.manifest = manifest
        self.folder = config.frozen / _digest(config, model, manifest)

    def __len__(self) -> int:
        return len(self.manifest)

    def __getitem__(self, item: int) -> ClipStates:
        """Return the states of a clip; raises VideoError where it could not be read, ViddaError for
        a damaged file.
        """
        number = item % len(self)
        clip = self.manifest.clips[number]
        try:
            states = load_file(self.path(number))[STATES]
        except FileNotFoundError:
            raise VideoError(f"{clip.path}: could not be read, so it has no states") from None
        except SafetensorError as error:
            raise ViddaError(
                f"{self.path(number)}: damaged ({error}); run again with --resume to recompute it"
            ) from None
        return ClipStates(states, UNLABELED if clip.label is None else clip.label, number)

    def set_epoch(self, epoch: int) -> None:
        """Do nothing: states are the same in every epoch."""

    @staticmethod
    def stack(clips: Sequence[ClipStates]) -> StatesBatch:
        """Return the states of clips as one batch."""
        return StatesBatch(
            torch.stack([clip.states for clip in clips]),
            torch.tensor([clip.label for clip in clips]),
            torch.tensor([clip.number for clip in clips]),
        )

    def path(self, number: int) -> Path:
        """Return the path of a clip's states."""
        return self.folder / f"{number}.safetensors"

    def is_stored(self, number: int) -> bool:
        """Return whether the states of a clip are stored in full; a damaged file is logged as a
        warning.
        """
        try:
            with safe_open(self.path(number), "pt") as file:
                return STATES in file.keys()  # noqa: SIM118
        except FileNotFoundError:
            return False
        except SafetensorError as error:
            log.warning("%s: damaged (%s); recomputing it", self.path(number), error)
            return False


def states_loader(
    config: AdaptConfig, model: Framewise, manifest: Manifest, batch_size: int, order: Order
) -> ClipLoader[StatesBatch]:
    """Return batches of states in place of clips; the last batch may be smaller.

    model: whose lower layers are frozen. order: item numbers of an epoch, see `ClipDataset`.
    """
    return ClipLoader(
        StatesDataset(config, model, manifest),
        batch_size,
        order=order,
        workers=config.workers,
        on_error=config.on_error,
    )


@torch.no_grad()
def compute_states(
    config: AdaptConfig, model: Framewise, manifest: Manifest, device: torch.device
) -> None:
    """Compute and store the states of a manifest's clips that are missing or damaged.

    Raises VideoError where a clip cannot be read, unless `on_error` skips such clips.
    """
    stored = StatesDataset(config, model, manifest)
    missing = [n for n in range(len(manifest)) if not stored.is_stored(n)]
    if not missing:
        return
    clips = ClipDataset(manifest, config.test_sampling, config.test_transform, cache=config.cache)
    loader = ClipLoader(
        clips,
        config.batch_size,
        order=lambda epoch: torch.tensor(missing).numpy(),
        workers=config.workers,
        on_error=config.on_error,
    )
    model = model.to(device).eval()
    dtype, cast = torch_dtype(config.chosen_precision), config.chosen_precision != "fp32"
    with meter(label="frozen layers", total=len(missing), unit="clips") as advance:
        for batch in loader.epoch(0):
            with torch.autocast(device.type, dtype, enabled=cast):
                states = model.states(batch.video.to(device)).cpu()
            for number, own in zip(batch.number.tolist(), states, strict=True):
                with atomic(stored.path(number)) as temporary:
                    save_file({STATES: own.contiguous()}, temporary)
            advance(len(states))


def frozen_patterns(model: Framewise) -> tuple[str, ...]:
    """Return patterns of the names of all parameters below the states, for `freeze`."""
    return tuple(f"{prefix}*" for prefix in model.lower_prefixes)


def _digest(config: AdaptConfig, model: Framewise, manifest: Manifest) -> str:
    frozen = nn.ModuleDict(
        {
            prefix.rstrip("."): model.get_submodule(prefix.rstrip("."))
            for prefix in model.lower_prefixes
        }
    )
    parts = (
        weights_digest(frozen),
        config.model.without_weights().model_dump_json(),
        manifest.fingerprint(),
        *(_file_stamp(manifest.root / clip.path) for clip in manifest.clips),
        config.test_sampling.model_dump_json(),
        config.test_transform.model_dump_json(),
        config.chosen_precision,
        str(READER),
    )
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:16]


def _file_stamp(file: Path) -> str:
    """Return a text that changes when a file is replaced; its content is not read."""
    if not file.exists():
        return f"{file} is missing"
    size, mtime_ns = size_and_time(file)
    return f"{file} {size} {mtime_ns}"
