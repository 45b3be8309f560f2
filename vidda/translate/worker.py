"""A worker of a translation job: the models on one device, which read, translate and
write clips.
"""

import logging
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

import numpy as np
import torch

from vidda import video
from vidda.camera import match as camera_match
from vidda.camera.camera_statistics import CameraStatistics
from vidda.control.flow import DisConfig
from vidda.control.full_disk import FullDiskError, detect_full_disk
from vidda.control.keypoints import NobodyError, empty_pose
from vidda.data.derived import describe_files
from vidda.data.frame_sampling import clip_rng
from vidda.errors import ViddaError
from vidda.files import inside, sha256
from vidda.sidecar import write_sidecar
from vidda.translate.backbone import Backbone
from vidda.translate.box_columns import box_columns
from vidda.translate.clip_translator import ClipTranslator, SourceClip, use_device
from vidda.translate.comparison_sheets import write_comparisons
from vidda.translate.outputs import ClipPaths, ClipResult, ClipStatus
from vidda.translate.overlap import compute_ahead
from vidda.translate.quality import defects, measure_quality
from vidda.translate.shards import Group
from vidda.translate.translate_config import TranslateConfig
from vidda.types import ClipRecord

log = logging.getLogger("vidda")


@dataclass(frozen=True, slots=True)
class WorkerSetup:
    """The inputs of a worker, which can be sent to another process.

    root, classes: of the source's manifest. fingerprints: of config and weights, as hex digests.
    camera: statistics of the target's cameras, where they are matched. pixels: see
    `Backbone.load`, over what one worker translates.
    """

    config: TranslateConfig
    backbone: Backbone
    root: Path
    classes: tuple[str, ...]
    fingerprints: tuple[str, str]
    camera: CameraStatistics | None
    pixels: int


@dataclass(frozen=True, slots=True)
class WorkerResult:
    """The result of a clip, for progress and log.

    id: the clip's. status: of its translation. why: reasons where it is not kept, else "".
    """

    id: str
    status: ClipStatus
    why: str = ""


@dataclass(frozen=True, slots=True)
class DenoisedClip:
    """A clip that the model has translated. frames: (T, H, W, 3) uint8 RGB."""

    source: SourceClip
    frames: np.ndarray


