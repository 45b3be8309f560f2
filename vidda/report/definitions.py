"""Definitions of the tasks and arms of a transfer table, from their lists and the runs' records."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vidda.evaluate.transfer import Transfer
from vidda.report.derived_manifests import derivation, kind_of
from vidda.report.found_runs import FoundRuns
from vidda.report.main_result import listed
from vidda.report.run_records import TrainingRecord
from vidda.report.target_label_use import Manifests
from vidda.types import Manifest

AUGMENTATIONS = {
    "color_jitter": "color jitter",
    "horizontal_flip": "horizontal flips",
    "rand_augment": "RandAugment",
    "blur": "blur",
    "noise": "noise",
    "random_erasing": "random erasing",
    "mixup": "mixup",
    "cutmix": "CutMix",
}
"""Names of keys of a training, or of its transform, that augment clips."""


@dataclass(frozen=True, slots=True)
class Definition:
    """A task or an arm in words. lines: a sentence each, without a full stop."""

    name: str
    lines: tuple[str, ...]


def task_definitions(transfer: Transfer) -> list[Definition]:
    """Return what each task trains and tests on, with numbers of clips.

    Tasks whose lists are gone are left out.
    """
    manifests = Manifests()
    found = (
        (task, _task_lines(transfer.data / "splits" / task, manifests)) for task in transfer.tasks
    )
    return [Definition(task, tuple(lines)) for task, lines in found if lines]


def _task_lines(folder: Path, manifests: Manifests) -> list[str]:
    source = _first(folder, ("source_only", "adapted"), "train.csv", manifests)
    test = _first(folder, ("source_only", "adapted", "target_only"), "test.csv", manifests)
    target = _first(folder, ("adapted",), "target.csv", manifests)
    oracle = _first(folder, ("target_only",), "train.csv", manifests)
    lines = []
    if source and test:
        lines.append(f"trained on {clips_of(source)}, tested on {_tested(test)}")
    elif source and target:
        lines.append(f"trained on {clips_of(source)}; the target has no test labels")
    if target:
        lines.append(f"adaptation may use {clips_of(target)} without labels")
    if oracle:
        lines.append(f"target-only training uses {clips_of(oracle)} with labels")
    return lines


def _first(
    folder: Path, settings: Sequence[str], name: str, manifests: Manifests
) -> Manifest | None:
    """Return a list of the first setting that has it, None where none does."""
    files = [folder / setting / name for setting in settings]
    return next((m for file in files if file.is_file() and (m := manifests.get(file))), None)


def clips_of(manifest: Manifest) -> str:
    """Return the numbers of a manifest's clips by domain and view, such as "9 real air clips"."""
    counts = Counter((clip.domain, clip.view) for clip in manifest.clips)
    parts = [" ".join([f"{n:,}", *filter(None, names)]) for names, n in counts.items()]
    return f"{listed(parts)} {'clip' if len(manifest) == 1 else 'clips'}"


def _tested(manifest: Manifest) -> str:
    subjects = {clip.subject for clip in manifest.clips if clip.subject}
    heights = sorted({c.altitude_m for c in manifest.clips if c.altitude_m is not None})
    text = clips_of(manifest)
    if subjects:
        text += f" of {len(subjects)} subject{'s' if len(subjects) > 1 else ''}"
    if heights:
        text += f" from {listed([f'{height:g}' for height in heights])} m"
    return text


def arm_definitions(found: FoundRuns) -> tuple[list[Definition], str]:
    """Return what the runs of each arm were trained on and how, and a line about all of them.

    Arms whose runs are gone are left out.
    """
    if found.transfer is None:
        return [], ""
    manifests, arms = Manifests(), []
    records: dict[str, dict[str, TrainingRecord]] = {}
    for row in found.transfer.everything.rows:
        known = {task: [found.trainings[p] for p in paths if p in found.trainings]
                 for task, paths in row.runs.items()}  # fmt: skip
        records[row.name] = {task: runs[0] for task, runs in known.items() if runs}
    each = [run for runs in records.values() for run in runs.values()]
    shared = _shared(each)
    for name, runs in records.items():
        texts = {task: _arm(run, shared, manifests) for task, run in runs.items()}
        if lines := list(_merged(texts)):
            arms.append(Definition(name, tuple(lines)))
    return arms, _all_arms(each, shared)


