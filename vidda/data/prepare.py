"""`vidda prepare`: make manifests and experiments from videos and lists, and report all mistakes.

OUT/config.yaml      the config, written first
OUT/problems.csv     everything that is wrong, file by file
OUT/shared.csv       clips that two lists share, such as train and test; only where there are any
OUT/verified.jsonl   what verify=true found, kept for the next run
OUT/manifest.csv     every clip
OUT/splits/<task>/<setting>/{train,target,val,test}.csv
OUT/dataset.json     root, classes, lists of each experiment, what was left out; written last
"""

import os
import shutil
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import replace
from functools import partial
from pathlib import Path

from pydantic import Field

from vidda.config import Config, Processes, dump
from vidda.console import console
from vidda.data.datasets import AnyDatasetConfig
from vidda.data.experiments import as_json
from vidda.data.list_checks import ListCheck, check_lists
from vidda.data.listing import BLOCKING, DROPPING, Listing, Problem, Tree
from vidda.data.manifest import (
    DATASET,
    csv_header,
    csv_line,
    csv_lines,
    meta_columns,
    write_csv,
    write_dataset,
)
from vidda.data.prepare_tables import MEANING, print_problems, print_summary
from vidda.data.read_dataset import read_dataset
from vidda.data.shared_clips import SharedClip
from vidda.data.verify import known_seconds, verify
from vidda.errors import ViddaError
from vidda.files import discard_partial, lock, write_text

VERIFIED = "verified.jsonl"
SHARED = "shared.csv"


class PrepareConfig(Config):
    """The config of `vidda prepare`: where the data is, its layout, and which mistakes to allow."""

    root: Path = Field(description="folder of the videos (for RoCoG-v2 also of its zip files)")
    out: Path = Field(description="folder to write manifest.csv and splits/ to")
    dataset: AnyDatasetConfig = Field(description="layout of the data, chosen by its name")
    verify: bool = Field(default=False, description="decode every clip to its end")
    allow_missing: bool = Field(
        default=False, description="continue without clips that are missing or cannot be decoded"
    )
    strict: bool = Field(
        default=False,
        description="refuse clips, same by path or content, that two of training, target and test"
        " share",
    )
    summary: bool = Field(
        default=False, description="print the class x domain x view x split table"
    )
    jobs: Processes = 0


def run(config: PrepareConfig, *, dry_run: bool, resume: bool) -> int:
    """Prepare one dataset; return 0, or 1 when it continued without some clips.

    dry_run: only print what would be written. resume: write a finished OUT again where it changes.
    Raises ViddaError when OUT holds something else, or for mistakes that the config does not allow.
    """
    if not config.root.is_dir():
        raise ViddaError(f"{config.root}: no such folder; set root=DIR to where the videos are")
    _check_out(config)
    with nullcontext() if dry_run else _started(config):
        return _prepare(config, dry_run=dry_run, resume=resume)


def _prepare(config: PrepareConfig, *, dry_run: bool, resume: bool) -> int:
    root = config.root.absolute()
    listing, tree, notes = read_dataset(config.dataset, root, dry_run=dry_run)
    experiments = config.dataset.experiments(root)
    unreadable = partial(_unreadable, config, tree, dry_run)
    result = check_lists(listing, experiments, tree, unreadable)
    result.problems.extend(_sidecar_problems(config, result, root, notes))
    _print_findings(config, notes + listing.notes, listing, result, tree)
    if not dry_run:
        _write_problems(config.out, result.problems)
    _refuse(config, result, dry_run)
    return _finish(config, listing, result, tree, dry_run=dry_run, resume=resume)


