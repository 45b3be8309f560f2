"""Values of many clips, computed part by part and kept on disk, so that a killed job resumes.

FOLDER/00000.npz    ids (n,) text, values (n, D): of the first clips of a manifest, and so on
"""

import os
import zipfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from functools import partial
from pathlib import Path

import numpy as np

from vidda.errors import ViddaError
from vidda.files import atomic
from vidda.progress import meter
from vidda.types import ClipRecord
from vidda.workers import WorkerSpawnContext, start_worker

PART = 64
"""Most clips of a part."""

Compute = Callable[[Sequence[ClipRecord]], np.ndarray]
"""Gives the values (n, D) of n clips."""
Part = tuple[Path, Sequence[ClipRecord]]
"""A part's file and its clips."""


def values_in_parts(
    folder: Path, clips: Sequence[ClipRecord], compute: Compute, *, jobs: int, label: str
) -> np.ndarray:
    """Return the values (N, D) of clips; parts that an earlier session finished are read.

    folder: of the parts. compute: of a part's clips; picklable where jobs is not 1. jobs: number of
    processes; 0 takes one for each core. label: of the progress. Raises what `compute` raises, and
    ViddaError when a process was killed.
    """
    parts = [
        (folder / f"{number:05d}.npz", clips[at : at + PART])
        for number, at in enumerate(range(0, len(clips), PART))
    ]
    waiting = [part for part in parts if read_part(*part) is None]
    done = len(clips) - sum(len(chosen) for _, chosen in waiting)
    with meter(label=label, total=len(clips), unit="clips", done=done) as advance:
        for count in _compute_all(waiting, compute, jobs):
            advance(count)
    found = [read_part(*part) for part in parts]
    if lost := [str(file) for (file, _), one in zip(parts, found, strict=True) if one is None]:
        raise ViddaError(f"{lost[0]} was lost meanwhile; the same command with --resume continues")
    return np.concatenate([one for one in found if one is not None])


def read_part(file: Path, clips: Sequence[ClipRecord]) -> np.ndarray | None:
    """Return the values (n, D) of a part; None where it is not there, damaged or of others.

    file: of the part. clips: its n clips.
    """
    try:
        with np.load(file, allow_pickle=False) as content:
            ids, values = content["ids"], content["values"]
    except (OSError, KeyError, ValueError, EOFError, zipfile.BadZipFile, zlib.error):
        return None
    same = ids.tolist() == [clip.id for clip in clips] and len(values) == len(clips)
    return np.asarray(values) if same else None


def _compute_all(waiting: Sequence[Part], compute: Compute, jobs: int) -> Iterator[int]:
    """Compute and write parts, in parallel; yields each one's number of clips."""
    workers = min(jobs or os.cpu_count() or 1, len(waiting))
    if workers <= 1:
        yield from map(partial(_compute_part, compute), waiting)
        return
    context = WorkerSpawnContext()
    with ProcessPoolExecutor(workers, mp_context=context, initializer=start_worker) as pool:
        pending = [pool.submit(_compute_part, compute, part) for part in waiting]
        try:
            for future in as_completed(pending):
                yield future.result()
        except BrokenProcessPool:
            raise ViddaError(
                "a process was killed, perhaps for lack of memory; the same command with --resume"
                " and a smaller jobs=N continues"
            ) from None
        finally:
            pool.shutdown(cancel_futures=True)


def _compute_part(compute: Compute, part: Part) -> int:
    """Compute and write one part; return its number of clips."""
    file, clips = part
    values = compute(clips)
    with atomic(file) as temporary:
        ids = np.array([clip.id for clip in clips], dtype=np.str_)
        np.savez_compressed(temporary, allow_pickle=False, ids=ids, values=values)
    return len(clips)
