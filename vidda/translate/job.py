"""`vidda translate CONFIG`: a manifest, folder or video in, a manifest of translated clips out.

OUT/manifest.csv   the clips that are kept, for training; rejected.csv, failed.csv: the others
OUT/videos/        the translated clips, and beside each its quality figures as JSON
OUT/sidecar/       keypoints and masks of the source, for clips that have them
OUT/shown/         images and videos for inspection, where `show` asks for them
OUT/camera.json    the target's cameras, where they are matched
OUT/shards/i-of-n  the run folder of each shard; without shards it is OUT itself
OUT/shards.json    the settings that all shards must have in common

A clip's JSON is written last and lists its files with size and hash: a resumed job, even a finished
one, compares them. The shard that writes the last clip of the whole job also writes the manifest.
"""

import logging
from collections.abc import Iterable, Sequence
from pathlib import Path

from vidda.camera.target import has_camera_statistics, target_statistics
from vidda.data.manifest import first_problems
from vidda.files import require_free
from vidda.progress import meter, track
from vidda.run import RunFolder
from vidda.translate import merged_manifest
from vidda.translate.engine import translate_groups
from vidda.translate.identity import config_fingerprint, translation_digest
from vidda.translate.outputs import ClipStatus, read_result, remove_leftovers
from vidda.translate.plan import (
    ShardInspection,
    TranslationPlan,
    inspect_clips,
    load_estimators,
    make_plan,
)
from vidda.translate.shards import Group, Shard, group_clips, require_same_settings
from vidda.translate.translate_config import TranslateConfig
from vidda.translate.worker import WorkerResult, WorkerSetup
from vidda.translate.workload import describe_workload, disk_needs
from vidda.types import ClipRecord

log = logging.getLogger("vidda")


def run(config: TranslateConfig, *, dry_run: bool, resume: bool) -> int:
    """Translate every clip that is missing; return 0 when all of this shard's are there, else 1.

    dry_run: check everything, print the plan and write nothing. resume: continue a stopped job.
    Raises ViddaError.
    """
    plan = make_plan(config)
    inspection = inspect_clips(plan, config)
    missing = _missing(plan.groups, config.out)
    _print_plan(config, plan, inspection, missing)
    if dry_run:
        load_estimators(config)
        return int(bool(inspection.problems))
    fingerprints = (config_fingerprint(config), plan.backbone.fingerprint())
    facts = {
        "input": plan.manifest.fingerprint(),
        "config": fingerprints[0],
        "weights": fingerprints[1],
    }
    shard = Shard.parse(config.shard)
    if shard.count > 1:
        keep_if = config.keep_if.model_dump_json()
        require_same_settings(config.out, {**facts, "batch": config.batch, "keep_if": keep_if})
    folder, whole = shard.folder(config.out), not missing and _has_camera(config)
    with RunFolder.open(folder, config, facts, resume=resume, whole=whole) as opened:
        if not opened.finished:
            _translate_missing(config, plan, inspection, missing, fingerprints)
        lost = _merge(config, plan, shard, translation_digest(*fingerprints))
        if lost:
            print(f"{lost} clips were lost while others were translated; {opened.remedy()}")
            return 1
        failed = list(_statuses(plan.clips, config.out, content=False).values()).count("failed")
        if failed:
            print(f"{failed} clips failed; fix them, --resume tries them again")
            return 1
        if not opened.finished:
            opened.finish()
    return 0


def _missing(groups: Sequence[Group], out: Path) -> list[Group]:
    """Return the groups in which a clip has no whole result yet, or failed."""
    if not out.exists():
        return list(groups)
    clips = [clip for group in groups for clip in group]
    tracked = track(clips, label="checking finished clips", total=len(clips), unit="clips")
    found = _statuses(tracked, out)
    return [group for group in groups if any(found[c.id] in (None, "failed") for c in group)]


def _statuses(
    clips: Iterable[ClipRecord], out: Path, *, content: bool = True
) -> dict[str, ClipStatus | None]:
    """Return the status of each clip by id, None where it has no result; content: see
    `read_result`.
    """
    found = {clip.id: read_result(clip, out, content=content) for clip in clips}
    return {name: result.status if result else None for name, result in found.items()}


def _has_camera(config: TranslateConfig) -> bool:
    """Return whether the target's camera statistics exist, or are not needed."""
    return config.camera is None or has_camera_statistics(config.out)