def _merged(texts: Mapping[str, tuple[str, tuple[int, ...]]]) -> Iterator[str]:
    """Yield a line for all tasks with equal texts; numbers that differ become a range.

    texts: by task, with {} for each number, and the numbers.
    """
    tasks: dict[str, list[str]] = {}
    for task, (text, _) in texts.items():
        tasks.setdefault(text, []).append(task)
    for text, names in tasks.items():
        numbers = zip(*(texts[name][1] for name in names), strict=True)
        line = text.format(*map(_range, numbers))
        yield line if len(tasks) == 1 else f"{', '.join(names)}: {line}"


def _range(numbers: Sequence[int]) -> str:
    low, high = min(numbers), max(numbers)
    return f"{low:,}" if low == high else f"{low:,} to {high:,}"


def _arm(
    run: TrainingRecord, shared: frozenset[str], manifests: Manifests
) -> tuple[str, tuple[int, ...]]:
    """Return the text of an arm on one task, with {} for numbers, and the numbers.

    shared: augmentations of all arms, which are not repeated.
    """
    content = run.record.content
    parts, numbers = [], []
    for path in map(Path, content.get("train") or ()):
        manifest = manifests.get(path)
        steps = derivation(path)
        if manifest is None:
            parts.append("clips that were moved or deleted")
            continue
        parts.append(_clips(kind_of(steps, manifests) if steps else _domains(manifest)))
        numbers.append(len(manifest))
    text = listed(parts)
    if weights := content.get("weights"):
        text += f", drawn {':'.join(f'{weight:g}' for weight in weights)}"
    own = [name for name in _augmentations(content) if name not in shared]
    if own:
        text += f"; augmented by {listed(own)}"
    if _adapts(run):
        method = content["method"]
        text += f"; then adapted by {_escaped(str(method.get('name', '')).replace('_', ' '))}"
        if target := manifests.get(Path(content["target"])):
            text += f" to {_clips(_domains(target))} without labels"
            numbers.append(len(target))
        if steps_done := _last_step(run):
            text += " in {} steps"
            numbers.append(steps_done)
    return text, tuple(numbers)


def _adapts(run: TrainingRecord) -> bool:
    """Return whether a run is of vidda adapt, on unlabeled target clips."""
    content = run.record.content
    return isinstance(content.get("method"), Mapping) and bool(content.get("target"))


def _domains(manifest: Manifest) -> str:
    return " and ".join(dict.fromkeys(clip.domain for clip in manifest.clips if clip.domain))


def _clips(kind: str) -> str:
    """Return "{} KIND clips" for `str.format`, which leaves the kind as it is."""
    return " ".join(filter(None, ["{}", _escaped(kind), "clips"]))


def _escaped(text: str) -> str:
    return text.replace("{", "{{").replace("}", "}}")


def _augmentations(content: Mapping[str, Any]) -> list[str]:
    transform = content.get("transform")
    keys = {**content, **(transform if isinstance(transform, Mapping) else {})}
    # An empty section is on, with its defaults.
    return [name for key, name in AUGMENTATIONS.items() if keys.get(key) not in (None, False, 0)]


def _shared(runs: Sequence[TrainingRecord]) -> frozenset[str]:
    each = [frozenset(_augmentations(run.record.content)) for run in runs]
    return frozenset.intersection(*each) if each else frozenset()


def _all_arms(runs: Sequence[TrainingRecord], shared: frozenset[str]) -> str:
    """Return a line about the recognizer, its clips, the steps and the augmentation of all arms."""
    contents = [run.record.content for run in runs]
    parts = [
        listed(_distinct(_value(content, "model", "name") for content in contents)),
        _counted("frames", (_value(content, "sampling", "frames") for content in contents)),
        _counted("pixels", (_value(content, "transform", "size") for content in contents)),
        _counted("steps of training", (_last_step(run) for run in runs if not _adapts(run))),
        f"augmented by {listed(sorted(shared))}" if shared else "",
    ]
    return ", ".join(filter(None, parts))


def _value(content: Mapping[str, Any], section: str, key: str) -> Any:
    part = content.get(section)
    return part.get(key) if isinstance(part, Mapping) else None


def _last_step(run: TrainingRecord) -> int | None:
    return max((int(p["step"]) for p in run.points if p["step"] is not None), default=None)


def _distinct(values: Iterable[Any]) -> list[str]:
    return list(dict.fromkeys(str(value) for value in values if value is not None))


def _counted(unit: str, values: Iterable[int | None]) -> str:
    known = [value for value in values if value is not None]
    return f"{_range(known)} {unit}" if known else ""
