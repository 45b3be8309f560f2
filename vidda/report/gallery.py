"""Source, controls and translations of the same clips, as videos that play together."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from vidda import video
from vidda.data.choose_clips import find_clips, select_clips
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
class GalleryVideo:
    """One video of a clip.

    name: of its column. file: path relative to the report, None where there is none. reason: why
    there is none.
    """

    name: str
    file: str | None
    reason: str = ""


@dataclass(frozen=True, slots=True)
class GalleryClip:
    """The videos of one clip: source, controls, translations.

    id: the clip's. note: why it was chosen.
    """

    id: str
    note: str
    videos: tuple[GalleryVideo, ...]


@dataclass(frozen=True, slots=True)
class ChosenClips:
    """Clips to show.

    source: the manifest that they are in. clips: each with the reason for its choice.
    """

    source: Manifest
    clips: tuple[tuple[ClipRecord, str], ...]


def choose_clips(config: Gallery, translations: Mapping[str, Translation]) -> ChosenClips:
    """Choose the clips that the config names, or some evenly over the list and the worst ones.

    The worst are those of the last translation. Clips that the config does not name have a result
    in every translation of clips of the source. Raises ViddaError if there are none, or if
    gallery.control is no folder of vidda control.
    """
    if config.control is not None and not (config.control / "clips").is_dir():
        raise ViddaError(
            f"gallery.control: {config.control} has no folder clips; give one that vidda control"
            " wrote"
        )
    source = find_clips(config.source)
    if config.clips:
        named = select_clips(source, config.clips, None).clips
        return ChosenClips(source, tuple((clip, "named in the config") for clip in named))
    translations = translations_of(source, translations)
    known = [c for c in source.clips if all(c.id in t.clips for t in translations.values())]
    chosen = _chosen(config, known, translations)
    if not chosen:
        raise ViddaError(
            f"gallery: no clip to show: give in gallery.source what was translated"
            f" ({len(known)} of its {len(source)} clips are in every translation), and"
            " gallery.worst or gallery.spread above 0"
        )
    return ChosenClips(source, tuple(chosen))


def translations_of(
    source: Manifest, translations: Mapping[str, Translation]
) -> Mapping[str, Translation]:
    """Return the translations of clips of a source, or all where none is.

    A translation of another source, such as another view or randomized clips, has none of them.
    """
    shown = {
        name: translation
        for name, translation in translations.items()
        if any(clip.id in translation.clips for clip in source.clips)
    }
    return shown or translations


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
    chosen = [(rest[i], "one of an even choice") for i in dict.fromkeys(even.tolist())]
    return chosen + [(clip, f"among the worst of “{name}”") for clip in worst]


def clip_files(
    config: Gallery, source: Manifest, clip: ClipRecord, translations: Mapping[str, Translation]
) -> dict[str, Path | str]:
    """Return the file of each video of a clip, or why there is none, by the name of its column.

    translations: by the name of their column. A file is a path, a reason text.
    """
    found: dict[str, Path | str] = {"source": inside(source.root, clip.path)}
    if config.control is not None:
        folder = inside(config.control / "clips", clip.path)
        found |= {name: folder / f"{name}.mp4" for name in CONTROLS}
        if (flow := folder / "flow.mp4").is_file():  # vidda control makes it on request alone
            found["flow"] = flow
    for name, translation in translations.items():
        result = translation.clips.get(clip.id)
        if result is None:
            found[name] = "not translated"
        elif result.path is None:
            found[name] = "; ".join((result.status, *result.reasons))
        else:
            found[name] = inside(translation.path, result.path)
    missing = {
        name: "file not found"
        for name, file in found.items()
        if isinstance(file, Path) and not file.exists()
    }
    return found | missing


def write(
    config: Gallery, chosen: ChosenClips, translations: Mapping[str, Translation], out: Path
) -> list[GalleryClip]:
    """Write the videos of the chosen clips to OUT/videos, as H.264 that every browser plays.

    translations: by the name of their column. All videos of a clip end together, with the shortest
    of them.
    """
    written = []
    translations = translations_of(chosen.source, translations)
    clips = track(chosen.clips, label="gallery", total=len(chosen.clips), unit="clips")
    for number, (clip, note) in enumerate(clips):
        files = clip_files(config, chosen.source, clip, translations)
        written.append(GalleryClip(clip.id, note, write_clip(config, f"{number:03d}", files, out)))
    return written


def write_clip(
    config: Gallery, name: str, files: Mapping[str, Path | str], out: Path
) -> tuple[GalleryVideo, ...]:
    """Write the videos of one clip to OUT/videos, all of the duration of the shortest.

    config: for height and seconds. name: beginning of the files' names. files: of each video, or
    the reason why there is none, by the name of its column.
    """
    paths = {head: file for head, file in files.items() if isinstance(file, Path)}
    problems = {head: file for head, file in files.items() if isinstance(file, str)}
    infos = {}
    for head, path in paths.items():
        try:
            infos[head] = video.probe(path)
        except ViddaError as error:
            problems[head] = str(error)
    seconds = [i.frames / i.fps for i in infos.values() if i.fps]
    length = min([config.seconds, *seconds])
    videos = []
    for column, head in enumerate(files):
        if head in infos:
            info = infos[head]
            fps = info.fps or LOWEST_FPS
            count = max(1, min(info.frames, round(length * fps)))
            size = _even_size(info.height, info.width, config.height)
            file = f"{VIDEOS}/{name}_{column}.mp4"
            frames = video.read(paths[head], np.arange(count), size)
            video.write(out / file, frames, fps, crf=23)
            videos.append(GalleryVideo(head, file))
        else:
            videos.append(GalleryVideo(head, None, problems[head]))
    return tuple(videos)


def _even_size(height: int, width: int, wanted: int) -> tuple[int, int]:
    """Return the even (height, width) of at most the wanted height, with the same aspect ratio.

    4:2:0 video needs even sizes.
    """
    scale = min(1.0, wanted / height)
    return max(2, 2 * round(height * scale / 2)), max(2, 2 * round(width * scale / 2))
