"""A job's data before it runs: its clips and classes, and weights that are missing."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from vidda.config import Config
from vidda.data.manifest import load_manifest
from vidda.data.survey import Survey
from vidda.errors import ViddaError
from vidda.experiment.stage import Stage
from vidda.files import BUILTIN
from vidda.recognize.videomae_start import VideoMaeHub
from vidda.types import Manifest
from vidda.weights import Hub

Parts = Mapping[str, Mapping[str, Manifest]]
"""The clips of each part, such as train, of each experiment, by `TASK/SETTING`."""


def read_parts(known: Survey, prepared: Path, tasks: Sequence[str]) -> Parts:
    """Return the clips of the experiments of a job.

    known: the experiments of the data. prepared: folder of vidda prepare. Empty where the data are
    not there yet.
    """
    found: dict[str, dict[str, Manifest]] = {}
    for name, experiment in known.experiments.items():
        if name.partition("/")[0] not in tasks:
            continue
        for part, members in experiment.parts.items():
            file = prepared / "splits" / name / f"{part}.csv"
            if known.listing is not None:
                listing = known.listing
                clips = tuple(listing.clips[path] for path in listing.lists.get(members, ()))
                one = Manifest(listing.root, listing.classes, clips)
            elif file.is_file():
                one = load_manifest(file)
            else:
                continue
            found.setdefault(name, {})[part] = one
    return found


def by_file(parts: Parts, prepared: Path) -> dict[Path, Manifest]:
    """Return the clips of each manifest that vidda prepare writes of the parts.

    prepared: its folder.
    """
    return {
        prepared / "splits" / name / f"{part}.csv": manifest
        for name, manifests in parts.items()
        for part, manifest in manifests.items()
    }


def describe_parts(parts: Parts) -> list[str]:
    """Return lines on the classes, and on the clips of each part."""
    if not parts:
        return ["clips: not known until the data are there"]
    first = next(iter(next(iter(parts.values())).values()))
    lines = [f"{len(first.classes)} classes: {', '.join(first.classes)}"]
    for name, manifests in parts.items():
        counts = [f"{part} {len(manifest)}" for part, manifest in manifests.items()]
        lines.append(f"clips of {name}: {', '.join(counts)}")
    return lines


def missing_weights(stages: Sequence[Stage], out: Path) -> list[str]:
    """Return a line for each file or repository of weights that is not on this machine.

    out: folder of the job, whose files the stages make.
    """
    made = [out.absolute(), *(stage.out.absolute() for stage in stages)]
    found: dict[str, list[str]] = {}
    for stage in stages:
        # vidda prepare needs no weights, and names its data relative to its root.
        if stage.command == "prepare":
            continue
        for line in _absent(stage.config, made, top=True):
            found.setdefault(line, []).append(stage.title)
    return [f"missing: {line}, for {titles[0]}" for line, titles in found.items()]


def _absent(value: object, made: Sequence[Path], *, top: bool = False) -> Iterator[str]:
    """Yield what a config names that is not here; of the top level only what is below it.

    The paths of the top level are data and results, which stages make.
    """
    if isinstance(value, Hub | VideoMaeHub):
        if not _in_hub_cache(value):
            yield f"{value.repo} of the hub, which is downloaded if its key download is true"
    elif isinstance(value, Config):
        for _, inner in value:
            if not (top and isinstance(inner, Path)):
                yield from _absent(inner, made)
    elif isinstance(value, tuple) and not top:
        for inner in value:
            yield from _absent(inner, made)
    elif isinstance(value, Path) and not value.as_posix().startswith(BUILTIN):
        whole = value.absolute()
        if not whole.exists() and not any(whole.is_relative_to(one) for one in made):
            yield str(value)


def _in_hub_cache(source: Hub | VideoMaeHub) -> bool:
    try:
        if isinstance(source, VideoMaeHub):
            source.model_copy(update={"download": False}).find()
        else:
            source.find("", ["*"], download=False)
    except ViddaError:
        return False
    return True
