"""The clips that a command works on: those of a manifest, of a folder, or one video."""

import sys
from fnmatch import fnmatchcase
from pathlib import Path

from vidda.data.listing import left_out_note, split_media, walk
from vidda.data.manifest import load_manifest
from vidda.errors import ViddaError
from vidda.types import ClipRecord, Manifest


def find_clips(path: Path) -> Manifest:
    """Return the clips of a manifest, of a folder (and those below it), or of a single video.

    path: a manifest's CSV, a folder with or without manifest.csv, or a video. Other files of a
    folder are reported on standard error; hidden files are skipped. Clips without a manifest have
    their path as id and no label. Raises ViddaError when there are none.
    """
    if path.suffix.lower() == ".csv" or (path / "manifest.csv").is_file():
        found = load_manifest(path)
    elif path.is_dir():
        names, others = split_media(walk(path))
        if not names:
            raise ViddaError(
                f"{path}: holds no video{left_out_note(others)};"
                " give a folder of videos, or one video"
            )
        if others:
            print(f"note: {path}{left_out_note(others)}", file=sys.stderr)
        found = _unlisted(path, names)
    elif path.is_file():
        found = _unlisted(path.parent, [path.name])
    else:
        raise ViddaError(f"{path}: no such file or folder; give a video, a folder or a manifest")
    if not found.clips:
        raise ViddaError(f"{path}: no clips in it; give a manifest with clips")
    return found


def select_clips(manifest: Manifest, patterns: tuple[str, ...], limit: int | None) -> Manifest:
    """Return clips whose ids match one of the patterns, at most `limit`, in the manifest's order.

    patterns: with wildcards as of file names; none selects every clip. limit: most clips, evenly
    spaced over those that match, since manifests are often sorted by class; None for no limit.
    Raises ViddaError, a line each, for patterns that match no clip.
    """
    ids = [clip.id for clip in manifest.clips]
    problems = [
        f"clips: no clip's id matches {pattern!r}, the first id is {ids[0]!r}"
        for pattern in patterns
        if not any(fnmatchcase(name, pattern) for name in ids)
    ]
    if problems:
        raise ViddaError("\n".join(problems))
    kept = [
        clip
        for clip in manifest.clips
        if not patterns or any(fnmatchcase(clip.id, pattern) for pattern in patterns)
    ]
    count = len(kept) if limit is None else min(limit, len(kept))
    spaced = tuple(kept[number * len(kept) // count] for number in range(count))
    return Manifest(manifest.root, manifest.classes, spaced)


def _unlisted(root: Path, files: list[str]) -> Manifest:
    return Manifest(root, (), tuple(ClipRecord(file, file, None, "", "") for file in files))
