"""Everything that can be known of a translation before its first second of work."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import ParamSpec, TypeVar

import numpy as np

from vidda import video
from vidda.camera.target import Size, target_clips
from vidda.control.clip_size import fitted
from vidda.control.controls import ControlReader
from vidda.control.mask import has_mask
from vidda.control.sidecar_poses import SidecarPosesConfig
from vidda.data.choose_clips import choose, find_clips
from vidda.device import torch_device
from vidda.errors import ViddaError
from vidda.files import inside
from vidda.progress import track
from vidda.sidecar import path_of
from vidda.translate.backbone import Backbone
from vidda.translate.outputs import clashes
from vidda.translate.prompts import Prompts
from vidda.translate.shards import Group, Shard, grouped
from vidda.translate.translate_config import TranslateConfig
from vidda.types import ClipRecord, Manifest

P = ParamSpec("P")
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class TranslationPlan:
    """What a job, or its shard, is to do.

    manifest: all clips of the job, under an absolute root. groups: this shard's, as they pass
    through the model. backbone: the model's files, found once for the whole job. size, rate: of the
    translated clips, as the target's camera is to be looked at: see `fitted`; frames a second, 0
    where that is not known.
    """

    manifest: Manifest
    groups: list[Group]
    backbone: Backbone
    size: Size
    rate: float

    @property
    def clips(self) -> list[ClipRecord]:
        """This shard's clips."""
        return [clip for group in self.groups for clip in group]


@dataclass(frozen=True, slots=True)
class InspectedClip:
    """What a shard's videos are. frames: of each clip that can be translated, by id.

    pixels: of all these frames. problems: why the others cannot be, by id.
    """

    frames: dict[str, int]
    pixels: int
    problems: dict[str, str]


class _Trying:
    """Calls functions; what they find wrong is gathered."""

    def __init__(self) -> None:
        self.problems: list[str] = []

    def call(self, function: Callable[P, T], *arguments: P.args, **named: P.kwargs) -> T | None:
        try:
            return function(*arguments, **named)
        except ViddaError as error:
            self.problems += str(error).splitlines()
            return None


def make(config: TranslateConfig) -> TranslationPlan:
    """Check all that needs no video to be opened; ViddaError with a line for each mistake."""
    found = choose(find_clips(config.input), config.clips, config.limit)
    manifest = replace(found, root=found.root.absolute())
    trying = _Trying()
    trying.problems += [*_contradictions(config), *clashes(manifest.clips, config.out)]
    trying.call(torch_device, config.device, "device")
    backbone = trying.call(config.backbone.find)
    prompts = trying.call(Prompts, config.prompt, manifest.classes)
    if prompts:
        trying.call(prompts.check, manifest.clips, backbone.too_long if backbone else None)
    if config.camera:
        trying.call(target_clips, config.camera)
    if trying.problems:
        raise ViddaError("\n".join(dict.fromkeys(trying.problems)))
    assert backbone
    groups = Shard.parse(config.shard).of(grouped(manifest.clips, config.batch))
    return TranslationPlan(manifest, groups, backbone, *_seen(config, manifest, backbone.multiple))


def load_estimators(config: TranslateConfig) -> None:
    """Load what estimates poses and flow, to say now what is wrong with it; raises ViddaError."""
    ControlReader(config.control, None).load()
    if config.check_pose is not None:
        config.check_pose.build()


def inspect(plan: TranslationPlan, config: TranslateConfig) -> InspectedClip:
    """Open every video of the shard and look for what else its translation needs."""
    frames: dict[str, int] = {}
    problems: dict[str, str] = {}
    pixels = 0
    clips = plan.clips
    for clip in track(clips, label="looking at the clips", total=len(clips), unit="clips"):
        try:
            info = video.probe(inside(plan.manifest.root, clip.path))
            _require_sidecar(clip, plan, config)
        except ViddaError as error:
            problems[clip.id] = str(error)
            continue
        frames[clip.id] = len(config.frames.pick(info.frames))
        height, width = fitted(info, config.size, plan.backbone.multiple)
        pixels += frames[clip.id] * height * width
    return InspectedClip(frames, pixels, problems)


def config_problems(config: TranslateConfig) -> list[str]:
    """Return the mistakes that can be told without clips and without the model, a line each."""
    trying = _Trying()
    trying.problems += _contradictions(config)
    trying.call(torch_device, config.device, "device")
    trying.call(Shard.parse, config.shard)
    return trying.problems


def _contradictions(config: TranslateConfig) -> Iterator[str]:
    """Yield keys that do not go together, a line each."""
    yield from config.backbone.problems(config.control)
    if isinstance(config.check_pose, SidecarPosesConfig):
        yield (
            "check_pose.name: a sidecar says what the source shows, not what is seen on the"
            " translation; take mmpose or onnx"
        )
    yield from config.keep_if.problems(poses=config.check_pose is not None)
    if config.engine == "local" and config.workers > 1:
        yield "workers: engine local has one; take engine=processes"


def _require_sidecar(clip: ClipRecord, plan: TranslationPlan, config: TranslateConfig) -> None:
    """Raise ViddaError when a clip lacks a sidecar that its pose or its mask is to come from."""
    root = plan.manifest.root
    if isinstance(config.control.pose, SidecarPosesConfig) and not path_of(clip, root).is_file():
        raise ViddaError(f"clip {clip.id!r} has no sidecar {path_of(clip, root)}")
    masked = config.backbone.keeps_person and config.control.pose is None
    if masked and not has_mask(clip, root):
        raise ViddaError(
            f"clip {clip.id!r}: keep_person needs a mask in a sidecar, or control.pose"
        )


def _seen(config: TranslateConfig, manifest: Manifest, multiple: int) -> tuple[Size, float]:
    """Size and frames/s of the translations; the medians of the first clips, alike in all shards.

    The config's size, where it names one.
    """
    rates, sides = [], []
    for clip in manifest.clips[:50] if config.camera else ():
        try:
            info = video.probe(inside(manifest.root, clip.path))
        except ViddaError:  # is reported as failed when its turn comes
            continue
        rates.append(config.frames.rate(info.fps, info.frames))
        sides.append(min(fitted(info, None, multiple)))
    if not rates:
        return config.size, 0.0
    size = int(np.median(sides)) if config.size is None else config.size
    return size, float(np.median(rates))