class Worker:
    """A worker that translates groups of clips and writes their files.

    device: its name. Raises ViddaError when a model or estimator cannot be loaded.
    """

    def __init__(self, setup: WorkerSetup, device: str) -> None:
        config = setup.config
        self._setup, self._config = setup, config
        chosen = use_device(device)
        self._flow = (config.control.flow or DisConfig()).build()
        self._estimator = config.check_pose.build() if config.check_pose else None
        self._clips = ClipTranslator(config, setup.backbone, setup.classes, chosen, setup.pixels)

    def run(self, groups: Iterable[Group]) -> Iterator[list[WorkerResult]]:
        """Translate groups in turn; yield each one's results.

        While the model works on a group, the next one is read and the previous one is finished.
        """
        read = compute_ahead(groups, self._read_all)
        return compute_ahead(map(self._denoise_all, read), self._finish_all)

    def process(self, group: Group) -> list[WorkerResult]:
        """Translate one group; return its clips' results."""
        return self._finish_all(self._denoise_all(self._read_all(group)))

    def _read_all(self, group: Group) -> list[SourceClip | WorkerResult]:
        """Return the results of the group's clips that cannot be read, and the others, read."""
        read: list[SourceClip] = []
        failed: list[WorkerResult] = []
        for clip in group:
            try:
                with detect_full_disk(self._config.out):
                    read.append(self._clips.read(clip, self._setup.root))
            except FullDiskError:
                raise
            except (ViddaError, torch.OutOfMemoryError) as error:
                failed.append(self._fail(clip, " ".join(str(error).split())))
        return [*failed, *read]

    def _denoise_all(
        self, clips: list[SourceClip | WorkerResult]
    ) -> list[DenoisedClip | WorkerResult]:
        """Translate clips that were read, those of one size together; leave results as they are."""

        def size(source: SourceClip) -> tuple[int, ...]:
            return source.job.frames.shape[1:3]

        done: list[DenoisedClip | WorkerResult] = [c for c in clips if isinstance(c, WorkerResult)]
        sources = [clip for clip in clips if isinstance(clip, SourceClip)]
        for _, same_size in groupby(sorted(sources, key=size), key=size):
            done += self._denoise(list(same_size))
        return done

    def _denoise(self, sources: Sequence[SourceClip]) -> list[DenoisedClip | WorkerResult]:
        """Translate clips of one size together, or each alone where that fails."""
        try:
            translated = self._clips.run([source.job for source in sources])
        except (ViddaError, torch.OutOfMemoryError) as error:
            reason = " ".join(str(error).split())
            if len(sources) == 1:
                return [self._fail(sources[0].clip, reason)]
            log.warning(
                "%d clips cannot be translated together (%s): one by one", len(sources), reason
            )
        else:
            return [DenoisedClip(*pair) for pair in zip(sources, translated, strict=True)]
        return [done for source in sources for done in self._denoise([source])]

    def _finish_all(self, clips: list[DenoisedClip | WorkerResult]) -> list[WorkerResult]:
        """Measure and write the translated clips; return all results."""
        return [self._finish(clip) if isinstance(clip, DenoisedClip) else clip for clip in clips]

    def _finish(self, clip: DenoisedClip) -> WorkerResult:
        """Measure and write a translated clip; an error makes it a failed one.

        Raises FullDiskError, which is not the clip's fault.
        """
        try:
            with detect_full_disk(self._config.out):
                return self._write(clip.source, clip.frames)
        except FullDiskError:
            raise
        # A file that is gone while it is written was deleted, maybe with the whole folder.
        except (ViddaError, torch.OutOfMemoryError, FileNotFoundError) as error:
            return self._fail(clip.source.clip, " ".join(str(error).split()))

    def _write(self, source: SourceClip, translated: np.ndarray) -> WorkerResult:
        """Measure a translated clip, add the target's camera, and write all files of the clip."""
        config, setup, clip, job = self._config, self._setup, source.clip, source.job
        found = None
        if self._estimator is not None:
            try:
                found = self._estimator.estimate(translated, None, clip, setup.root, source.numbers)
            except NobodyError:  # counts as a PCK of 0, not as an error of the job
                found = empty_pose(len(translated))
        threshold = config.control.threshold
        quality = measure_quality(
            job.frames, translated, job.controls, self._flow, found, threshold
        )
        reasons = defects(translated, job.frames) + config.keep_if.reasons(quality)
        final = translated
        if config.camera is not None and setup.camera is not None:
            rng = clip_rng(config.seed, 0, clip.id, "camera")
            final = camera_match.match_camera(translated, setup.camera, config.camera.match, rng)
        paths = ClipPaths.of(clip, config.out)
        fps = config.frames.rate(source.info.fps, source.info.frames)
        video.write_clip(config.out / paths.media, final, fps, config.crf)
        comparisons = write_comparisons(
            config, paths, clip.id, job, source.numbers, translated, final, fps
        )
        columns = self._columns(source, final, paths)
        sidecars = [columns["sidecar"]] if columns["sidecar"] else []
        result = ClipResult(
            id=clip.id,
            files=describe_files(config.out, [paths.media, *sidecars, *comparisons]),
            status="rejected" if reasons else "kept",
            reasons=reasons,
            path=paths.media,
            columns=columns | quality.columns(),
            quality=quality.named(),
        )
        result.write(paths.result)  # last: its existence means that the other files are whole
        return WorkerResult(clip.id, result.status, "; ".join(reasons))

    def _columns(self, source: SourceClip, final: np.ndarray, paths: ClipPaths) -> dict[str, str]:
        """Return the columns of the clip's row in the manifest, except for the quality figures."""
        config, setup, clip = self._config, self._setup, source.clip
        shaken = config.camera is not None and config.camera.match.shake
        has_sidecar = not shaken and write_sidecar(
            clip, setup.root, source.numbers, final, config.out / paths.sidecar
        )
        boxes = box_columns(config, clip, setup.root, final, shaken=shaken)
        return boxes | {
            "sidecar": paths.sidecar if has_sidecar else "",
            "frames": str(len(final)),
            "height": str(final.shape[1]),
            "width": str(final.shape[2]),
            "source_frames": str(source.info.frames),
            "source_sha256": sha256(inside(setup.root, clip.path)),
            "seed": str(source.job.seed),
            "prompt": source.job.prompt,
            "control": config.backbone.describe_controls(config.control),
            "config": setup.fingerprints[0],
            "weights": setup.fingerprints[1],
        }

    def _fail(self, clip: ClipRecord, reason: str) -> WorkerResult:
        """Write and return the result of a clip that failed."""
        result = ClipResult(id=clip.id, status="failed", reasons=(reason,))
        result.write(ClipPaths.of(clip, self._config.out).result)
        return WorkerResult(clip.id, "failed", reason)
