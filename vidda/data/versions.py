"""Versions of a manifest's clips, made in parallel processes, and the manifest of them.

OUT/videos/    <path>.mp4, and <path>.1.mp4 ... for further copies; .png for an image
OUT/records/   size and hash of each, by which a resumed job finds what is done; see `derived`
OUT/manifest.csv
"""

import os
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated

from pydantic import Field

from vidda.config import Count
from vidda.data import derived
from vidda.data.derived import DerivedFiles, video_path
from vidda.data.manifest import DATASET, save_manifest
from vidda.errors import ViddaError
from vidda.progress import track
from vidda.run import RunFolder
from vidda.types import ClipRecord, Manifest
from vidda.workers import WorkerSpawnContext, start_worker

IdSuffix = Annotated[
    str,
    Field(
        pattern=r"^[\w-]+$",
        description="suffix of the new clips' ids, <id>@<name>; runs on the same clips need"
        " different names to be trained on together",
    ),
]
Copies = Annotated[
    Count, Field(description="number of versions of every clip, each drawn at random by itself")
]
ClipSeed = Annotated[int, Field(ge=0, description="with a clip's id it decides all that is random")]

MANIFEST = "manifest.csv"
CHUNK = 8
"""Most versions that a process gets at a time."""


@dataclass(frozen=True, slots=True)
class Version:
    """One video to make of a source clip.

    clip: the source. copy: number of the version, from 0. path: of the video, relative to OUT.
    """

    clip: ClipRecord
    copy: int
    path: str

    def record(self, name: str, *, domain: str, sidecar: str = "") -> ClipRecord:
        """Return the version as a clip, with the source's other columns.

        name: suffix of its id, `<clip>@<name>`, `<clip>@<name>.1`, ... domain: of the version.
        sidecar: path of its own sidecar relative to OUT, "" for none; the source's is not there.
        """
        meta = {key: value for key, value in self.clip.meta.items() if key != "sidecar"}
        if sidecar:
            meta["sidecar"] = sidecar
        return replace(
            self.clip,
            id=f"{self.clip.id}@{name}{f'.{self.copy}' if self.copy else ''}",
            path=self.path,
            domain=domain,
            parent_id=self.clip.id,
            meta=meta,
        )


Write = Callable[[Version, Path], tuple[str, ...]]
"""Writes a version's video to a path; returns the other files it wrote, relative to OUT."""


def plan_versions(manifest: Manifest, copies: int) -> list[Version]:
    """Return all versions, clip by clip. copies: of every clip, at least 1."""
    return [
        Version(clip, copy, video_path(clip, copy))
        for clip in manifest.clips
        for copy in range(copies)
    ]


def path_clashes(versions: Sequence[Version], manifest: Path) -> list[str]:
    """Return a line for each path that several versions would be written to.

    manifest: the file that lists the clips, for the message.
    """
    counts = Counter(version.path for version in versions)
    return [
        f"{manifest}: two clips would both become {path}; leave one of them out"
        for path, count in sorted(counts.items())
        if count > 1
    ]


def missing(versions: Sequence[Version], out: Path) -> list[Version]:
    """Return the versions that are not under `out`, or not as they were written."""
    return derived.missing(out, versions, lambda one: (one.path, one.clip.id))


def manifest_written(out: Path) -> bool:
    """Return whether OUT's manifest exists as `write_manifest` wrote it."""
    return derived.finished_record(out, MANIFEST, MANIFEST) is not None


def write_manifest(manifest: Manifest, out: Path) -> None:
    """Write OUT/manifest.csv and the record of it that `manifest_written` reads, when all files are
    on the disk.
    """
    derived.sync_recorded(out)
    save_manifest(manifest, out / MANIFEST)
    files = derived.describe_files(out, [MANIFEST, DATASET])
    DerivedFiles(id=MANIFEST, files=files).write(derived.record_path(out, MANIFEST))


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
    """Write the waiting versions in parallel, then the manifest of all; return the exit status.

    The status is 0, or 1 if a version was lost meanwhile. versions: all of them. waiting: those to
    write. classes: of the manifest. folder: the run, which is finished at the end. write: writes
    one; it has to be picklable. record: gives the clip of a version and its files. jobs: number of
    processes; 0 takes one for each core. label: of the progress. Raises what `write` raises, and
    ViddaError when a process was killed.
    """
    out = folder.path
    finished = len(versions) - len(waiting)
    done = _write_versions(waiting, write, out, jobs)
    for _ in track(done, label=label, total=len(versions), unit="clips", done=finished):
        pass
    found = [derived.finished_record(out, one.path, one.clip.id, content=False) for one in versions]
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
    write_manifest(Manifest(out.absolute(), classes, rows), out)
    folder.finish()
    print(f"written: {out / MANIFEST}")
    return 0


def _write_versions(
    versions: Sequence[Version], write: Write, out: Path, jobs: int
) -> Iterator[None]:
    """Write versions in parallel; yields once for each."""
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
                " and a smaller jobs=N continues"
            ) from None
        finally:
            pool.shutdown(cancel_futures=True)


def _make_all(write: Write, out: Path, versions: Sequence[Version]) -> int:
    """Write versions one by one; return how many there were."""
    for version in versions:
        _make(write, out, version)
    return len(versions)


def _make(write: Write, out: Path, version: Version) -> None:
    derived.derive_file(out, version.path, version.clip.id, lambda path: write(version, path))
