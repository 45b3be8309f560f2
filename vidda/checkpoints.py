"""Numbered checkpoint folders: each whole or absent, the newest few kept, some named by links.

FOLDER/000500/contents.json   size and SHA-256 of every other file in it, and which other checkpoint
                              it needs
"""

import json
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from vidda.errors import ViddaError
from vidda.files import atomic_folder, sha256, write_text

CONTENTS = "contents.json"


class Checkpoints:
    """The folder `checkpoints/` of a run: 000500/, 001000/, last -> 001000.

    last_step: the step of the newest checkpoint, None before the first. Opening the folder repairs
    whatever a process killed at any instant has left; `discard_damaged` removes what was damaged
    afterwards.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        for leftover in folder.glob(".*.part"):
            leftover.unlink() if leftover.is_symlink() else shutil.rmtree(leftover)
        self.last_step: int | None = None
        self._find_last()

    @contextmanager
    def save(self, step: int, keep: int, needs: int | None = None) -> Iterator[Path]:
        """Yield an empty folder to fill; afterwards it is `<step>/`, whole, and `last` names it.

        step: above the last one. keep: how many of the newest stay, at least 1; those that `link`
        has named stay too. needs: the step of the checkpoint without which this one is of no use.
        """
        if self.last_step is not None and step <= self.last_step:
            raise ValueError(f"checkpoint {step} is not after checkpoint {self.last_step}")
        with atomic_folder(self.path(step)) as folder:
            yield folder
            _write_contents(folder, needs)
        self.last_step = step
        self.link("last", step)
        self.prune(keep)

    def prune(self, keep: int) -> None:
        """Delete all but the newest `keep` checkpoints and those that `link` has named.

        `save` calls it; a process killed in between has not, so a run calls it again at its end.
        """
        linked = {p.readlink().name for p in self.folder.iterdir() if p.is_symlink()}
        for old in sorted(self._steps())[:-keep]:
            if self.path(old).name not in linked:
                self._remove(old)

    def link(self, name: str, step: int) -> None:
        """Point the link `name` to the checkpoint of `step`, instead of where it pointed before.

        A process killed right after `save` has not called it: link again after a resume.
        """
        link = self.folder / name
        if link.is_dir() and not link.is_symlink():
            shutil.rmtree(link)  # a copy of the run, made by a program that follows links
        temporary = self.folder / f".{name}.part"
        temporary.symlink_to(self.path(step).name)
        temporary.replace(link)

    def find_damaged(self) -> dict[int, str]:
        """Return, by step, what is wrong with each checkpoint that is damaged or needs one that is.

        Raises ViddaError where a file is there but cannot be read.
        """
        found: dict[int, str] = {}
        steps = sorted(self._steps())
        for step in steps:
            problem, needs = _examine(self.path(step))
            if not problem and needs is not None and (needs in found or needs not in steps):
                problem = f"needs {self.path(needs).name}, which is damaged or gone"
            if problem:
                found[step] = f"{self.path(step)}: {problem}"
        return found

    def discard_damaged(self) -> list[str]:
        """Remove the checkpoints that `find_damaged` finds, so that the newest one is intact.

        Returns a line for each of them, and one that states where the run resumes; none where all
        are intact.
        """
        found = self.find_damaged()
        for step in found:
            self._remove(step)
        if not found:
            return []
        self._find_last()
        for link in self.folder.iterdir():
            if link.is_symlink() and not link.exists():
                link.unlink()
        if self.last_step is None:
            return [*found.values(), "no checkpoint is intact: the run starts again"]
        return [*found.values(), f"resuming from checkpoint {self.path(self.last_step).name}"]

    def path(self, step: int) -> Path:
        """Return the folder of a checkpoint."""
        return self.folder / f"{step:06d}"

    def _find_last(self) -> None:
        self.last_step = max(self._steps(), default=None)
        if self.last_step is not None:
            self.link("last", self.last_step)

    def _steps(self) -> list[int]:
        """Return the steps of the folders named exactly like a checkpoint, not "000500 (copy)"."""
        named = (path for path in self.folder.glob("[0-9]*") if re.fullmatch(r"\d+", path.name))
        return [step for path in named if self.path(step := int(path.name)).name == path.name]

    def _remove(self, step: int) -> None:
        """Delete a checkpoint so that a kill half way leaves nothing that looks like one."""
        doomed = self.folder / f".{self.path(step).name}.part"
        self.path(step).rename(doomed)
        shutil.rmtree(doomed)


def _write_contents(folder: Path, needs: int | None) -> None:
    """Write contents.json: size and SHA-256 of the other files. Called after they are written."""
    files = {
        path.relative_to(folder).as_posix(): {"bytes": path.stat().st_size, "sha256": sha256(path)}
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }
    write_text(folder / CONTENTS, json.dumps({"needs": needs, "files": files}, indent=1) + "\n")


def _examine(folder: Path) -> tuple[str, int | None]:
    """Return what is wrong with a checkpoint's folder ("" if nothing), and the step that it needs.

    Raises ViddaError where a file is there but cannot be read: then the disk fails, not the file.
    """
    try:
        content = json.loads((folder / CONTENTS).read_text(encoding="utf-8"))
        needs, files = content["needs"], content["files"]
        known = {name: (facts["bytes"], facts["sha256"]) for name, facts in files.items()}
    except (FileNotFoundError, NotADirectoryError):
        return f"{CONTENTS} is missing", None
    except (ValueError, KeyError, TypeError, AttributeError):
        return f"{CONTENTS} is damaged", None
    except OSError as error:
        raise ViddaError(f"{folder / CONTENTS}: cannot be read: {error.strerror}") from None
    for name, (size, digest) in known.items():
        file = folder / name
        if not file.is_file():
            return f"{name} is missing", needs
        if file.stat().st_size != size:
            return f"{name} is damaged ({file.stat().st_size} of {size} bytes)", needs
        if sha256(file) != digest:
            return f"{name} is damaged (its content is not what was written)", needs
    return "", needs
