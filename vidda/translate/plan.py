"""The plan of a translation: every check that is possible before the first clip is translated."""

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import ParamSpec, TypeVar

import numpy as np

from vidda import video
from vidda.camera.target import FrameSize, target_clips
from vidda.control.clip_size import output_size
from vidda.control.control_config import SIDECAR_ARRAYS
from vidda.control.controls import ControlReader
from vidda.control.mask import has_mask
from vidda.control.sidecar_poses import SidecarPosesConfig
from vidda.data.choose_clips import find_clips, select_clips
from vidda.device import torch_device
from vidda.errors import ViddaError
from vidda.files import inside
from vidda.progress import track
from vidda.sidecar import require_one_of
from vidda.translate.backbone import Backbone, BackboneChoice
from vidda.translate.outputs import output_clashes
from vidda.translate.prompts import Prompts
from vidda.translate.shards import Group, Shard, group_clips
from vidda.translate.translate_config import TranslateConfig
from vidda.translate.workload import ClipShape
from vidda.types import ClipRecord, Manifest

P = ParamSpec("P")
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class TranslationPlan:
    """The work of a job, or of its shard.

    manifest: all clips of the job, under an absolute root. groups: this shard's, as they pass
    through the model. backbone: the model's files, found once for the whole job. size, rate: of the
    translated clips, at which the target's camera is measured: see `output_size`; frames per
    second, 0 where it is not known.
    """

    manifest: Manifest
    groups: list[Group]
    backbone: Backbone
    size: FrameSize
    rate: float

    @property
    def clips(self) -> list[ClipRecord]:
        """Return this shard's clips."""
        return [clip for group in self.groups for clip in group]


@dataclass(frozen=True, slots=True)
class ShardInspection:
    """The properties of a shard's videos.

    frames: number of frames to translate, by clip id. pixels: over all these frames. shapes: number
    of clips of each shape. problems: by clip id, why other clips cannot be translated.
    """

    frames: dict[str, int]
    pixels: int
    shapes: dict[ClipShape, int]
    problems: dict[str, str]

    @property
    def sizes(self) -> int:
        """Return the number of different sizes of frames."""
        return len({shape[1:] for shape in self.shapes})


class _ErrorCollector:
    """A caller of functions that collects the messages of their ViddaErrors."""

    def __init__(self) -> None:
        self.problems: list[str] = []

    def call(self, function: Callable[P, T], *arguments: P.args, **named: P.kwargs) -> T | None:
        try:
            return function(*arguments, **named)
        except ViddaError as error:
            self.problems += str(error).splitlines()
            return None


def make_plan(config: TranslateConfig) -> TranslationPlan:
    """Check all that needs no video to be opened; raise ViddaError with a line for each mistake."""
    chosen = select_clips(find_clips(config.input), config.clips, config.limit)
    manifest = replace(chosen, root=chosen.root.absolute())
    errors = _ErrorCollector()
    errors.problems += [*_contradictions(config), *output_clashes(manifest.clips, config.out)]
    errors.call(torch_device, config.device, "device")
    choice: BackboneChoice = config.backbone
    backbone = errors.call(choice.find)
    prompts = errors.call(Prompts, config.prompt, manifest.classes)
    if prompts:
        errors.call(prompts.check, manifest.clips, backbone.too_long if backbone else None)
    if config.camera:
        errors.call(target_clips, config.camera)
    if errors.problems:
        raise ViddaError("\n".join(dict.fromkeys(errors.problems)))
    assert backbone
    groups = Shard.parse(config.shard).of(group_clips(manifest.clips, config.batch))
    return TranslationPlan(
        manifest, groups, backbone, *_size_and_rate(config, manifest, backbone.multiple)
    )


def load_estimators(config: TranslateConfig) -> None:
    """Load the estimators of the controls, to report mistakes now; raise ViddaError."""
    ControlReader(config.control, None).load()
    if config.check_pose is not None:
        config.check_pose.build()


def inspect_clips(plan: TranslationPlan, config: TranslateConfig) -> ShardInspection:
    """Open every video of the shard, check what its translation needs, and count its frames."""
    frames: dict[str, int] = {}
    problems: dict[str, str] = {}
    pixels = 0
    shapes: Counter[ClipShape] = Counter()
    clips = plan.clips
    for clip in track(clips, label="inspecting clips", total=len(clips), unit="clips"):
        try:
            info = video.probe(inside(plan.manifest.root, clip.path))
            _require_sidecar(clip, plan, config)
            count = len(config.frames.pick(info.frames))
            plan.backbone.frames(count)  # raises where that is too many
        except ViddaError as error:
            problems[clip.id] = str(error)
            continue
        frames[clip.id] = count
        height, width = output_size(info, config.size, plan.backbone.multiple)
        pixels += count * height * width
        shapes[count, height, width] += 1
    return ShardInspection(frames, pixels, shapes, problems)


def config_problems(config: TranslateConfig) -> list[str]:
    """Return the config's mistakes that show without clips and without the model, a line each."""
    errors = _ErrorCollector()
    errors.problems += _contradictions(config)
    errors.call(torch_device, config.device, "device")
    errors.call(Shard.parse, config.shard)
    return errors.problems


def _contradictions(config: TranslateConfig) -> Iterator[str]:
    """Yield a line for each pair of keys that contradict each other."""
    yield from config.backbone.problems(config.control)
    if isinstance(config.check_pose, SidecarPosesConfig):
        yield (
            "check_pose.name: a sidecar holds the source's pose, not the translation's; choose"
            " mmpose, onnx, blazepose or vitpose"
        )
    yield from config.keep_if.problems(poses=config.check_pose is not None)
    if config.engine == "local" and config.workers > 1:
        yield "workers: engine local has only one; choose engine=processes"


def _require_sidecar(clip: ClipRecord, plan: TranslationPlan, config: TranslateConfig) -> None:
    """Raise ViddaError when a clip lacks an array of a sidecar that a control comes from."""
    root, control = plan.manifest.root, config.control
    for key in control.from_sidecars:
        require_one_of(clip, root, SIDECAR_ARRAYS[key])
    masked = config.backbone.keeps_person and control.pose is None and control.mask is None
    if masked and not has_mask(clip, root):
        raise ViddaError(
            f"clip {clip.id!r}: keep_person needs a mask in a sidecar, or control.pose or"
            " control.mask"
        )


def _size_and_rate(
    config: TranslateConfig, manifest: Manifest, multiple: int
) -> tuple[FrameSize, float]:
    """Return size and frames/s of the translations, 0 where the rate is not needed.

    The config's size, where it has one; else medians over the first clips, which are the same in
    all shards.
    """
    rates, sides = [], []
    for clip in manifest.clips[:50] if config.camera else ():
        try:
            info = video.probe(inside(manifest.root, clip.path))
        except ViddaError:  # reported as failed when it is translated
            continue
        rates.append(config.frames.rate(info.fps, info.frames))
        sides.append(min(output_size(info, None, multiple)))
    if not rates:
        return config.size, 0.0
    size = int(np.median(sides)) if config.size is None else config.size
    return size, float(np.median(rates))
