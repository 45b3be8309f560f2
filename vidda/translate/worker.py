"""One worker of a translation job: models on one device, and clips from video to video."""

import logging
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

import numpy as np
import torch

from vidda import video
from vidda.camera import match as camera_match
from vidda.camera.camera_statistics import CameraStatistics
from vidda.control.boxes import NobodyError
from vidda.control.clip_size import fitted
from vidda.control.controls import ControlReader, Controls
from vidda.control.flow import DisConfig
from vidda.control.full_disk import FullDiskError, full_disk_told
from vidda.control.keypoints import nobody
from vidda.control.mask import has_mask, person_mask
from vidda.data.derived import files_of
from vidda.data.frame_sampling import clip_rng
from vidda.device import torch_device
from vidda.errors import ViddaError
from vidda.files import inside, sha256
from vidda.sidecar import write_sidecar
from vidda.translate.backbone import Backbone
from vidda.translate.box_columns import box_columns
from vidda.translate.clip_job import ClipJob, padded
from vidda.translate.comparison_sheets import show
from vidda.translate.identity import clip_seed
from vidda.translate.outputs import ClipResult, Places, Status
from vidda.translate.prompts import Prompts
from vidda.translate.quality import defects, measure
from vidda.translate.shards import Group
from vidda.translate.translate_config import TranslateConfig
from vidda.types import ClipRecord
from vidda.video.info import VideoInfo

log = logging.getLogger("vidda")


@dataclass(frozen=True, slots=True)
class WorkerSetup:
    """What a worker is told; it can be sent to another process.

    root, classes: of the source's manifest. prints: of config and weights, as hex digests. camera:
    the target's, where it is to be matched.
    """

    config: TranslateConfig
    backbone: Backbone
    root: Path
    classes: tuple[str, ...]
    prints: tuple[str, str]
    camera: CameraStatistics | None


@dataclass(frozen=True, slots=True)
class WorkerResult:
    """What became of a clip, for progress and log; why: where it is not kept."""

    id: str
    status: Status
    why: str = ""


@dataclass(frozen=True, slots=True)
class SourceClip:
    """A clip that was read: the numbers of its frames, and what the model is told of them."""

    clip: ClipRecord
    info: VideoInfo
    numbers: np.ndarray
    job: ClipJob