def _print_findings(
    config: PrepareConfig, notes: list[str], listing: Listing, result: ListCheck, tree: Tree
) -> None:
    """Print notes, warnings and problems on standard error, and the summary on standard output."""
    empty = [path for path in result.clips if tree[path][0] == 0]
    if empty:
        notes.append(f"{len(empty)} files are empty, first {empty[0]}; verify=true reports them")
    for note in notes:
        print(f"note: {note}", file=sys.stderr)
    for one in result.shared:
        print(f"warning: {one}", file=sys.stderr)
    for experiment, reason in result.left_out.items():
        print(f"left out: {experiment}: {reason}", file=sys.stderr)
    print_problems(console(sys.stderr), result.problems)
    if config.summary:
        seconds = known_seconds(config.out / VERIFIED, tree)
        clips = list(result.clips.values())
        print_summary(console(sys.stdout), clips, listing.classes, tree, seconds)


def _check_out(config: PrepareConfig) -> None:
    """Raise ViddaError for an OUT that prepare did not make, or made from something else."""
    if not config.out.exists():
        return
    if not config.out.is_dir():
        raise ViddaError(f"{config.out}: is a file; choose a folder")
    # Names with a dot are the lock and what a killed start may have left.
    if all(path.name.startswith(".") for path in config.out.iterdir()):
        return
    present = config.out / "config.yaml"
    if not present.is_file():
        raise ViddaError(f"{config.out}: not empty and not made by prepare; choose another folder")
    before = present.read_text(encoding="utf-8", errors="replace")
    old, new = (_decisive_lines(text) for text in (before, dump(config)))
    if old != new:
        raise ViddaError(
            f"{config.out}: was prepared from another root or dataset, see {present};"
            " choose another out=DIR"
        )


@contextmanager
def _started(config: PrepareConfig) -> Iterator[None]:
    """Lock OUT against other processes within the block, and write the config into it."""
    with ExitStack() as stack:
        try:
            config.out.mkdir(parents=True, exist_ok=True)
            stack.enter_context(lock(config.out))
            # Again, now that nobody else can change it: another process may just have been here.
            _check_out(config)
            discard_partial(config.out)
            write_text(config.out / "config.yaml", dump(config))
        except OSError as error:
            raise ViddaError(f"{config.out}: cannot be written: {error.strerror}") from None
        yield


def _decisive_lines(text: str) -> list[str]:
    """Return the lines of a dumped config but those of keys that do not change the result."""
    free = ("verify:", "allow_missing:", "strict:", "summary:", "jobs:", "out:")
    return [line for line in text.splitlines() if not line.startswith(free)]


def _unreadable(
    config: PrepareConfig, tree: Tree, dry_run: bool, paths: list[str]
) -> dict[str, str]:
    if dry_run or not config.verify:
        return {}
    jobs = config.jobs or os.cpu_count() or 1
    checked = verify(config.root, paths, tree, config.out / VERIFIED, jobs)
    odd = [path for path in paths if checked[path].notes]
    if odd:
        first = f"{odd[0]}: {checked[odd[0]].notes[0]}"
        results = config.out / VERIFIED
        print(
            f"note: {len(odd)} clips are odd but were read, first {first}; see {results}",
            file=sys.stderr,
        )
    return {path: error for path in paths if (error := checked[path].error) is not None}


def _sidecar_problems(
    config: PrepareConfig, result: ListCheck, root: Path, notes: list[str]
) -> list[Problem]:
    """Return the problems of the clips' sidecars; notes on clips that cannot be read are added."""
    clips = [clip for clip in result.clips.values() if "sidecar" in clip.meta]
    if not clips:
        return []
    # Here, because it loads the decoders, which a dataset without sidecars does not need.
    from vidda.data.sidecar_checks import check_sidecars

    problems, unread = check_sidecars(clips, root, config.jobs or os.cpu_count() or 1)
    notes += unread
    return problems


def _refuse(config: PrepareConfig, result: ListCheck, dry_run: bool) -> None:
    """Raise ViddaError for the mistakes that stop the run, one line a kind."""
    stopping = BLOCKING if config.allow_missing else {**BLOCKING, **DROPPING}
    lines = []
    for kind, remedy in stopping.items():
        found = [problem for problem in result.problems if problem.kind == kind]
        if found:
            lines.append(f"{len(found)} {MEANING[kind]}, first {found[0]}; {remedy}")
    if config.strict and result.shared:
        lines += [f"{one}; remove them from one of the lists" for one in result.shared]
        if not dry_run:
            _write_shared(config.out, result.shared)
            lines.append(f"{config.out / SHARED} names every such clip")
    if lines:
        if not dry_run:
            lines.append(f"nothing was prepared; {config.out / 'problems.csv'} names every file")
        raise ViddaError("\n".join(lines))


