"""`vidda randomize`: give clips other backgrounds and clothes by masks; manifest in, manifest out.

OUT/manifest.csv  the clips, with the labels and the motion of their sources
OUT/videos/       <path>.mp4, and <path>.1.mp4 ... for further copies
OUT/records/      size and hash of each video, by which a resumed job finds what is done

Domain randomization (arXiv 1703.06907) on finished videos, without any model: the baseline that a
translation has to beat. The masks are in the dataset's own sidecars, with MiniRoCoG's regions.
"""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import ClassVar

import cv2
import numpy as np
from pydantic import Field

from vidda import video
from vidda.config import Config, Processes
from vidda.data import load_manifest, randomize_clip
from vidda.data.frame_sampling import clip_rng
from vidda.data.manifest import first_problems
from vidda.data.randomize_clip import Background
from vidda.data.versions import (
    ClipSeed,
    Copies,
    IdSuffix,
    Version,
    manifest_written,
    missing,
    path_clashes,
    plan_versions,
    write_all,
)
from vidda.errors import ViddaError
from vidda.files import inside
from vidda.run import RunFolder
from vidda.sidecar import read_rows, sidecar_path
from vidda.types import ClipRecord, Manifest


class RandomizeConfig(Config):
    """The config of `vidda randomize`: the clips, and what is changed in them."""

    # A job that ran out of memory has to continue with fewer processes.
    may_change: ClassVar[frozenset[str]] = frozenset({"jobs"})

    input: Path = Field(description="manifest of clips with sidecars that hold masks")
    out: Path = Field(description="run folder to write; its manifest.csv can be trained on")
    name: IdSuffix = "randomized"
    backgrounds: tuple[Background, ...] = Field(
        default=("colors", "textures", "clips"),
        min_length=1,
        description="kinds of background, chosen at random for each clip; clips: the scene of"
        " another clip without its people",
    )
    clothes: bool = Field(default=True, description="give people other clothes too")
    copies: Copies = 1
    crf: int = Field(
        default=18, ge=0, le=51, description="quality of the H.264 videos, lower is better"
    )
    seed: ClipSeed = 0
    jobs: Processes = 0


def run(config: RandomizeConfig, *, dry_run: bool, resume: bool) -> int:
    """Write every video that is not there yet, then the manifest; return 0 when finished, else 1.

    dry_run: only print the plan. resume: continue an unfinished run. Raises ViddaError for mistakes
    in the config or the manifest, before anything is written.
    """
    manifest = load_manifest(config.input)
    manifest = replace(manifest, root=manifest.root.absolute())
    versions = plan_versions(manifest, config.copies)
    _check(manifest, versions, config)
    kinds, waiting = ", ".join(config.backgrounds), missing(versions, config.out)
    print(
        f"{len(manifest)} clips x {config.copies}, {len(waiting)} to be made;"
        f" backgrounds: {kinds}; clothes: {'others' if config.clothes else 'the same'}"
    )
    if dry_run:
        return 0
    facts = {"input": manifest.fingerprint()}
    whole = not waiting and manifest_written(config.out)
    with RunFolder.open(config.out, config, facts, resume=resume, whole=whole) as folder:
        if folder.finished:
            print(f"{config.out}: already finished")
            return 0
        return write_all(
            versions,
            waiting,
            manifest.classes,
            folder,
            partial(_write, config, manifest),
            lambda version, _: version.record(config.name, domain="randomized"),
            jobs=config.jobs,
            label="randomizing",
        )


def randomize(
    config: RandomizeConfig, manifest: Manifest, version: Version
) -> tuple[np.ndarray, float]:
    """Return the frames of one version, (T, H, W, 3) uint8 RGB, and their rate in 1/s.

    manifest: the clips, with an absolute root. The frames depend only on the config, the clip's id,
    the copy's number and the manifest. Raises ViddaError where a video or its mask is unreadable.
    """
    # The old spelling seeds the draws: another one would change every video.
    rng = clip_rng(config.seed, version.copy, version.clip.id, "randomise")
    frames, mask, fps = _read(version.clip, manifest.root)
    background = _background(config, manifest, version.clip, rng, frames.shape[1:3])
    if config.clothes:
        frames = randomize_clip.recolor_clothes(frames, mask, rng)
    return randomize_clip.composite(frames, mask > 0, background), fps


def _background(
    config: RandomizeConfig,
    manifest: Manifest,
    clip: ClipRecord,
    rng: np.random.Generator,
    size: tuple[int, ...],
) -> np.ndarray:
    """Return a random background (H, W, 3) uint8 of one of the kinds. size: (H, W)."""
    height, width = size
    kind = config.backgrounds[rng.integers(len(config.backgrounds))]
    if kind == "colors":
        return randomize_clip.draw_gradient(rng, height, width)
    if kind == "textures":
        return randomize_clip.draw_texture(rng, height, width)
    others = [other for other in manifest.clips if other.id != clip.id]
    frames, mask, _ = _read(others[rng.integers(len(others))], manifest.root)
    scene = randomize_clip.empty_scene(frames, mask > 0)
    return cv2.resize(scene, (width, height), interpolation=cv2.INTER_AREA)


def _read(clip: ClipRecord, root: Path) -> tuple[np.ndarray, np.ndarray, float]:
    """Return frames (T, H, W, 3), their mask (T, H, W) in the same size, and the rate."""
    path = inside(root, clip.path)
    frames = video.read(path)
    rows = read_rows(clip, root, "mask", len(frames), None)
    height, width = frames.shape[1:3]
    fitted = [cv2.resize(row, (width, height), interpolation=cv2.INTER_NEAREST) for row in rows]
    return frames, np.stack(fitted), video.probe(path).fps


def _check(manifest: Manifest, versions: Sequence[Version], config: RandomizeConfig) -> None:
    """Raise ViddaError for every mistake that can be known before the first clip, a line each."""
    problems = [
        f"clip {clip.id!r} has no sidecar {sidecar_path(clip, manifest.root)}; its mask is needed"
        for clip in manifest.clips
        if not sidecar_path(clip, manifest.root).is_file()
    ]
    if not manifest.clips:
        problems.append(f"{config.input}: no clips in it; give a manifest of clips")
    if "clips" in config.backgrounds and len(manifest) == 1:
        problems.append(f"{config.input}: has only one clip; leave clips out of backgrounds")
    problems += path_clashes(versions, config.input)
    if problems:
        raise ViddaError("\n".join(first_problems(problems)))


def _write(
    config: RandomizeConfig, manifest: Manifest, version: Version, path: Path
) -> tuple[str, ...]:
    frames, fps = randomize(config, manifest, version)
    video.write_clip(path, frames, fps, config.crf)
    return ()
