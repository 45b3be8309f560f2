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

    last_step: the step of the newest checkpoint, None before the first. Opening it puts right
    whatever a process killed at any instant has left; `go_back` what was damaged afterwards.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        for rest in folder.glob(".*.part"):
            rest.unlink() if rest.is_symlink() else shutil.rmtree(rest)
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
        place = self.folder / name
        if place.is_dir() and not place.is_symlink():
            shutil.rmtree(place)  # a copy of the run, made by a program that follows links
        temporary = self.folder / f".{name}.part"
        temporary.symlink_to(self.path(step).name)
        temporary.replace(place)

    def damage(self) -> dict[int, str]:
        """What is wrong with each checkpoint that is damaged or needs one that is, by step."""
        found: dict[int, str] = {}
        steps = sorted(self._steps())
        for step in steps:
            problem, needs = _examine(self.path(step))
            if not problem and needs is not None and (needs in found or needs not in steps):
                problem = f"needs {self.path(needs).name}, which is damaged or gone"
            if problem:
                found[step] = f"{self.path(step)}: {problem}"
        return found

    def go_back(self) -> list[str]:
        """Remove what `damage` finds, so that the newest checkpoint is sound; a line for each."""
        found = self.damage()
        for step in found:
            self._remove(step)
        if not found:
            return []
        self._find_last()
        for link in self.folder.iterdir():
            if link.is_symlink() and not link.exists():
                link.unlink()
        if self.last_step is None:
            return [*found.values(), "no checkpoint is sound: the run starts again"]
        return [*found.values(), f"goes back to checkpoint {self.path(self.last_step).name}"]

    def path(self, step: int) -> Path:
        """Return the folder of a checkpoint."""
        return self.folder / f"{step:06d}"

    def _find_last(self) -> None:
        self.last_step = max(self._steps(), default=None)
        if self.last_step is not None:
            self.link("last", self.last_step)

    def _steps(self) -> list[int]:
        """Return those of the folders whose name is exactly a checkpoint's: "000500 (copy)" is
        none.
        """
        named = (path for path in self.folder.glob("[0-9]*") if re.fullmatch(r"\d+", path.name))
        return [step for path in named if self.path(step := int(path.name)).name == path.name]

    def _remove(self, step: int) -> None:
        """Delete a checkpoint; killed half way, what is left must not look like a whole one."""
        doomed = self.folder / f".{self.path(step).name}.part"
        self.path(step).rename(doomed)
        shutil.rmtree(doomed)


def _write_contents(folder: Path, needs: int | None) -> None:
    """Write down what is in a checkpoint's folder, after everything else."""
    files = {
        path.relative_to(folder).as_posix(): {"bytes": path.stat().st_size, "sha256": sha256(path)}
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }
    write_text(folder / CONTENTS, json.dumps({"needs": needs, "files": files}, indent=1) + "\n")


def _examine(folder: Path) -> tuple[str, int | None]:
    """What is wrong with a checkpoint's folder, or nothing; and the step that it needs.

    Raises ViddaError where a file is there and cannot be read: the disk fails, not the file.
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
