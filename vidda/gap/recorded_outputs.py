"""A record of the files that a job wrote, by which a resumed job finds all as they were."""

from collections.abc import Sequence
from pathlib import Path

from vidda.data import derived
from vidda.data.derived import DerivedFiles


def record_outputs(out: Path, names: Sequence[str]) -> None:
    """Record size and hash of files that were just written. names: relative to `out`."""
    files = derived.describe_files(out, names)
    DerivedFiles(id=names[0], files=files).write(derived.record_path(out, names[0]))


def outputs_intact(out: Path, name: str) -> bool:
    """Return whether the files of `record_outputs` are as they were. name: the first of them."""
    return derived.finished_record(out, name, name) is not None