def _finish(
    config: PrepareConfig,
    listing: Listing,
    result: ListCheck,
    tree: Tree,
    *,
    dry_run: bool,
    resume: bool,
) -> int:
    """Write everything, unless it is there already; return the exit status."""
    written = len(result.experiments)
    stated = written + len(result.left_out)
    counts = f"{len(result.clips)} clips, {written} of {stated} experiments"
    without = f", WITHOUT {result.dropped} clips (see problems.csv)" if result.dropped else ""
    if dry_run:
        print(f"dry run: would write {counts}{without} to {config.out}")
        return int(result.dropped > 0)
    finished = (config.out / DATASET).exists()
    change = _change(config.out, listing, result) if finished else "everything"
    if finished and change and not resume:
        raise ViddaError(
            f"{config.out}: already prepared, and {change} would change; --resume writes it again"
        )
    _write_shared(config.out, result.shared)
    if change:
        (config.out / DATASET).unlink(missing_ok=True)
        shutil.rmtree(config.out / "splits", ignore_errors=True)
        for name, lines in _files(listing, result):
            write_csv(config.out / name, lines[0], lines[1:])
    seconds = known_seconds(config.out / VERIFIED, tree)
    more: dict[str, object] = {
        "name": config.dataset.name,
        "clips": len(result.clips),
        "experiments": as_json(result.experiments),
        "left_out": result.left_out,
        "dropped": result.dropped,
        "verified": result.clips.keys() <= seconds.keys(),
    }
    write_dataset(config.out, listing.root, listing.classes, more)
    print(f"{'prepared' if change else 'unchanged'}: {counts}{without} in {config.out}")
    return int(result.dropped > 0)


def _files(listing: Listing, result: ListCheck) -> Iterator[tuple[str, list[str]]]:
    """Yield the name and the lines of every CSV; a clip's line is made once for all its files."""
    clips = list(result.clips.values())
    columns = meta_columns(clips)
    header = csv_header(columns)
    lines = dict(zip(result.clips, csv_lines(clips, listing.classes, columns), strict=True))
    yield "manifest.csv", [header, *lines.values()]
    for experiment, stated in result.experiments.items():
        for part, name in stated.parts.items():
            file = f"splits/{experiment}/{part}.csv"
            paths = result.lists[name]
            if part == "target":
                hidden = [replace(result.clips[path], label=None) for path in paths]
                rows = csv_lines(hidden, listing.classes, columns, labeled=False)
                yield file, [csv_header(columns, labeled=False), *rows]
            else:
                yield file, [header, *(lines[path] for path in paths)]


def _change(out: Path, listing: Listing, result: ListCheck) -> str | None:
    """Return the first file of a finished OUT that would change, None if none would."""
    existing = {path.relative_to(out).as_posix() for path in out.glob("splits/*/*/*.csv")}
    for name, lines in _files(listing, result):
        file = out / name
        if not file.exists() or file.read_bytes() != "".join(lines).encode():
            return name
        existing.discard(name)
    return min(existing, default=None)


def _write_problems(out: Path, problems: list[Problem]) -> None:
    rows = (csv_line((p.kind, p.where, p.text)) for p in problems)
    write_csv(out / "problems.csv", "kind,where,text\n", rows)


def _write_shared(out: Path, shared: list[SharedClip]) -> None:
    """Write shared.csv with every shared clip; remove the file where there is none."""
    if not shared:
        (out / SHARED).unlink(missing_ok=True)
        return
    cells = ((one.second, b, one.first, a) for one in shared for a, b in one.pairs)
    write_csv(out / SHARED, "list,clip,other_list,other_clip\n", map(csv_line, cells))
