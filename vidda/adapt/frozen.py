"""A frozen lower part of a recognizer, and what it makes of each clip, computed once.

FOLDER/<digest>/N.safetensors    states of clip N of a manifest, see `Framewise`; the digest is of
                                 the frozen weights, the clips, and how they are shown
"""

import hashlib
import logging
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import nn

from vidda.adapt.adapt_config import AdaptConfig
from vidda.adapt.norm_statistics import weights_digest
from vidda.data.dataset import UNLABELED, Clip, ClipDataset
from vidda.data.loader import ClipLoader, Order
from vidda.device import torch_dtype
from vidda.errors import ViddaError
from vidda.files import atomic
from vidda.progress import meter
from vidda.recognize.framewise import Framewise
from vidda.types import Manifest
from vidda.video import READER
from vidda.video.video_error import VideoError

log = logging.getLogger("vidda")

STATES = "states"


class StatesDataset(ClipDataset):
    """Clips of a manifest as their states, (T', ...) with ones added to have four dimensions.

    Every draw of a clip is the same: it was shown as in testing.
    """

    def __init__(self, config: AdaptConfig, model: Framewise, manifest: Manifest) -> None:
        super().__init__(manifest, config.test_sampling, config.test_transform, cache=config.cache)
        assert config.frozen is not None
        self.folder = config.frozen / _digest(config, model, manifest)

    def __getitem__(self, item: int) -> Clip:
        number = item % len(self)
        clip = self.manifest.clips[number]
        try:
            states = load_file(self.path(number))[STATES]
        except FileNotFoundError:
            raise VideoError(f"{clip.path}: it could not be read, so it has no states") from None
        except SafetensorError as error:
            raise ViddaError(
                f"{self.path(number)}: damaged ({error}); --resume computes it again"
            ) from None
        label = UNLABELED if clip.label is None else clip.label
        return Clip(states[(...,) + (None,) * (4 - states.ndim)], label, number)

    def path(self, number: int) -> Path:
        """Where the states of a clip are."""
        return self.folder / f"{number}.safetensors"

    def kept(self, number: int) -> bool:
        """Return whether the states of a clip are there, in full; a damaged file is told."""
        try:
            with safe_open(self.path(number), "pt") as file:
                return STATES in file.keys()  # noqa: SIM118
        except FileNotFoundError:
            return False
        except SafetensorError as error:
            log.warning("%s: damaged (%s); it is computed again", self.path(number), error)
            return False


def states_loader(
    config: AdaptConfig, model: Framewise, manifest: Manifest, batch_size: int, order: Order
) -> ClipLoader:
    """Batches of states in place of clips; the last batch may be smaller."""
    return ClipLoader(
        StatesDataset(config, model, manifest),
        batch_size,
        order=order,
        workers=config.workers,
        on_error=config.on_error,
    )


@torch.no_grad()
def keep_states(
    config: AdaptConfig, model: Framewise, manifest: Manifest, device: torch.device
) -> None:
    """Compute the states of a manifest's clips that are not there yet, or damaged.

    Raises VideoError where a clip cannot be read, unless such are to be skipped.
    """
    wanted = StatesDataset(config, model, manifest)
    lacking = [n for n in range(len(manifest)) if not wanted.kept(n)]
    if not lacking:
        return
    shown = ClipDataset(manifest, config.test_sampling, config.test_transform, cache=config.cache)
    loader = ClipLoader(
        shown,
        config.batch_size,
        order=lambda epoch: torch.tensor(lacking).numpy(),
        workers=config.workers,
        on_error=config.on_error,
    )
    model = model.to(device).eval()
    dtype, cast = torch_dtype(config.precision), config.precision != "fp32"
    with meter(label="frozen part", total=len(lacking), unit="clips") as passed:
        for batch in loader.epoch(0):
            with torch.autocast(device.type, dtype, enabled=cast):
                states = model.states(batch.video.to(device)).cpu()
            for number, own in zip(batch.number.tolist(), states, strict=True):
                with atomic(wanted.path(number)) as temporary:
                    save_file({STATES: own.contiguous()}, temporary)
            passed(len(states))


def stand_on_states(model: Framewise) -> None:
    """Let a model take states in place of clips from here on.

    The weights below stay in the model, so what is saved of it takes clips, as ever.
    """

    def states(video: torch.Tensor) -> torch.Tensor:
        # The ones that `StatesDataset` has added go into the last dimension.
        return video.flatten(model.state_dims)

    model.__dict__["states"] = states


def lower_patterns(model: Framewise) -> tuple[str, ...]:
    """Return patterns of the names of all parameters below the states, for `freeze`."""
    return tuple(f"{prefix}*" for prefix in model.lower)


def _digest(config: AdaptConfig, model: Framewise, manifest: Manifest) -> str:
    lower = nn.ModuleDict(
        {prefix.rstrip("."): model.get_submodule(prefix.rstrip(".")) for prefix in model.lower}
    )
    parts = (
        weights_digest(lower),
        config.model.without_weights().model_dump_json(),
        manifest.fingerprint(),
        *(_stamp(manifest.root / clip.path) for clip in manifest.clips),
        config.test_sampling.model_dump_json(),
        config.test_transform.model_dump_json(),
        config.precision,
        str(READER),
    )
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:16]


def _stamp(file: Path) -> str:
    """What changes when a file is another one; its content is not read."""
    if not file.exists():
        return f"{file} is missing"
    facts = file.stat()
    return f"{file} {facts.st_size} {facts.st_mtime_ns}"
