"""`vidda randomize`: give clips other backgrounds and clothes by masks; manifest in, manifest out.

OUT/manifest.csv  the clips, with the labels and the motion of their sources
OUT/videos/       <path>.mp4, and <path>.1.mp4 ... for further copies
OUT/records/      size and hash of each video, by which a resumed job finds what is done

Domain randomization (arXiv 1703.06907) on finished videos, without any model: the baseline that a
translation has to beat. The masks are in the clips' sidecars, the dataset's own or those of `vidda
mask`. Clothes change only where a mask has regions of their names; the manifest's column
`randomized` says of each clip what was changed.
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
from vidda.data.derived import DerivedFiles
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
from vidda.progress import track
from vidda.run import RunFolder
from vidda.sidecar import mask_regions, read_mask
from vidda.types import ClipRecord, Manifest

BACKGROUND, WITH_CLOTHES = "background", "background and clothes"
"""The values of the manifest's column `randomized`."""


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
    clothes: bool = Field(
        default=True, description="give people other clothes too, where their mask shows them"
    )
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
    changes = _check(manifest, versions, config)
    kinds, waiting = ", ".join(config.backgrounds), missing(versions, config.out)
    print(
        f"{len(manifest)} clips x {config.copies}, {len(waiting)} to be made;"
        f" backgrounds: {kinds}; clothes: {'others' if config.clothes else 'the same'}"
    )
    alone = list(changes.values()).count(BACKGROUND)
    if config.clothes and alone:
        print(
            f"the masks of {alone} of {len(manifest)} clips tell no clothes from skin: of these"
            " clips only the background changes"
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
            partial(_record, config, changes),
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
    frames, mask, regions, fps = _read(version.clip, manifest.root)
    background = _background(config, manifest, version.clip, rng, frames.shape[1:3])
    if config.clothes:
        frames = randomize_clip.recolor_clothes(frames, mask, regions, rng)
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
    frames, mask, _, _ = _read(others[rng.integers(len(others))], manifest.root)
    scene = randomize_clip.empty_scene(frames, mask > 0)
    return cv2.resize(scene, (width, height), interpolation=cv2.INTER_AREA)


def _read(clip: ClipRecord, root: Path) -> tuple[np.ndarray, np.ndarray, tuple[str, ...], float]:
    """Return frames (T, H, W, 3), their mask (T, H, W) in the same size, the names of its values,
    and the rate.
    """
    path = inside(root, clip.path)
    frames = video.read(path)
    rows, regions = read_mask(clip, root, len(frames), None)
    height, width = frames.shape[1:3]
    rows = rows.astype(np.uint8)
    fitted = [cv2.resize(row, (width, height), interpolation=cv2.INTER_NEAREST) for row in rows]
    return frames, np.stack(fitted), regions, video.probe(path).fps


def _check(
    manifest: Manifest, versions: Sequence[Version], config: RandomizeConfig
) -> dict[str, str]:
    """Return what changes in each clip, by its id, in the words of the column `randomized`.

    Raises ViddaError for every mistake that can be known before the first clip, a line each.
    """
    problems, changes = [], {}
    for clip in track(manifest.clips, label="inspecting masks", total=len(manifest), unit="clips"):
        try:
            dressed = not set(randomize_clip.CLOTHES).isdisjoint(mask_regions(clip, manifest.root))
        except ViddaError as error:
            problems.append(str(error))
        else:
            changes[clip.id] = WITH_CLOTHES if dressed and config.clothes else BACKGROUND
    if not manifest.clips:
        problems.append(f"{config.input}: no clips in it; give a manifest of clips")
    if "clips" in config.backgrounds and len(manifest) == 1:
        problems.append(f"{config.input}: has only one clip; leave clips out of backgrounds")
    problems += path_clashes(versions, config.input)
    if problems:
        raise ViddaError("\n".join(first_problems(problems)))
    return changes


def _record(
    config: RandomizeConfig, changes: dict[str, str], version: Version, _: DerivedFiles
) -> ClipRecord:
    """Return the record of a version. changes: of each source clip, by its id."""
    new = version.record(config.name, domain="randomized")
    return replace(new, meta={**new.meta, "randomized": changes[version.clip.id]})


def _write(
    config: RandomizeConfig, manifest: Manifest, version: Version, path: Path
) -> tuple[str, ...]:
    frames, fps = randomize(config, manifest, version)
    video.write_clip(path, frames, fps, config.crf)
    return ()
