"""Jobs that write a few files once: run to the end, recorded, and found again by a resumed job."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from vidda.config import Config
from vidda.data import derived
from vidda.data.derived import DerivedFiles
from vidda.run import RunFolder


def write_outputs(
    config: Config,
    out: Path,
    facts: Mapping[str, str],
    names: Sequence[str],
    write: Callable[[], None],
    *,
    resume: bool,
) -> bool:
    """Write a job's files into its run folder and record them; return False where they are there.

    config, facts, resume: see `RunFolder.open`. names: the files, relative to `out`; `write` makes
    all of them. A finished job whose files are not as they were written is run again.
    """
    whole = derived.finished_record(out, names[0], names[0]) is not None
    with RunFolder.open(out, config, dict(facts), resume=resume, whole=whole) as folder:
        if folder.finished:
            print(f"{out}: already finished")
            return False
        write()
        files = derived.describe_files(out, names)
        DerivedFiles(id=names[0], files=files).write(derived.record_path(out, names[0]))
        folder.finish()
        return True
