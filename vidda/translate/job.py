"""`vidda translate CONFIG`: a manifest, folder or video in, a manifest of translated clips out.

OUT/manifest.csv   the clips that are kept, ready to be trained on; rejected.csv, failed.csv: others
OUT/videos/        the translated clips, and beside each its figures as JSON
OUT/sidecar/       key points and masks of the source, for clips that have them
OUT/shown/         to look at, where `show` asks for it
OUT/camera.json    the target's cameras, where they are matched
OUT/shards/i-of-n  the run folder of each shard; without shards it is OUT itself
OUT/shards.json    what all shards must have in common

A clip's JSON is written last and lists its files with size and hash: a resumed job, a finished one
too, goes by it. Whoever writes the last one of the whole job, whichever shard that is, writes the
manifest.
"""

import logging
from collections.abc import Iterable, Sequence
from pathlib import Path

from vidda.camera.target import measured, statistics
from vidda.data.manifest import shortened
from vidda.files import require_free
from vidda.progress import meter, track
from vidda.run import RunFolder
from vidda.translate import merged_manifest
from vidda.translate.engine import translate
from vidda.translate.identity import config_fingerprint, translation_digest
from vidda.translate.outputs import Status, remove_leftovers, result_of
from vidda.translate.plan import InspectedClip, TranslationPlan, inspect, load_estimators, make
from vidda.translate.shards import Group, Shard, agree, grouped
from vidda.translate.translate_config import TranslateConfig
from vidda.translate.worker import WorkerResult, WorkerSetup
from vidda.translate.workload import disks, told
from vidda.types import ClipRecord

log = logging.getLogger("vidda")


def run(config: TranslateConfig, *, dry_run: bool, resume: bool) -> int:
    """Translate every clip that is not there yet; 0 when all of this shard's are, else 1."""
    plan = make(config)
    looked = inspect(plan, config)
    missing = _missing(plan.groups, config.out)
    _tell(config, plan, looked, missing)
    if dry_run:
        load_estimators(config)
        return int(bool(looked.problems))
    prints = (config_fingerprint(config), plan.backbone.fingerprint())
    facts = {"input": plan.manifest.fingerprint(), "config": prints[0], "weights": prints[1]}
    shard = Shard.parse(config.shard)
    if shard.count > 1:
        keep_if = config.keep_if.model_dump_json()
        agree(config.out, {**facts, "batch": config.batch, "keep_if": keep_if})
    folder, whole = shard.folder(config.out), not missing and _camera_known(config)
    with RunFolder.open(folder, config, facts, resume=resume, whole=whole) as opened:
        if not opened.finished:
            _work(config, plan, looked, missing, prints)
        lost = _merge(config, plan, shard, translation_digest(*prints))
        if lost:
            print(f"{lost} clips were lost while others were translated; {opened.remedy()}")
            return 1
        failed = list(_statuses(plan.clips, config.out, content=False).values()).count("failed")
        if failed:
            print(f"{failed} clips failed; mend them, --resume tries them again")
            return 1
        if not opened.finished:
            opened.finish()
    return 0


def _missing(groups: Sequence[Group], out: Path) -> list[Group]:
    """Return the groups that are to be translated: those in which a clip has no whole
    result yet.
    """
    if not out.exists():
        return list(groups)
    clips = [clip for group in groups for clip in group]
    seen = track(clips, label="checking what is there", total=len(clips), unit="clips")
    found = _statuses(seen, out)
    return [group for group in groups if any(found[c.id] in (None, "failed") for c in group)]


def _statuses(
    clips: Iterable[ClipRecord], out: Path, *, content: bool = True
) -> dict[str, Status | None]:
    """What became of each clip so far, by id; content: see `result_of`."""
    found = {clip.id: result_of(clip, out, content=content) for clip in clips}
    return {name: result.status if result else None for name, result in found.items()}


def _camera_known(config: TranslateConfig) -> bool:
    return config.camera is None or measured(config.out)


def _tell(
    config: TranslateConfig, plan: TranslationPlan, looked: InspectedClip, missing: Sequence[Group]
) -> None:
    """Print the plan, and what is wrong with clips; ViddaError where the disk is too small."""
    frames = sum(looked.frames.values())
    part = f"shard {config.shard}: " if config.shard else ""
    print(f"{part}{len(plan.clips)} clips, {frames} frames, of {len(plan.manifest)} clips in all")
    for line in told(config, plan.backbone, len(plan.clips), looked.pixels):
        print(line)
    left = _frames(missing, looked)
    if left < frames:
        print(f"{frames - left} frames are translated already")
    for problem in shortened([f"will fail: {text}" for text in looked.problems.values()]):
        print(problem)
    clips = sum(map(len, missing))
    pixels = looked.pixels * left // max(1, frames)
    require_free(config.out, disks(config, clips, pixels)[config.out])


def _frames(groups: Iterable[Group], looked: InspectedClip) -> int:
    return sum(looked.frames.get(clip.id, 0) for group in groups for clip in group)


def _work(
    config: TranslateConfig,
    plan: TranslationPlan,
    looked: InspectedClip,
    missing: Sequence[Group],
    prints: tuple[str, str],
) -> None:
    """Translate the missing groups, with progress in frames."""
    remove_leftovers(config.out, plan.clips)
    camera = None
    if config.camera is not None:
        camera = statistics(config.out, config.camera, plan.size, plan.backbone.multiple, plan.rate)
    setup = WorkerSetup(
        config, plan.backbone, plan.manifest.root, plan.manifest.classes, prints, camera
    )
    total = sum(looked.frames.values())
    done = total - _frames(missing, looked)
    with meter(label="translating", total=total, unit="frames", done=done) as passed:
        kept = others = 0
        for finished in translate(setup, missing):
            for one in finished:
                _log(one)
                kept += one.status == "kept"
                others += one.status != "kept"
            count = sum(looked.frames.get(one.id, 0) for one in finished)
            passed(count, f"{kept} clips kept, {others} not")


def _log(done: WorkerResult) -> None:
    if done.status != "kept":
        log.warning("clip %r %s: %s", done.id, done.status, done.why)


def _merge(config: TranslateConfig, plan: TranslationPlan, shard: Shard, print_: str) -> int:
    """Write the manifest where every clip of the job has its result, and say how it stands.

    Gives how many clips of this shard lack theirs.
    """
    merged = merged_manifest.merge(config.out, plan.manifest, print_)
    if isinstance(merged, list):
        own = {clip.id for clip in plan.clips}
        others = [clip for clip in merged if clip.id not in own]
        if others:
            groups = grouped(plan.manifest.clips, config.batch)
            _tell_others(config.out, len(others), shard.owners(groups, others))
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


def _tell_others(out: Path, count: int, shards: Sequence[Shard]) -> None:
    """Say that clips of these other shards have no result."""
    print(f"{count} clips of other shards are to come; the last shard writes the manifest")
    for one in shards:
        if (one.folder(out) / "DONE").exists():
            print(f"shard {one.number}/{one.count} was finished but lost clips: --resume it")
