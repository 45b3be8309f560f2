"""Loading of the experiments that `vidda prepare` wrote, as `Shift`s."""

from pathlib import Path

from vidda.data.manifest import DATASET, load_manifest, read_description
from vidda.errors import ViddaError
from vidda.files import inside
from vidda.types import Shift


def load_shift(out: Path | str, task: str, setting: str) -> Shift:
    """Load one experiment that `vidda prepare` wrote.

    out: the folder that prepare wrote. task, setting: such as `gs2gr` and `adapted`. Raises
    ViddaError when the experiment was not written, with prepare's reason where there is one.
    """
    out = Path(out)
    folder = inside(out / "splits", f"{task}/{setting}")
    if not folder.is_dir():
        known = sorted(f"{p.parent.name}/{p.name}" for p in (out / "splits").glob("*/*"))
        left_out = read_description(out / DATASET).get("left_out", {})
        reason = left_out.get(f"{task}/{setting}")
        raise ViddaError(
            f"{out}: no experiment {task}/{setting}"
            + (f", left out by prepare: {reason}" if reason else "")
            + f"; it has {', '.join(known) or 'none'}"
        )
    target, test = folder / "target.csv", folder / "test.csv"
    return Shift(
        source=load_manifest(folder / "train.csv"),
        target=load_manifest(target) if target.exists() else None,
        val=load_manifest(folder / "val.csv"),
        test=load_manifest(test) if test.exists() else None,
    )
