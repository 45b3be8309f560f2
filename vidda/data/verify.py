"""Verification of clips: every one is decoded once, in parallel, and the results are kept."""

import json
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO

from vidda.data.listing import Tree
from vidda.errors import ViddaError
from vidda.progress import track
from vidda.workers import WorkerSpawnContext, end_with_parent

CHUNK = 16
"""Files a task: enough for little overhead of the pool, few enough to lose little to a crash."""


@dataclass(frozen=True, slots=True)
class Checked:
    """The result of decoding one file.

    error: what is wrong with it, None if nothing. seconds: its length, 0 with an error or of an
    image. notes: oddities of a file that can be read nevertheless, a sentence each.
    """

    error: str | None
    seconds: float
    notes: tuple[str, ...] = ()


def verify(
    root: Path, paths: Sequence[str], tree: Tree, results: Path, jobs: int
) -> dict[str, Checked]:
    """Decode files and return the result of each, by path.

    root, paths: the files. tree: their size and mtime. results: JSON lines of earlier results; a
    file that it has, by path, size and mtime, is not decoded again. jobs: number of processes. Each
    result is appended at once, so a killed run loses only what was being decoded. A file that kills
    its decoder gets an error.
    """
    known = _known(results)
    checked = {path: known[key] for path in paths if (key := (path, *tree[path])) in known}
    todo = [path for path in paths if path not in checked]
    results.parent.mkdir(parents=True, exist_ok=True)
    with results.open("a", encoding="utf-8") as stream:
        # A run killed while it wrote left half a line, which must not swallow the next one.
        stream.write("\n")
        found = _decode_all(root, todo, jobs)
        label, done = "verify", len(checked)
        for path, result in track(found, label=label, total=len(paths), unit="clips", done=done):
            checked[path] = result
            _append(stream, path, tree[path], result)
    return checked


def known_seconds(results: Path, tree: Tree) -> dict[str, float]:
    """Return the length in seconds, by path, of every file of `tree` with a valid result.

    results: file of JSON lines that `verify` wrote; a result is valid if size and mtime are those
    of the file now.
    """
    return {
        path: result.seconds
        for (path, *stat), result in _known(results).items()
        if result.error is None and tree.get(path) == tuple(stat)
    }


def decode(path: Path) -> Checked:
    """Decode one video or image to its end and return the result; raises nothing for its faults."""
    # Here, because it loads the decoders: `vidda prepare` without verify=true needs none of them.
    from vidda import video

    try:
        info = video.check(path)
        return Checked(None, info.duration_s, info.notes)
    except ViddaError as error:
        return Checked(str(error), 0.0)


def _decode_all(root: Path, paths: Sequence[str], jobs: int) -> Iterator[tuple[str, Checked]]:
    """Yield every path and its result, as they are finished."""
    left = dict.fromkeys(paths)
    while left:
        suspects: list[str] = []
        for path, result in _decode_together(root, list(left), jobs, suspects):
            del left[path]
            yield path, result
        for path, result in _decode_one_by_one(root, suspects):
            del left[path]
            yield path, result


def _decode_together(
    root: Path, paths: Sequence[str], jobs: int, suspects: list[str]
) -> Iterator[tuple[str, Checked]]:
    """Decode in `jobs` processes; when one dies, stop and add the files that it may have read to
    `suspects`.
    """
    chunks = [paths[at : at + CHUNK] for at in range(0, len(paths), CHUNK)]
    with _pool(min(jobs, len(chunks))) as pool:
        tasks: dict[Future[list[tuple[str, Checked]]], Sequence[str]] = {
            pool.submit(_decode_some, root, chunk): chunk for chunk in chunks
        }
        try:
            for task in as_completed(tasks):
                yield from task.result()
                del tasks[task]
        except BrokenProcessPool:
            # Tasks start in their order, so the dead process was at one of the first unfinished.
            unfinished = [c for t, c in tasks.items() if t.exception() is not None]
            suspects += [path for chunk in unfinished[:jobs] for path in chunk]
        finally:
            pool.shutdown(cancel_futures=True)


def _decode_one_by_one(root: Path, paths: Sequence[str]) -> Iterator[tuple[str, Checked]]:
    """Decode in one process, which identifies the file that kills it."""
    left = list(paths)
    while left:
        with _pool(1) as pool:
            try:
                while left:
                    yield pool.submit(_decode_some, root, left[:1]).result()[0]
                    left.pop(0)
            except BrokenProcessPool:
                path = left.pop(0)
                yield path, Checked(f"{root / path}: kills its decoder; fetch it again", 0.0)


def _decode_some(root: Path, paths: Sequence[str]) -> list[tuple[str, Checked]]:
    return [(path, decode(root / path)) for path in paths]


def _pool(jobs: int) -> ProcessPoolExecutor:
    context = WorkerSpawnContext()
    return ProcessPoolExecutor(jobs, mp_context=context, initializer=end_with_parent)


def _known(results: Path) -> dict[tuple[str, int, int], Checked]:
    known: dict[tuple[str, int, int], Checked] = {}
    if results.exists():
        for line in results.read_text(encoding="utf-8", errors="replace").split("\n"):
            try:
                row = json.loads(line)
                key = (row["path"], row["size"], row["mtime_ns"])
                known[key] = Checked(row["error"], row["seconds"], tuple(row["notes"]))
            except (ValueError, KeyError, TypeError):
                continue  # of a killed run, or damaged: its file is decoded again
    return known


def _append(stream: IO[str], path: str, stat: tuple[int, int], result: Checked) -> None:
    row = {"path": path, "size": stat[0], "mtime_ns": stat[1], **asdict(result)}
    stream.write(json.dumps(row) + "\n")
    stream.flush()
