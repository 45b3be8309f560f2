"""Versions of clips, made in parallel processes: how a manifest becomes another one, model or not.

OUT/videos/    <path>.mp4, and <path>.1.mp4 ... for further copies; .png for an image
OUT/records/   what was written of each, see `vidda.data.derived`: what a resumed job goes by
OUT/manifest.csv
"""

import os
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, replace
from pathlib import Path

from vidda.data import derived
from vidda.data.derived import DerivedFiles, video_path
from vidda.data.manifest import DATASET, save_manifest
from vidda.errors import ViddaError
from vidda.progress import track
from vidda.run import RunFolder
from vidda.types import ClipRecord, Manifest
from vidda.workers import WorkerSpawnContext, start_worker

MANIFEST = "manifest.csv"
CHUNK = 8
"""Most versions that a process is given at a time."""


@dataclass(frozen=True, slots=True)
class Version:
    """One video to make. copy: its number, from 0. place: under OUT."""

    clip: ClipRecord
    copy: int
    place: str

    def record(self, name: str, *, domain: str, sidecar: str = "") -> ClipRecord:
        """Return the version's record, `<clip>@<name>`, `<clip>@<name>.1`, ...: the rest is the
        source's.

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


Write = Callable[[Version, Path], tuple[str, ...]]
"""Writes a version's video to a path; returns what else it has written, relative to OUT."""


def plan_versions(manifest: Manifest, copies: int) -> list[Version]:
    """Return all versions, clip by clip. copies: of every clip, at least 1."""
    return [
        Version(clip, copy, video_path(clip, copy))
        for clip in manifest.clips
        for copy in range(copies)
    ]


def path_clashes(versions: Sequence[Version], manifest: Path) -> list[str]:
    """Versions that would be written to one place, a line each. manifest: the clips' file."""
    places = Counter(version.place for version in versions)
    return [
        f"{manifest}: two clips would both become {place}; leave one of them out"
        for place, count in sorted(places.items())
        if count > 1
    ]


def missing(versions: Sequence[Version], out: Path) -> list[Version]:
    """Return those that are not whole under `out`."""
    return derived.missing(out, versions, lambda one: (one.place, one.clip.id))


def manifest_written(out: Path) -> bool:
    """Return whether the manifest is as `write_all` wrote it."""
    return derived.finished_record(out, MANIFEST, MANIFEST) is not None


def write_all(
    versions: Sequence[Version],
    waiting: Sequence[Version],
    classes: tuple[str, ...],
    folder: RunFolder,
    write: Write,
    record: Callable[[Version, DerivedFiles], ClipRecord],
    *,
    jobs: int,
    label: str,
) -> int:
    """Make the waiting versions in parallel, then the manifest of all; 0 when finished, else 1.

    write: makes one; it can be sent to another process. record: the row of one, given what was
    written of it. jobs: processes; 0 takes one for each core. Raises what `write` raises, and
    ViddaError when a process was killed.
    """
    out = folder.path
    finished = len(versions) - len(waiting)
    done = _made(waiting, write, out, jobs)
    for _ in track(done, label=label, total=len(versions), unit="clips", done=finished):
        pass
    found = [
        derived.finished_record(out, one.place, one.clip.id, content=False) for one in versions
    ]
    rows = tuple(
        record(version, made)
        for version, made in zip(versions, found, strict=True)
        if made is not None
    )
    if len(rows) < len(versions):
        lost = len(versions) - len(rows)
        print(
            f"{lost} of {len(versions)} videos were lost while others were made; {folder.remedy()}"
        )
        return 1
    save_manifest(Manifest(out.absolute(), classes, rows), out / MANIFEST)
    files = derived.describe_files(out, [MANIFEST, DATASET])
    DerivedFiles(id=MANIFEST, files=files).write(derived.record_path(out, MANIFEST))
    folder.finish()
    print(f"written: {out / MANIFEST}")
    return 0


def _made(versions: Sequence[Version], write: Write, out: Path, jobs: int) -> Iterator[None]:
    """Make versions; yields once for each."""
    workers = min(jobs or os.cpu_count() or 1, len(versions))
    if workers <= 1:
        # Starting a process takes longer than making a few versions.
        for version in versions:
            _make(write, out, version)
            yield
        return
    size = min(CHUNK, -(-len(versions) // workers))
    chunks = [versions[at : at + size] for at in range(0, len(versions), size)]
    context = WorkerSpawnContext()
    with ProcessPoolExecutor(workers, mp_context=context, initializer=start_worker) as pool:
        pending = [pool.submit(_make_all, write, out, chunk) for chunk in chunks]
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


def _make_all(write: Write, out: Path, versions: Sequence[Version]) -> int:
    """Make these versions; how many."""
    for version in versions:
        _make(write, out, version)
    return len(versions)


def _make(write: Write, out: Path, version: Version) -> None:
    derived.derive_file(out, version.place, version.clip.id, lambda place: write(version, place))
