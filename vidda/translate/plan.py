"""Everything that can be known of a translation before its first second of work."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import ParamSpec, TypeVar

import numpy as np

from vidda import video
from vidda.control.controls import ControlReader
from vidda.control.mask import has_mask
from vidda.control.networks import torch_device
from vidda.control.sidecar import Sidecar, path_of
from vidda.data.chosen import choose, find_clips
from vidda.errors import ViddaError
from vidda.files import inside
from vidda.progress import track
from vidda.translate import schedulers
from vidda.translate.camera_target import Size, target_clips
from vidda.translate.clip_size import fitted
from vidda.translate.job_config import TranslateConfig
from vidda.translate.keep import KeepLatents
from vidda.translate.noise import FlowWarped
from vidda.translate.outputs import clashes
from vidda.translate.parts import Parts, find_parts
from vidda.translate.prompts import Prompts
from vidda.translate.sampling_config import SamplingConfig
from vidda.translate.shards import Group, Shard, grouped
from vidda.translate.start import schedule
from vidda.translate.vocabulary import load_vocabulary
from vidda.types import ClipRecord, Manifest

P = ParamSpec("P")
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Plan:
    """What a job, or its shard, is to do.

    manifest: all clips of the job, under an absolute root. groups: this shard's, as they pass
    through the model. parts: the model's files. multiple: of which both sides of a frame are. size,
    rate: of the translated clips, as the target's camera is to be looked at: see `fitted`; frames a
    second, 0 where that is not known.
    """

    manifest: Manifest
    groups: list[Group]
    parts: Parts
    multiple: int
    size: Size
    rate: float

    @property
    def clips(self) -> list[ClipRecord]:
        """This shard's clips."""
        return [clip for group in self.groups for clip in group]


@dataclass(frozen=True, slots=True)
class Looked:
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


def make(config: TranslateConfig) -> Plan:
    """Check all that needs no video to be opened; ViddaError with a line for each mistake."""
    found = choose(find_clips(config.input), config.clips, config.limit)
    manifest = replace(found, root=found.root.absolute())
    trying = _Trying()
    trying.problems += [*_contradictions(config), *clashes(manifest.clips, config.out)]
    trying.call(torch_device, config.device, "device")
    parts = trying.call(find_parts, config.weights)
    vocabulary = None
    if parts:
        trying.call(_check_steps, config.sampling, parts)
        vocabulary = trying.call(load_vocabulary, config.weights, parts)
    prompts = trying.call(Prompts, config.prompt, manifest.classes)
    if prompts:
        trying.call(prompts.check, manifest.clips, vocabulary)
    if config.camera:
        trying.call(target_clips, config.camera)
    if trying.problems:
        raise ViddaError("\n".join(trying.problems))
    assert parts
    groups = Shard.parse(config.shard).of(grouped(manifest.clips, config.batch))
    multiple = _multiple(parts)
    return Plan(manifest, groups, parts, multiple, *_seen(config, manifest, multiple))


def load_estimators(config: TranslateConfig) -> None:
    """Load what estimates poses and flow, to say now what is wrong with it; raises ViddaError."""
    ControlReader(config.control, None).load()
    if config.check_pose is not None:
        config.check_pose.build()


def look(plan: Plan, config: TranslateConfig) -> Looked:
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
        height, width = fitted(info, config.size, plan.multiple)
        pixels += frames[clip.id] * height * width
    return Looked(frames, pixels, problems)


def config_problems(config: TranslateConfig) -> list[str]:
    """Return the mistakes that can be told without clips and without the model, a line each."""
    trying = _Trying()
    trying.problems += _contradictions(config)
    trying.call(torch_device, config.device, "device")
    trying.call(Shard.parse, config.shard)
    trying.call(schedulers.build, config.sampling.scheduler, schedulers.SD15_NOISE)
    return trying.problems


def _contradictions(config: TranslateConfig) -> Iterator[str]:
    """Keys that do not go together, a line each."""
    control, sampling = config.control, config.sampling
    for number, net in enumerate(config.weights.controlnets):
        if (control.edges if net.kind == "edges" else control.pose) is None:
            yield (
                f"weights.controlnets.{number} is shown {net.kind}, but control.{net.kind} is null;"
                f" choose control.{net.kind}.name, or leave this ControlNet out"
            )
    if isinstance(sampling.noise, FlowWarped) and control.flow is None:
        yield "sampling.noise flow_warped needs control.flow; or take sampling.noise.name=shared"
    if isinstance(config.check_pose, Sidecar):
        yield (
            "check_pose.name: a sidecar says what the source shows, not what is seen on the"
            " translation; take mmpose or onnx"
        )
    yield from config.keep_if.problems(poses=config.check_pose is not None)
    if config.engine == "local" and config.workers > 1:
        yield "workers: engine local has one; take engine=processes"


def _check_steps(sampling: SamplingConfig, parts: Parts) -> None:
    """Raise ViddaError where the scheduler refuses its settings, or the steps do not suit."""
    scheduler = schedulers.build(sampling.scheduler, parts.scheduler)
    timesteps = schedule(scheduler, sampling.steps, sampling.start.strength)
    if isinstance(sampling.keep_person, KeepLatents):
        problems = sampling.keep_person.problems(scheduler, timesteps)
        if problems:
            raise ViddaError("\n".join(problems))


def _require_sidecar(clip: ClipRecord, plan: Plan, config: TranslateConfig) -> None:
    """Raise ViddaError when a clip lacks a sidecar that its pose or its mask is to come from."""
    root = plan.manifest.root
    if isinstance(config.control.pose, Sidecar) and not path_of(clip, root).is_file():
        raise ViddaError(f"clip {clip.id!r} has no sidecar {path_of(clip, root)}")
    masked = config.sampling.keep_person is not None and config.control.pose is None
    if masked and not has_mask(clip, root):
        raise ViddaError(
            f"clip {clip.id!r}: sampling.keep_person needs a mask in a sidecar, or control.pose"
        )


def _multiple(parts: Parts) -> int:
    """Pixels of a latent along a side; both sides of a frame are multiples of it."""
    vae = parts.vae.config
    blocks = vae.get("block_out_channels") or vae["encoder_block_out_channels"]
    return int(2 ** (len(blocks) - 1))


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
