"""Source, controls and translations of the same clips, as videos that play together."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from vidda import video
from vidda.data.choose_clips import choose, find_clips
from vidda.errors import ViddaError
from vidda.files import inside
from vidda.progress import track
from vidda.report.report_config import Gallery
from vidda.report.translations import Translation, worst_first
from vidda.types import ClipRecord, Manifest

CONTROLS = ("edges", "pose")
VIDEOS = "videos"
LOWEST_FPS = 1.0


@dataclass(frozen=True, slots=True)
class ShownMap:
    """One video of a clip. file: relative to the report; None where it is missing, `why` says."""

    name: str
    file: str | None
    why: str = ""


@dataclass(frozen=True, slots=True)
class ShownClip:
    """One clip in all its forms. note: why it was chosen."""

    id: str
    note: str
    videos: tuple[ShownMap, ...]


@dataclass(frozen=True, slots=True)
class Chosen:
    """The clips to show, and why each of them."""

    source: Manifest
    clips: tuple[tuple[ClipRecord, str], ...]


def choose_clips(config: Gallery, translations: Mapping[str, Translation]) -> Chosen:
    """Return the clips that are named, or some with the worst figures and others evenly over the
    list.

    Unless they are named, every translation has a result of them, and the worst are the last
    translation's. ViddaError where there are none, or the folder of controls is another one.
    """
    if config.control is not None and not (config.control / "clips").is_dir():
        raise ViddaError(
            f"gallery.control: {config.control} has no folder clips; give one that vidda control"
            " wrote"
        )
    source = find_clips(config.source)
    if config.clips:
        named = choose(source, config.clips, None).clips
        return Chosen(source, tuple((clip, "named in the config") for clip in named))
    known = [c for c in source.clips if all(c.id in t.clips for t in translations.values())]
    chosen = _chosen(config, known, translations)
    if not chosen:
        raise ViddaError(
            f"gallery: no clip to show: give in gallery.source what was translated"
            f" ({len(known)} of its {len(source)} clips are in every translation), and"
            " gallery.worst or gallery.spread above 0"
        )
    return Chosen(source, tuple(chosen))


def _chosen(
    config: Gallery, known: Sequence[ClipRecord], translations: Mapping[str, Translation]
) -> list[tuple[ClipRecord, str]]:
    by_id = {clip.id: clip for clip in known}
    worst: list[ClipRecord] = []
    name = [*translations][-1] if translations else ""
    if name:
        ranked = [one for one in worst_first(translations[name]) if one.path and one.id in by_id]
        worst = [by_id[one.id] for one in ranked[: config.worst]]
    rest = [clip for clip in known if clip not in worst]
    even = np.linspace(0, len(rest) - 1, min(config.spread, len(rest))).round().astype(int)
    chosen = [(clip, f"among the worst of “{name}”") for clip in worst]
    return chosen + [(rest[i], "one of an even choice") for i in dict.fromkeys(even.tolist())]


def sources(
    config: Gallery, source: Manifest, clip: ClipRecord, translations: Mapping[str, Translation]
) -> dict[str, Path | str]:
    """Where each form of a clip lies, or why there is none, by the name of its column."""
    found: dict[str, Path | str] = {"source": inside(source.root, clip.path)}
    if config.control is not None:
        folder = inside(config.control / "clips", clip.path)
        found |= {name: folder / f"{name}.mp4" for name in CONTROLS}
    for name, translation in translations.items():
        result = translation.clips.get(clip.id)
        if result is None:
            found[name] = "not translated"
        elif result.path is None:
            found[name] = "; ".join((result.status, *result.reasons))
        else:
            found[name] = inside(translation.path, result.path)
    missing = {
        name: "not there"
        for name, place in found.items()
        if isinstance(place, Path) and not place.is_file()
    }
    return found | missing


def write(
    config: Gallery, chosen: Chosen, translations: Mapping[str, Translation], out: Path
) -> list[ShownClip]:
    """Write the videos under OUT/videos, as H.264 that every browser plays.

    All videos of a clip end together, with the shortest of them.
    """
    shown = []
    clips = track(chosen.clips, label="gallery", total=len(chosen.clips), unit="clips")
    for number, (clip, note) in enumerate(clips):
        places = sources(config, chosen.source, clip, translations)
        shown.append(ShownClip(clip.id, note, _write_clip(config, number, places, out)))
    return shown


def _write_clip(
    config: Gallery, number: int, places: Mapping[str, Path | str], out: Path
) -> tuple[ShownMap, ...]:
    there = {name: place for name, place in places.items() if isinstance(place, Path)}
    problems = {name: place for name, place in places.items() if isinstance(place, str)}
    infos = {}
    for name, place in there.items():
        try:
            infos[name] = video.probe(place)
        except ViddaError as error:
            problems[name] = str(error)
    seconds = [i.frames / i.fps for i in infos.values() if i.fps]
    length = min([config.seconds, *seconds])
    videos = []
    for column, name in enumerate(places):
        if name in infos:
            info = infos[name]
            fps = info.fps or LOWEST_FPS
            frames = max(1, min(info.frames, round(length * fps)))
            size = _even(info.height, info.width, config.height)
            file = f"{VIDEOS}/{number:03d}_{column}.mp4"
            pictures = video.read(there[name], np.arange(frames), size)
            video.write(out / file, pictures, fps, crf=23)
            videos.append(ShownMap(name, file))
        else:
            videos.append(ShownMap(name, None, problems[name]))
    return tuple(videos)


def _even(height: int, width: int, wanted: int) -> tuple[int, int]:
    """Return the size at the same shape and at most the wanted height; even, as 4:2:0 has to be."""
    scale = min(1.0, wanted / height)
    return max(2, 2 * round(height * scale / 2)), max(2, 2 * round(width * scale / 2))
