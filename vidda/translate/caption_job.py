"""`vidda caption CONFIG`: caption unlabeled target frames, and assign the captions to
source clips.
"""

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np
from pydantic import Field

from vidda.config import Config, Count
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


class CaptionConfig(Config):
    """The target clips to caption, and the source clips that get the captions."""

    source: Path = Field(description="manifest of the clips to translate")
    target: Path = Field(description="manifest of target clips; their labels are not read")
    out: Path = Field(
        description="CSV to write, for prompt.captions: clip, caption, and the frame that it is of"
    )
    captioner: CaptionerConfig = Field(
        default=CaptionerConfig(), description="model that writes the captions"
    )
    assign: AssignConfig = Field(
        default=RandomCaption(), description="rule by which clips get captions"
    )
    frames: Count = Field(
        default=1, description="frames of each target clip to caption, evenly spaced"
    )
    batch_size: Count = Field(default=16, description="frames per batch")
    precision: Precision = Field(default="fp32", description="precision of the captioner")
    device: str = Field(
        default="auto", description="cpu, cuda, cuda:1, ...; auto: a GPU if there is one"
    )
    download: bool = Field(default=False, description="download missing files from the hub")


def run(config: CaptionConfig, *, dry_run: bool, resume: bool) -> int:
    """Caption the target's frames and assign the captions; return 1 when a video was left out, else
    0.

    dry_run: check the config and stop. resume: succeed where the captions exist already. Raises
    ViddaError.
    """
    # An empty file is not a result; any other one may be the user's own work and stays.
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
        raise ViddaError(f"{config.target}: no caption for any of its clips; check their videos")
    rows, unread = _assign_captions(config, captioner, source, pool)
    write_captions(config.out, rows)
    left_out += unread
    different = len({caption for _, caption, _ in rows})
    print(f"written: {config.out}, {len(rows)} clips, {different} different captions")
    return int(left_out > 0)


def config_problems(config: CaptionConfig) -> list[str]:
    """Return the config's mistakes that show without clips, a line each; downloads nothing."""
    problems = []
    try:
        torch_device(config.device, "device")
    except ViddaError as error:
        problems.append(str(error))
    if not config.download:
        try:
            find_captioner(config.captioner, download=False)
        except ViddaError as error:
            problems.append(str(error))
    return problems


@dataclass(frozen=True, slots=True)
class CaptionedFrame:
    """A captioned target frame.

    of: clip id and frame number, `clip#frame`. caption: the text. features: (D,) float32 where they
    are needed, else None.
    """

    of: str
    caption: str
    features: np.ndarray | None


def _describe(
    config: CaptionConfig, captioner: Captioner, target: Manifest
) -> tuple[list[CaptionedFrame], int]:
    """Return every target frame with a caption, in the order of clip ids, and the number
    of skips.
    """
    clips = sorted(target.clips, key=lambda clip: clip.id)
    sampled = _SampledFrames(target, clips, config.frames, "captioning target clips")
    nearest = not isinstance(config.assign, RandomCaption)
    pool = []
    for batch in _batches(sampled, config.batch_size):
        names, frames = [name for name, _ in batch], [frame for _, frame in batch]
        captions = captioner.describe(frames)
        features = list(captioner.features(frames)) if nearest else [None] * len(frames)
        pool += [
            CaptionedFrame(name, caption, vector)
            for name, caption, vector in zip(names, captions, features, strict=True)
        ]
    empty = [frame.of for frame in pool if not frame.caption]
    for name in empty:
        print(f"skipped {name}: its caption is empty", file=sys.stderr)
    return [frame for frame in pool if frame.caption], sampled.unread + len(empty)


def _assign_captions(
    config: CaptionConfig, captioner: Captioner, source: Manifest, pool: Sequence[CaptionedFrame]
) -> tuple[list[tuple[str, str, str]], int]:
    """Return a CSV row for each source clip, and the number of clips skipped because they cannot be
    read.
    """
    assign = config.assign
    if isinstance(assign, RandomCaption):
        names = [clip.id for clip in source.clips]
        picked, unread = assign.pick(names, len(pool)), 0
    else:
        sampled = _SampledFrames(source, source.clips, 1, "comparing source clips")
        names, features = [], []
        for batch in _batches(sampled, config.batch_size):
            names += [name.rpartition("#")[0] for name, _ in batch]
            features.append(captioner.features([frame for _, frame in batch]))
        targets = np.stack([one.features for one in pool if one.features is not None])
        picked = assign.pick(np.concatenate(features) if features else np.empty((0, 0)), targets)
        unread = sampled.unread
    rows = [
        (name, pool[number].caption, pool[number].of)
        for name, number in zip(names, picked, strict=True)
    ]
    return rows, unread


def _batches(frames: "_SampledFrames", size: int) -> Iterator[list[tuple[str, np.ndarray]]]:
    """Yield the frames in lists of `size`."""
    items = iter(frames)
    while batch := list(islice(items, size)):
        yield batch


class _SampledFrames:
    """Evenly spaced frames of each clip in turn, as (`clip#frame`, image). unread: clips
    left out.
    """

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
                # Without jitter the sampler does not use the generator, but it takes one.
                length, rng = probe(path).frames, clip_rng(0, 0, clip.id, "caption frames")
                numbers = np.unique(self._sampling.pick(length, rng)[0])
                images = read(path, numbers)
            except VideoError as error:
                print(f"skipped clip {clip.id!r}: {error}", file=sys.stderr)
                self.unread += 1
                continue
            for number, image in zip(numbers, images, strict=True):
                yield f"{clip.id}#{number}", image
