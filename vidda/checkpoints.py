"""Numbered checkpoint folders: each whole or absent, the newest few kept, some named by links."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from vidda.files import atomic_folder


class Checkpoints:
    """The folder `checkpoints/` of a run: 000500/, 001000/, last -> 001000.

    last_step: the step of the newest whole checkpoint, None before the first.
    Opening it puts right whatever a process killed at any instant has left.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        for rest in folder.glob(".*.part"):
            rest.unlink() if rest.is_symlink() else shutil.rmtree(rest)
        self.last_step = max(self._steps(), default=None)
        if self.last_step is not None:
            self.link("last", self.last_step)

    @contextmanager
    def save(self, step: int, keep: int) -> Iterator[Path]:
        """Yield an empty folder to fill; afterwards it is `<step>/`, whole, and `last` names it.

        step: above the last one. keep: how many of the newest stay, at least 1; those that `link`
        has named stay too.
        """
        if self.last_step is not None and step <= self.last_step:
            raise ValueError(f"checkpoint {step} is not after checkpoint {self.last_step}")
        with atomic_folder(self.path(step)) as folder:
            yield folder
        self.last_step = step
        self.link("last", step)
        self.prune(keep)

    def prune(self, keep: int) -> None:
        """Delete all but the newest `keep` checkpoints and those that `link` has named.

        `save` does it; a process killed in between has not, so it is done again at a run's end.
        """
        linked = {p.readlink().name for p in self.folder.iterdir() if p.is_symlink()}
        for old in sorted(self._steps())[:-keep]:
            if self.path(old).name not in linked:
                self._remove(old)

    def link(self, name: str, step: int) -> None:
        """Let `name` stand for a checkpoint, in place of the one that it stood for.

        A process killed right after `save` has not come here: link again after a resume.
        """
        temporary = self.folder / f".{name}.part"
        temporary.symlink_to(self.path(step).name)
        temporary.replace(self.folder / name)

    def path(self, step: int) -> Path:
        """The folder of a checkpoint."""
        return self.folder / f"{step:06d}"

    def _steps(self) -> list[int]:
        return [int(path.name) for path in self.folder.glob("[0-9]*")]

    def _remove(self, step: int) -> None:
        """Delete a checkpoint; killed half way, what is left must not look like a whole one."""
        doomed = self.folder / f".{self.path(step).name}.part"
        self.path(step).rename(doomed)
        shutil.rmtree(doomed)
