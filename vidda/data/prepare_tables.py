"""The tables that `vidda prepare` prints."""

from collections import Counter, defaultdict
from collections.abc import Sequence

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Column, Table

from vidda.data.listing import BLOCKING, DROPPING, Problem, Tree
from vidda.types import ClipRecord

MEANING = {
    "line": "lines of a list that cannot be used",
    "class": "clips whose folder names another class than the list",
    "sidecar": "faults of sidecars",
    "missing": "listed clips that are not there",
    "unreadable": "clips that cannot be decoded",
    "duplicate": "lines that repeat another (read once)",
    "suffix": "files that are no video or image by their suffix (not used)",
    "unlisted": "videos that are in no list (not used)",
    "columns": "clips whose name or simulation XML lacks facts (columns stay empty)",
}


def print_summary(
    console: Console,
    clips: Sequence[ClipRecord],
    classes: Sequence[str],
    tree: Tree,
    seconds: dict[str, float],
) -> None:
    """Print the number of clips of each class by domain, view and split, with size and duration.

    tree: gives the files' sizes. seconds: length of each clip whose length is known, by path.
    """
    groups: dict[tuple[str, str, str], list[ClipRecord]] = defaultdict(list)
    for clip in clips:
        groups[clip.domain, clip.view, clip.meta.get("split", "")].append(clip)
    table = Table("class", title=f"{len(clips)} clips", box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for group in groups:
        table.add_column("\n".join(group).strip(), justify="right", overflow="fold")
    counts = [Counter(clip.label for clip in members) for members in groups.values()]
    for label, name in enumerate(classes):
        table.add_row(name, *(str(count[label]) for count in counts))
    if any(count[None] for count in counts):
        table.add_row("no label", *(str(count[None]) for count in counts))
    table.add_section()
    table.add_row("clips", *(str(len(members)) for members in groups.values()))
    table.add_row("size", *(_size(members, tree) for members in groups.values()))
    table.add_row("duration", *(_duration(members, seconds) for members in groups.values()))
    console.print(table)
    if any(clip.path not in seconds for clip in clips):
        console.print("durations marked with ? are not known; verify=true measures them")


def print_problems(console: Console, problems: Sequence[Problem]) -> None:
    """Print a table of the number of problems of each kind, the first one, and what to do."""
    if not problems:
        return
    table = Table("problem", "count", Column("first", overflow="fold"), "what to do")
    for kind, meaning in MEANING.items():
        found = [problem for problem in problems if problem.kind == kind]
        if found:
            remedy = {**BLOCKING, **DROPPING}.get(found[0].kind, "")
            table.add_row(meaning, str(len(found)), str(found[0]), remedy)
    console.print(table)


def _size(clips: Sequence[ClipRecord], tree: Tree) -> str:
    size = float(sum(tree[clip.path][0] for clip in clips))
    for unit in ("B", "KiB", "MiB"):
        if size < 1024:
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1024
    return f"{size:.1f} GiB"


def _duration(clips: Sequence[ClipRecord], seconds: dict[str, float]) -> str:
    known = [seconds[clip.path] for clip in clips if clip.path in seconds]
    if len(known) < len(clips):
        return "?"
    total = round(sum(known))
    return f"{total // 3600}:{total // 60 % 60:02d}:{total % 60:02d}"
