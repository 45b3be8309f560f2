"""Folders of frames in a dataset: which folders are one clip each, and their place in its files."""

from collections.abc import Callable, Container, Iterable, Sequence
from pathlib import Path, PurePosixPath

from vidda.data.listing import IMAGES, VIDEOS, Tree, suffix


def is_clip(path: Path) -> bool:
    """Return whether a path is a file, or a folder that holds images."""
    try:
        return path.is_file() or any(suffix(file.name) in IMAGES for file in path.iterdir())
    except (OSError, ValueError):  # nothing is there, or no file can have the name
        return False


def fold_frames(
    paths: Sequence[str], base: str, is_class: Callable[[str], bool] = lambda folder: True
) -> list[str]:
    """Return the paths of clips, folders of images in place of their images.

    paths: of videos and images. base: start of the paths, before the class folder. is_class:
    whether a folder right below `base`, by its name, is of a class: its images are clips of one
    frame. The images of any deeper folder are the frames of one clip, unless videos are beside
    them.
    """
    with_videos = {_folder(path) for path in paths if suffix(path) in VIDEOS}
    found: dict[str, None] = {}
    for path in paths:
        folders = path.removeprefix(base).split("/")[:-1]
        deep = len(folders) > 1 or (len(folders) == 1 and not is_class(folders[0]))
        frame = deep and suffix(path) in IMAGES and _folder(path) not in with_videos
        found[_folder(path) if frame else path] = None
    return list(found)


def with_frame_folders(tree: Tree, clips: Iterable[str]) -> Tree:
    """Return the files of a dataset with the folders of frames that are clips, not their frames.

    tree: files. clips: paths of all clips, of files too. A folder has the size of its files in all,
    and the time of the latest.
    """
    folders = {path for path in clips if path not in tree}
    if not folders:
        return tree
    found: Tree = {}
    for path, (size, time) in tree.items():
        folder = _folder(path)
        if folder in folders and suffix(path) in IMAGES:
            total, latest = found.get(folder, (0, 0))
            found[folder] = (total + size, max(latest, time))
        else:
            found[path] = (size, time)
    return found


def frame_folder_note(clips: Sequence[str], files: Container[str]) -> str | None:
    """Return a note on the clips that are folders of images, None if there are none."""
    folders = [path for path in clips if path not in files]
    if not folders:
        return None
    return f"{len(folders)} folders of images are a clip each, first {folders[0]}"


def _folder(path: str) -> str:
    return PurePosixPath(path).parent.as_posix()
