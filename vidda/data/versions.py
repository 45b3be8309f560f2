"""Versions of clips, made in parallel processes: how a manifest becomes another one, model or not.

OUT/videos/   <path>.mp4, and <path>.1.mp4 ... for further copies; .png for an image

A video is written last of what belongs to a version, and is what a resumed job goes by.
"""

import os
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

from vidda.data.listing import IMAGES
from vidda.errors import ViddaError
from vidda.files import discard_partial, inside
from vidda.progress import track
from vidda.types import ClipRecord, Manifest
from vidda.workers import Spawning, start_worker

VIDEOS = "videos"
CHUNK = 8
"""Most versions that a process is given at a time."""


@dataclass(frozen=True, slots=True)
class Version:
    """One video to make. copy: its number, from 0. place: under OUT."""

    clip: ClipRecord
    copy: int
    place: str

    def record(self, name: str, *, domain: str, sidecar: str = "") -> ClipRecord:
        """The version's record, `<clip>@<name>`, `<clip>@<name>.1`, ...: the rest is the source's.

        sidecar: its own, under OUT; the source's does not lie there.
        """
        meta = {key: value for key, value in self.clip.meta.items() if key != "sidecar"}
        if sidecar:
            meta["sidecar"] = sidecar
        return replace(
            self.clip,
            id=f"{self.clip.id}@{name}{f'.{self.copy}' if self.copy else ''}",
            path=self.place,
            domain=domain,
            parent_id=self.clip.id,
            meta=meta,
        )


def versions_of(manifest: Manifest, copies: int) -> list[Version]:
    """All versions, clip by clip. copies: of every clip, at least 1."""
    return [
        Version(clip, copy, _place(clip, copy)) for clip in manifest.clips for copy in range(copies)
    ]


def clashes(versions: Sequence[Version], manifest: Path) -> list[str]:
    """Versions that would be written to one place, a line each. manifest: the clips' file."""
    places = Counter(version.place for version in versions)
    return [
        f"{manifest}: two clips would both become {place}; leave one of them out"
        for place, count in sorted(places.items())
        if count > 1
    ]


def missing(versions: Sequence[Version], out: Path) -> list[Version]:
    """Those that are not under `out` yet."""
    return [version for version in versions if not inside(out, version.place).exists()]


def make_all(
    versions: Sequence[Version],
    out: Path,
    write: Callable[[Version], None],
    *,
    jobs: int,
    label: str,
) -> None:
    """Make the missing versions in parallel, with progress.

    write: makes one and writes it under `out`, its video last; it can be sent to another process.
    jobs: processes; 0 takes one for each core. Raises what `write` raises, and ViddaError when a
    process was killed.
    """
    discard_partial(out)
    waiting = missing(versions, out)
    done = len(versions) - len(waiting)
    made = _made(waiting, write, jobs)
    for _ in track(made, label=label, total=len(versions), unit="clips", done=done):
        pass


def _place(clip: ClipRecord, copy: int) -> str:
    path = PurePosixPath(clip.path)
    suffix = ".png" if path.suffix.lower() in IMAGES else ".mp4"
    # The suffix stays in the name unless it is usual: x.avi and x.mp4 are two clips.
    stem = path.with_suffix("") if path.suffix == suffix else path
    return f"{VIDEOS}/{stem}{f'.{copy}' if copy else ''}{suffix}"


def _made(
    versions: Sequence[Version], write: Callable[[Version], None], jobs: int
) -> Iterator[None]:
    """Make versions; yields once for each."""
    workers = min(jobs or os.cpu_count() or 1, len(versions))
    if workers <= 1:
        # Starting a process takes longer than making a few versions.
        for version in versions:
            write(version)
            yield
        return
    size = min(CHUNK, -(-len(versions) // workers))
    chunks = [versions[at : at + size] for at in range(0, len(versions), size)]
    context = Spawning()
    with ProcessPoolExecutor(workers, mp_context=context, initializer=start_worker) as pool:
        pending = [pool.submit(_write_all, write, chunk) for chunk in chunks]
        try:
            for future in as_completed(pending):
                yield from [None] * future.result()
        except BrokenProcessPool:
            raise ViddaError(
                "a process was killed, perhaps for lack of memory; the same command with --resume"
                " and a smaller jobs=N goes on"
            ) from None
        finally:
            pool.shutdown(cancel_futures=True)


def _write_all(write: Callable[[Version], None], versions: Sequence[Version]) -> int:
    """Write these versions; how many."""
    for version in versions:
        write(version)
    return len(versions)
