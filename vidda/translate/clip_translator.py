"""A diffusion model with what conditions it: of `vidda translate`, and to be called from Python."""

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path

import numpy as np
import torch

from vidda import video
from vidda.config import load as load_config
from vidda.control.clip_size import output_size, rounded_size
from vidda.control.controls import ControlReader, Controls
from vidda.control.mask import dilate_mask, has_mask, person_mask
from vidda.data.choose_clips import find_clips
from vidda.device import torch_device
from vidda.errors import ViddaError
from vidda.files import inside
from vidda.translate.backbone import Backbone
from vidda.translate.clip_job import ClipJob, pad_clip
from vidda.translate.identity import clip_seed
from vidda.translate.plan import config_problems
from vidda.translate.prompts import Prompts
from vidda.translate.translate_config import TranslateConfig
from vidda.types import ClipRecord
from vidda.video.info import VideoInfo


@dataclass(frozen=True, slots=True)
class SourceClip:
    """A clip that was read: its video's properties, its frames' numbers, and the model's inputs."""

    clip: ClipRecord
    info: VideoInfo
    numbers: np.ndarray
    job: ClipJob


class ClipTranslator:
    """A diffusion model with the estimators of its controls, on a device.

    config: of vidda translate; its keys on clips, files and quality are for the command alone.
    backbone: the model's files. classes: names by label, for prompts. device: see `use_device`.
    pixels: see `Backbone.load`. Raises ViddaError when a model or estimator cannot be loaded.
    """

    def __init__(
        self,
        config: TranslateConfig,
        backbone: Backbone,
        classes: Sequence[str],
        device: torch.device,
        pixels: int = 0,
    ) -> None:
        self.config, self._backbone = config, backbone
        self._controls = ControlReader(config.control, config.cache, config.backbone.flows)
        self._controls.load()
        self._prompts = Prompts(config.prompt, classes)
        self._translator = backbone.load(device, pixels)

    def translate(
        self,
        frames: np.ndarray | Path | str,
        *,
        prompt: str | None = None,
        controls: Controls | None = None,
        seed: int | None = None,
    ) -> np.ndarray:
        """Return the translation of a clip, (T, H, W, 3) uint8 RGB, at the config's size.

        frames: (T, H, W, 3) uint8 RGB, or the path of a video. Those that the config's `frames`
        picks are translated. prompt: of this clip; None for the config's template. controls: of
        the frames at the size of the result; None computes them, see `controls_of`. seed: decides
        everything random, 0 or more; None for the seed that vidda translate gives the video, so
        that the result is the same.

        Raises ViddaError for frames of another kind, a video that cannot be read, a prompt that is
        too long, and controls that do not fit or cannot be computed; and torch.OutOfMemoryError.
        The effects of the target's camera, measures and limits of the command are left out.
        """
        job = self._make_job(frames, prompt, controls)
        if seed is not None:
            job = replace(job, seed=seed)
        too_long = self._backbone.too_long([job.prompt, job.negative])
        problems = [f"prompt has {how}; shorten {text!r:.80}" for text, how in too_long.items()]
        if problems:
            raise ViddaError("\n".join(problems))
        return self.run([job])[0]

    def controls_of(self, frames: np.ndarray | Path | str) -> Controls:
        """Return the controls that `translate` would compute for a clip, to be changed or shown.

        frames: see `translate`, which raises the same. The controls are at the size of the result.
        """
        return self._make_job(frames, "", None).controls

    def read(
        self,
        clip: ClipRecord,
        root: Path,
        prompt: str | None = None,
        controls: Controls | None = None,
    ) -> SourceClip:
        """Read a clip's frames, and compute its controls, prompt and mask.

        clip, root: the clip, and its manifest's root. prompt, controls: None for those of the
        config, see `translate`. Raises ViddaError.
        """
        path = inside(root, clip.path)
        info = video.probe(path)
        numbers = self.config.frames.pick(info.frames)
        size = output_size(info, self.config.size, self._backbone.multiple)
        frames = video.read(path, numbers, size)
        job = self._job(frames, clip, root, numbers, prompt, controls)
        return SourceClip(clip, info, numbers, job)

    def run(self, jobs: Sequence[ClipJob]) -> list[np.ndarray]:
        """Return the model's output for clips of one size, each with its own T.

        jobs: the model's inputs for each, which are padded to the length that the model takes, and
        cut back. Raises ViddaError and torch.OutOfMemoryError.
        """
        count = self._backbone.frames
        padded = [pad_clip(job, count(len(job.frames))) for job in jobs]
        translated = self._translator.translate(padded)
        return [clip[: len(job.frames)] for clip, job in zip(translated, jobs, strict=True)]

    def _make_job(
        self, frames: np.ndarray | Path | str, prompt: str | None, controls: Controls | None
    ) -> ClipJob:
        """Return the model's inputs for frames or a video; arguments as of `translate`."""
        if not isinstance(frames, np.ndarray):
            found = find_clips(Path(frames))
            if len(found) != 1:
                raise ViddaError(f"{frames}: {len(found)} clips; give one video")
            return self.read(found.clips[0], found.root, prompt, controls).job
        video.require_frames(frames)
        numbers = self.config.frames.pick(len(frames))
        size = rounded_size(
            frames.shape[1], frames.shape[2], self.config.size, self._backbone.multiple
        )
        picked = video.resize(frames[numbers], size)
        clip = ClipRecord("frames", "frames", None, "", "")
        return self._job(picked, clip, Path(), numbers, prompt, controls)

    def _job(
        self,
        frames: np.ndarray,
        clip: ClipRecord,
        root: Path,
        numbers: np.ndarray,
        prompt: str | None,
        controls: Controls | None,
    ) -> ClipJob:
        """Return the model's inputs for a clip's frames (T, H, W, 3) of these numbers, (T,)."""
        config = self.config
        if controls is None:
            controls = self._controls.read(frames, clip, root, numbers)
        else:
            require_fit(controls, frames)
        controls = self._with_mask(controls, clip, root, frames, numbers)
        kept = controls.mask if config.backbone.keeps_person else None
        return ClipJob(
            frames=frames,
            controls=controls,
            prompt=self._prompts.of(clip) if prompt is None else prompt,
            negative=config.prompt.negative,
            seed=clip_seed(config.seed, clip.id),
            mask=None if kept is None else dilate_mask(kept, config.mask_grow),
        )

    def _with_mask(
        self,
        controls: Controls,
        clip: ClipRecord,
        root: Path,
        frames: np.ndarray,
        numbers: np.ndarray,
    ) -> Controls:
        """Return a clip's controls, with a mask where the model keeps the person, or a sheet can
        show it.
        """
        config = self.config
        shown = "sheet" in config.show and has_mask(clip, root)
        if controls.mask is not None or not (config.backbone.keeps_person or shown):
            return controls
        height, width = frames.shape[1:3]
        threshold = config.control.threshold
        mask = person_mask(clip, root, controls.pose, height, width, numbers, threshold)
        return replace(controls, mask=mask)


