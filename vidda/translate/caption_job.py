"""`vidda caption CONFIG`: captions of unlabeled target frames, handed to the source's clips."""

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Annotated

import numpy as np
from pydantic import Field

from vidda.config import Config
from vidda.data import load_manifest
from vidda.data.frame_sampling import UniformSampling, clip_rng
from vidda.device import Precision, torch_device, torch_dtype
from vidda.errors import ViddaError
from vidda.files import inside
from vidda.progress import track
from vidda.translate.caption import (
    AssignConfig,
    Captioner,
    CaptionerConfig,
    RandomCaption,
    find_captioner,
    load_captioner,
)
from vidda.translate.prompts import write_captions
from vidda.types import ClipRecord, Manifest
from vidda.video import VideoError, probe, read

Count = Annotated[int, Field(ge=1)]


class CaptionConfig(Config):
    """Which clips are described, and which get the descriptions."""

    source: Path = Field(description="manifest of the clips that are to be translated")
    target: Path = Field(description="manifest of target clips; their labels are not read")
    out: Path = Field(description="CSV to write: clip, caption, of; prompt.captions reads it")
    captioner: CaptionerConfig = Field(default=CaptionerConfig(), description="what describes")
    assign: AssignConfig = Field(default=RandomCaption(), description="which caption a clip gets")
    frames: Count = Field(default=1, description="of each target clip, evenly over it")
    batch_size: Count = Field(default=16, description="frames at once")
    precision: Precision = Field(default="fp32", description="of the captioner")
    device: str = Field(
        default="auto", description="cpu, cuda, cuda:1, ...; auto takes a GPU where there is one"
    )
    download: bool = Field(default=False, description="fetch from the hub what the cache lacks")


def run(config: CaptionConfig, *, dry_run: bool, resume: bool) -> int:
    """Describe the target's frames and hand the captions out; 1 when a video was left out."""
    # An empty file is none; what else is there may be someone's own work, and stays.
    if config.out.exists() and (not resume or config.out.stat().st_size):
        if resume:
            print(f"{config.out} is there already: nothing to do")
            return 0
        raise ViddaError(f"{config.out} is there already; choose another name")
    source = load_manifest(config.source).unlabeled()
    target = load_manifest(config.target).unlabeled()
    for manifest, file in ((source, config.source), (target, config.target)):
        if not manifest.clips:
            raise ViddaError(f"{file}: no clips in it; give a manifest with clips")
    folder = find_captioner(config.captioner, config.download)
    device = torch_device(config.device, "device")
    print(f"{len(target)} target clips, {config.frames} frames each, for {len(source)} clips")
    if dry_run:
        return 0
    captioner = load_captioner(config.captioner, folder, device, torch_dtype(config.precision))
    pool, left_out = _describe(config, captioner, target)
    if not pool:
        raise ViddaError(f"{config.target}: no caption came of its clips; look at their videos")
    rows, unseen = _hand_out(config, captioner, source, pool)
    write_captions(config.out, rows)
    left_out += unseen
    different = len({caption for _, caption, _ in rows})
    print(f"written: {config.out}, {len(rows)} clips, {different} different captions")
    return int(left_out > 0)


@dataclass(frozen=True, slots=True)
class Described:
    """One target frame: where it is from, its caption, and its features where they are needed."""

    of: str
    caption: str
    features: np.ndarray | None


def _describe(
    config: CaptionConfig, captioner: Captioner, target: Manifest
) -> tuple[list[Described], int]:
    """Return every target frame with a caption, in the order of clip ids; how many clips lack
    theirs.
    """
    clips = sorted(target.clips, key=lambda clip: clip.id)
    seen = _Frames(target, clips, config.frames, "describing target clips")
    nearest = not isinstance(config.assign, RandomCaption)
    pool = []
    for batch in _batches(seen, config.batch_size):
        names, frames = [name for name, _ in batch], [frame for _, frame in batch]
        captions = captioner.describe(frames)
        features = list(captioner.features(frames)) if nearest else [None] * len(frames)
        pool += [
            Described(name, caption, vector)
            for name, caption, vector in zip(names, captions, features, strict=True)
        ]
    empty = [one.of for one in pool if not one.caption]
    for name in empty:
        print(f"skipped {name}: its caption is empty", file=sys.stderr)
    return [one for one in pool if one.caption], seen.unread + len(empty)


def _hand_out(
    config: CaptionConfig, captioner: Captioner, source: Manifest, pool: Sequence[Described]
) -> tuple[list[tuple[str, str, str]], int]:
    """Return a row for each source clip, and how many got none because they cannot be read."""
    assign = config.assign
    if isinstance(assign, RandomCaption):
        names = [clip.id for clip in source.clips]
        picked, unread = assign.pick(names, len(pool)), 0
    else:
        seen = _Frames(source, source.clips, 1, "looking at source clips")
        names, found = [], []
        for batch in _batches(seen, config.batch_size):
            names += [name.rpartition("#")[0] for name, _ in batch]
            found.append(captioner.features([frame for _, frame in batch]))
        targets = np.stack([one.features for one in pool if one.features is not None])
        picked = assign.pick(np.concatenate(found) if found else np.empty((0, 0)), targets)
        unread = seen.unread
    rows = [
        (name, pool[number].caption, pool[number].of)
        for name, number in zip(names, picked, strict=True)
    ]
    return rows, unread


def _batches(frames: "_Frames", size: int) -> Iterator[list[tuple[str, np.ndarray]]]:
    items = iter(frames)
    while batch := list(islice(items, size)):
        yield batch


class _Frames:
    """Some frames of each clip in turn, as (`clip#frame`, picture); counts clips left out."""

    def __init__(
        self, manifest: Manifest, clips: Sequence[ClipRecord], frames: int, label: str
    ) -> None:
        self._root = manifest.root
        self._clips = clips
        self._sampling = UniformSampling(frames=frames, jitter=False)
        self._label = label
        self.unread = 0

    def __iter__(self) -> Iterator[tuple[str, np.ndarray]]:
        for clip in track(self._clips, label=self._label, total=len(self._clips), unit="clips"):
            path = inside(self._root, clip.path)
            try:
                # The sampler draws nothing without jitter; it is given a generator all the same.
                length, rng = probe(path).frames, clip_rng(0, 0, clip.id, "caption frames")
                numbers = np.unique(self._sampling.pick(length, rng)[0])
                pictures = read(path, numbers)
            except VideoError as error:
                print(f"skipped clip {clip.id!r}: {error}", file=sys.stderr)
                self.unread += 1
                continue
            for number, picture in zip(numbers, pictures, strict=True):
                yield f"{clip.id}#{number}", picture