def _print_plan(
    config: TranslateConfig,
    plan: TranslationPlan,
    inspection: ShardInspection,
    missing: Sequence[Group],
) -> None:
    """Print the plan and the clips that will fail; raise ViddaError where the disk is too small."""
    frames = sum(inspection.frames.values())
    shard = f"shard {config.shard}: " if config.shard else ""
    print(f"{shard}{len(plan.clips)} clips, {frames} frames, of {len(plan.manifest)} clips in all")
    for line in describe_workload(config, plan.backbone, inspection.shapes):
        print(line)
    remaining = _count_frames(missing, inspection)
    if remaining < frames:
        print(f"{frames - remaining} frames are translated already")
    for problem in first_problems([f"will fail: {text}" for text in inspection.problems.values()]):
        print(problem)
    clips = sum(map(len, missing))
    pixels = inspection.pixels * remaining // max(1, frames)
    require_free(config.out, disk_needs(config, clips, pixels)[config.out])


def _count_frames(groups: Iterable[Group], inspection: ShardInspection) -> int:
    """Return the number of frames of the groups' clips."""
    return sum(inspection.frames.get(clip.id, 0) for group in groups for clip in group)


def _translate_missing(
    config: TranslateConfig,
    plan: TranslationPlan,
    inspection: ShardInspection,
    missing: Sequence[Group],
    fingerprints: tuple[str, str],
) -> None:
    """Translate the missing groups, with progress in frames.

    fingerprints: of config and weights.
    """
    remove_leftovers(config.out, plan.clips)
    camera = None
    if config.camera is not None:
        camera = target_statistics(
            config.out, config.camera, plan.size, plan.backbone.multiple, plan.rate
        )
    setup = WorkerSetup(
        config=config,
        backbone=plan.backbone,
        root=plan.manifest.root,
        classes=plan.manifest.classes,
        fingerprints=fingerprints,
        camera=camera,
        # Of the missing clips alone, a resumed job could compile, and round, in another way.
        pixels=inspection.pixels // max(1, inspection.sizes),
    )
    total = sum(inspection.frames.values())
    done = total - _count_frames(missing, inspection)
    with meter(label="translating", total=total, unit="frames", done=done) as report_progress:
        kept = others = 0
        for finished in translate_groups(setup, missing):
            for one in finished:
                _log_result(one)
                kept += one.status == "kept"
                others += one.status != "kept"
            count = sum(inspection.frames.get(one.id, 0) for one in finished)
            report_progress(count, f"{kept} clips kept, {others} not")


def _log_result(done: WorkerResult) -> None:
    """Log a clip that was not kept."""
    if done.status != "kept":
        log.warning("clip %r %s: %s", done.id, done.status, done.why)


def _merge(config: TranslateConfig, plan: TranslationPlan, shard: Shard, digest: str) -> int:
    """Write the manifest if every clip of the job has a result, and print a summary.

    digest: of this translation, for the new ids. Returns the number of this shard's clips without a
    result.
    """
    merged = merged_manifest.merge(config.out, plan.manifest, digest)
    if isinstance(merged, list):
        own = {clip.id for clip in plan.clips}
        others = [clip for clip in merged if clip.id not in own]
        if others:
            groups = group_clips(plan.manifest.clips, config.batch)
            _print_other_shards(config.out, len(others), shard.owners(groups, others))
        return len(merged) - len(others)
    counts = {status: merged.count(status) for status in ("kept", "rejected", "failed")}
    print(", ".join(f"{count} {status}" for status, count in counts.items()))
    if merged.medians():
        print(f"medians: {merged.medians()}")
    for status, file in (
        ("rejected", merged_manifest.REJECTED),
        ("failed", merged_manifest.FAILED),
    ):
        if counts[status]:
            print(f"why {status}: {config.out / file}")
    print(f"written: {config.out / merged_manifest.MANIFEST}")
    return 0


def _print_other_shards(out: Path, count: int, shards: Sequence[Shard]) -> None:
    """Print how many clips of other shards are missing, and which finished shards lost some."""
    print(f"{count} clips of other shards are missing; the last shard writes the manifest")
    for one in shards:
        if (one.folder(out) / "DONE").exists():
            print(f"shard {one.number}/{one.count} was finished but lost clips: --resume it")