def use_device(name: str) -> torch.device:
    """Return the device of a name, and make it the one that `auto` means from now on.

    name: cpu, cuda, cuda:1, ... or auto. Raises ViddaError for one that is not there.
    """
    chosen = torch_device(name, "device")
    if chosen.type == "cuda" and chosen.index is not None:
        torch.cuda.set_device(chosen)  # else estimators would use the first GPU
    return chosen


def require_fit(controls: Controls, frames: np.ndarray) -> None:
    """Raise ViddaError unless controls are of frames (T, H, W, 3), in number and size."""
    shapes = {
        field.name: value.shape[:3]
        for field in fields(controls)
        if isinstance(value := getattr(controls, field.name), np.ndarray)
    }
    wrong = [
        f"controls.{name} is for {shape}, the frames are {frames.shape[:3]}; compute it for these"
        for name, shape in shapes.items()
        if shape != frames.shape[:3]
    ]
    if controls.pose is not None and len(controls.pose.scores) != len(frames):
        wrong.append(f"controls.pose is of {len(controls.pose.scores)} frames, not {len(frames)}")
    if wrong:
        raise ViddaError("\n".join(wrong))


def load(
    config: TranslateConfig | Path | str, *, overrides: Sequence[str] = (), device: str = "auto"
) -> ClipTranslator:
    """Load a diffusion model as `vidda translate` does.

    config: a YAML file of vidda translate, or what one holds; its keys `input` and `out` may be
    left out. overrides: texts `key.sub=value` over those of a file. device: cpu, cuda, cuda:1, ...;
    auto takes a GPU if there is one. Raises ViddaError, a line for each mistake, for a config that
    cannot be used, files that are not there, and a model that cannot be loaded.
    """
    if not isinstance(config, TranslateConfig):
        unused = ["input=.", "out=."]  # the command's
        config = load_config(TranslateConfig, Path(config), overrides, unused)
    problems = config_problems(config)
    if problems:
        raise ViddaError("\n".join(problems))
    backbone = config.backbone.find()
    # Words of classes are the config's own: a single clip has no manifest with other ones.
    return ClipTranslator(config, backbone, tuple(config.prompt.classes), use_device(device))
