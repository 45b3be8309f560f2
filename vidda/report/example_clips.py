"""One typical clip of each task as videos side by side: the source, all that was made of it, and
a real clip of the target.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from vidda.errors import ViddaError
from vidda.files import inside
from vidda.report.definitions import clips_of
from vidda.report.derived_manifests import DerivedManifest, derivation, kind_of
from vidda.report.found_runs import FoundRuns
from vidda.report.gallery import GalleryClip, write_clip
from vidda.report.report_config import Gallery
from vidda.report.target_label_use import Manifests
from vidda.report.translations import mean_ranks, read_translation
from vidda.types import ClipRecord, Manifest

VIDEO = Gallery.model_construct(height=224, seconds=8.0)
MOST = 4
"""Most tasks that are shown; further ones have the same source clips or targets as a rule."""


@dataclass(frozen=True, slots=True)
class TaskClips:
    """The clips of one task.

    source, target: manifests of the source's clips and of the target's. steps: how each manifest
    was derived that the runs were trained on, by the name of its column, or that they come from.
    """

    task: str
    source: Manifest
    target: Manifest
    steps: Mapping[str, Sequence[DerivedManifest]]


def write_examples(found: FoundRuns, out: Path) -> list[GalleryClip]:
    """Write the videos of one typical clip of each task to OUT/videos; return what was written.

    Of the source's clips that everything was made of, it is the one of median quality. Tasks
    whose videos are gone are left out.
    """
    written: list[GalleryClip] = []
    shown, manifests = set(), Manifests()
    for task in found.transfer.everything.tasks if found.transfer else ():
        clips = _task_clips(found, task, manifests)
        key = clips and (clips.source.clips, clips.target.clips, tuple(clips.steps))
        if clips is None or key in shown or len(written) == MOST:
            continue
        shown.add(key)
        chosen = typical_clip(clips, manifests)
        files = _files(clips, chosen, manifests)
        if sum(isinstance(file, Path) for file in files.values()) > 1:
            videos = write_clip(VIDEO, f"{len(written):03d}_example", files, out)
            title = f"{task}: {clips_of(clips.source)} to {clips_of(clips.target)}"
            written.append(GalleryClip(title, _note(clips, chosen), videos))
    return written


def _note(clips: TaskClips, chosen: ClipRecord) -> str:
    label = f"“{clips.source.classes[chosen.label]}”, " if chosen.label is not None else ""
    same = " The real clip is another one of the same class." if chosen.label is not None else ""
    typical = " of median quality" if clips.steps else ""
    return f"{label}clip {chosen.id}{typical}.{same}"


def _task_clips(found: FoundRuns, task: str, manifests: Manifests) -> TaskClips | None:
    """Return the clips of a task; None where its lists are gone."""
    assert found.transfer
    folder = found.transfer.everything.data / "splits" / task
    source = _first(folder, ("source_only/train.csv", "adapted/train.csv"), manifests)
    tests = ("source_only/test.csv", "adapted/test.csv", "adapted/target.csv")
    target = _first(folder, tests, manifests)
    if source is None or target is None:
        return None
    paths: dict[Path, None] = {}
    for row in found.transfer.everything.rows:
        for run in row.runs.get(task, ()):
            training = found.trainings.get(run)
            content = training.record.content if training else {}
            paths |= dict.fromkeys(map(Path, content.get("train") or ()))
    for translation in found.translations.values():
        paths[translation.path] = None
    steps: dict[Path, list[DerivedManifest]] = {}
    for path in paths:
        chain = derivation(path)
        origin = manifests.get(chain[0].origin) if chain else None
        if origin is not None and {c.id for c in origin.clips} == {c.id for c in source.clips}:
            steps |= {chain[n].path: chain[: n + 1] for n in range(len(chain))}
    # What is made of the same clips stands together.
    firsts = list(dict.fromkeys(chain[0].path for chain in steps.values()))
    order = sorted(steps.values(), key=lambda chain: (firsts.index(chain[0].path), len(chain)))
    return TaskClips(task, source, target, _columns(order, manifests))


def _first(folder: Path, names: Sequence[str], manifests: Manifests) -> Manifest | None:
    files = [folder / name for name in names if (folder / name).is_file()]
    return next((found for file in files if (found := manifests.get(file)) and found.clips), None)


def _columns(
    steps: Sequence[list[DerivedManifest]], manifests: Manifests
) -> dict[str, list[DerivedManifest]]:
    """Return derived manifests by the name of their column; equal kinds get their folder's name."""
    kinds = [kind_of(one, manifests) for one in steps]
    names = [
        kind if kinds.count(kind) == 1 else f"{kind} ({one[-1].folder.name.partition('-')[0]})"
        for kind, one in zip(kinds, steps, strict=True)
    ]
    return dict(zip(names, steps, strict=True))


def typical_clip(clips: TaskClips, manifests: Manifests) -> ClipRecord:
    """Return the source clip of median quality among those that most was made of.

    The quality is the mean rank over the translations; where there is none, it is the middle clip.
    """
    made = {name: set(made_of(steps, manifests)) for name, steps in clips.steps.items()}
    counts = {c.id: sum(c.id in ids for ids in made.values()) for c in clips.source.clips}
    most = max(counts.values())
    ranks = _ranks(clips)
    known = [clip for clip in clips.source.clips if counts[clip.id] == most]
    known.sort(key=lambda clip: float(np.mean([one.get(clip.id, 0.0) for one in ranks] or [0.0])))
    return known[len(known) // 2]


def _ranks(clips: TaskClips) -> list[dict[str, float]]:
    """Return the mean ranks of the source's clips in each translation that was made of them."""
    found = []
    for folder in {steps[0].folder for steps in clips.steps.values()}:
        try:
            found.append(mean_ranks(read_translation(folder)))
        except ViddaError:  # randomized or camera-matched clips have no figures
            continue
    return found


def made_of(steps: Sequence[DerivedManifest], manifests: Manifests) -> dict[str, ClipRecord]:
    """Return the clip that the last of some steps made of each source clip, by the source's id.

    Of several copies it is the first.
    """
    source_of: dict[str, str] = {}
    last: dict[str, ClipRecord] = {}
    for number, step in enumerate(steps):
        manifest = manifests.get(step.path)
        last = {}
        known = dict(source_of)
        for clip in manifest.clips if manifest else ():
            parent = clip.parent_id or ""
            origin = known.get(parent) if number else parent
            if origin:
                source_of[clip.id] = origin
                last.setdefault(origin, clip)
    return last


def _files(clips: TaskClips, chosen: ClipRecord, manifests: Manifests) -> dict[str, Path | str]:
    """Return the file of each video, or why there is none, by the name of its column."""
    found: dict[str, Path | str] = {"source": inside(clips.source.root, chosen.path)}
    for name, steps in clips.steps.items():
        made = made_of(steps, manifests).get(chosen.id)
        manifest = manifests.get(steps[-1].path)
        if made is not None and manifest is not None:
            found[name] = inside(manifest.root, made.path)
    target = _target_clip(clips.target, chosen.label)
    found["real target"] = inside(clips.target.root, target.path)
    return {
        name: file if not isinstance(file, Path) or file.is_file() else "file not found"
        for name, file in found.items()
    }


def _target_clip(target: Manifest, label: int | None) -> ClipRecord:
    """Return the middle one of the target's clips with a label, or of all where none has it."""
    same = [clip for clip in target.clips if label is not None and clip.label == label]
    chosen = same or target.clips
    return chosen[len(chosen) // 2]