class Worker:
    """Translates groups of clips and writes what comes of them.

    device: by name. Raises ViddaError when a model or estimator cannot be loaded.
    """

    def __init__(self, setup: WorkerSetup, device: str) -> None:
        config = setup.config
        self._setup, self._config = setup, config
        place = torch_device(device, "device")
        if place.type == "cuda" and place.index is not None:
            torch.cuda.set_device(place)  # what else is `auto` goes there too, not to the first GPU
        self._controls = ControlReader(config.control, config.cache, config.backbone.flows)
        self._controls.load()
        self._flow = (config.control.flow or DisConfig()).build()
        self._estimator = config.check_pose.build() if config.check_pose else None
        self._prompts = Prompts(config.prompt, setup.classes)
        self._translator = setup.backbone.load(place)

    def run(self, groups: Iterable[Group]) -> Iterator[list[WorkerResult]]:
        """Translate groups in turn, reading the next one while the model is at work."""
        with ThreadPoolExecutor(1) as pool:
            waiting = None
            for group in groups:
                coming = pool.submit(self._read_all, group)
                if waiting is not None:
                    yield self._finish_all(*waiting.result())
                waiting = coming
            if waiting is not None:
                yield self._finish_all(*waiting.result())

    def process(self, group: Group) -> list[WorkerResult]:
        """Translate one group."""
        return self._finish_all(*self._read_all(group))

    def _read_all(self, group: Group) -> tuple[list[SourceClip], list[WorkerResult]]:
        """Return the group's clips that can be read, and what is to be said of the others."""
        read: list[SourceClip] = []
        failed: list[WorkerResult] = []
        for clip in group:
            try:
                with full_disk_told(self._config.out):
                    read.append(self._read(clip))
            except FullDiskError:
                raise
            except (ViddaError, torch.OutOfMemoryError) as error:
                failed.append(self._fail(clip, " ".join(str(error).split())))
        return read, failed

    def _finish_all(
        self, sources: list[SourceClip], failed: list[WorkerResult]
    ) -> list[WorkerResult]:
        def size(source: SourceClip) -> tuple[int, ...]:
            return source.job.frames.shape[1:3]

        for _, alike in groupby(sorted(sources, key=size), key=size):
            failed += self._translate(list(alike))
        return failed

    def _read(self, clip: ClipRecord) -> SourceClip:
        config, root = self._config, self._setup.root
        path = inside(root, clip.path)
        info = video.probe(path)
        numbers = config.frames.pick(info.frames)
        frames = video.read(path, numbers, fitted(info, config.size, self._setup.backbone.multiple))
        controls = self._controls.read(frames, clip, root, numbers)
        job = ClipJob(
            frames=frames,
            controls=controls,
            prompt=self._prompts.of(clip),
            negative=config.prompt.negative,
            seed=clip_seed(config.seed, clip.id),
            mask=self._mask(clip, controls, frames, numbers),
        )
        return SourceClip(clip, info, numbers, job)

    def _mask(
        self, clip: ClipRecord, controls: Controls, frames: np.ndarray, numbers: np.ndarray
    ) -> np.ndarray | None:
        """Return the person's mask (T, H, W), where it is to be kept, or shown and there is one."""
        config, root = self._config, self._setup.root
        if not config.backbone.keeps_person and not (
            "sheet" in config.show and has_mask(clip, root)
        ):
            return None
        height, width = frames.shape[1:3]
        threshold = config.control.threshold
        return person_mask(
            clip, root, controls.pose, height, width, numbers, config.mask_grow, threshold
        )

    def _translate(self, sources: Sequence[SourceClip]) -> list[WorkerResult]:
        """Translate clips of one size together; where that fails, each alone."""
        try:
            translated = self._translated([source.job for source in sources])
        except (ViddaError, torch.OutOfMemoryError) as error:
            reason = " ".join(str(error).split())
            if len(sources) == 1:
                return [self._fail(sources[0].clip, reason)]
            log.warning("%d clips do not pass together (%s): one by one", len(sources), reason)
        else:
            return [self._finish(*pair) for pair in zip(sources, translated, strict=True)]
        return [done for source in sources for done in self._translate([source])]

    def _translated(self, jobs: Sequence[ClipJob]) -> list[np.ndarray]:
        """What the model makes of clips: shown the frames that it takes, cut back to their own."""
        frames = self._setup.backbone.frames
        shown = [padded(job, frames(len(job.frames))) for job in jobs]
        made = self._translator.translate(shown)
        return [one[: len(job.frames)] for one, job in zip(made, jobs, strict=True)]

    def _finish(self, source: SourceClip, frames: np.ndarray) -> WorkerResult:
        """Measure and write a translated clip; what goes wrong makes it one that failed.

        Raises FullDiskError, for that is no fault of the clip's.
        """
        try:
            with full_disk_told(self._config.out):
                return self._write(source, frames)
        except FullDiskError:
            raise
        except (ViddaError, torch.OutOfMemoryError) as error:
            return self._fail(source.clip, " ".join(str(error).split()))

    def _write(self, source: SourceClip, translated: np.ndarray) -> WorkerResult:
        config, setup, clip, job = self._config, self._setup, source.clip, source.job
        found = None
        if self._estimator is not None:
            try:
                found = self._estimator.estimate(translated, None, clip, setup.root, source.numbers)
            except NobodyError:  # a figure of the translation, 0, and no fault of the job's
                found = nobody(len(translated))
        threshold = config.control.threshold
        quality = measure(job.frames, translated, job.controls, self._flow, found, threshold)
        reasons = defects(translated, job.frames) + config.keep_if.reasons(quality)
        final = translated
        if config.camera is not None and setup.camera is not None:
            rng = clip_rng(config.seed, 0, clip.id, "camera")
            final = camera_match.apply(translated, setup.camera, config.camera.match, rng)
        places = Places.of(clip, config.out)
        fps = config.frames.rate(source.info.fps, source.info.frames)
        video.write_clip(config.out / places.media, final, fps, config.crf)
        shown = show(config, places, clip.id, job, source.numbers, translated, final, fps)
        columns = self._columns(source, final, places)
        beside = [columns["sidecar"]] if columns["sidecar"] else []
        result = ClipResult(
            id=clip.id,
            files=files_of(config.out, [places.media, *beside, *shown]),
            status="rejected" if reasons else "kept",
            reasons=reasons,
            path=places.media,
            columns=columns | quality.columns(),
            quality=quality.named(),
        )
        result.write(places.result)  # last: it says that the rest is there
        return WorkerResult(clip.id, result.status, "; ".join(reasons))

    def _columns(self, source: SourceClip, final: np.ndarray, places: Places) -> dict[str, str]:
        """Return the row's columns, apart from the quality's."""
        config, setup, clip = self._config, self._setup, source.clip
        moved = config.camera is not None and config.camera.match.shake
        beside = not moved and write_sidecar(
            clip, setup.root, source.numbers, final, config.out / places.sidecar
        )
        boxes = box_columns(config, clip, setup.root, final, moved=moved)
        return boxes | {
            "sidecar": places.sidecar if beside else "",
            "frames": str(len(final)),
            "height": str(final.shape[1]),
            "width": str(final.shape[2]),
            "source_frames": str(source.info.frames),
            "source_sha256": sha256(inside(setup.root, clip.path)),
            "seed": str(source.job.seed),
            "prompt": source.job.prompt,
            "control": config.backbone.describe_controls(config.control),
            "config": setup.prints[0],
            "weights": setup.prints[1],
        }

    def _fail(self, clip: ClipRecord, reason: str) -> WorkerResult:
        result = ClipResult(id=clip.id, status="failed", reasons=(reason,))
        result.write(Places.of(clip, self._config.out).result)
        return WorkerResult(clip.id, "failed", reason)
