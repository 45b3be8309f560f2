"""One report of everything, made once."""

from pathlib import Path

import pytest
from reported import EVIL, controlled, prepared, report, source_clips, trained, transfer, translated


@pytest.fixture(scope="session")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with runs, and the report of them in `report`."""
    folder = tmp_path_factory.mktemp("whole")
    data = prepared(folder / "prepared")
    rows: dict[str, dict[str, list[Path]]] = {}
    for row, setting in (("source only", "source_only"), ("target only", "target_only")):
        for task in ("gs2gr", "as2ar"):
            place = data / "splits" / task / setting
            runs = [
                trained(folder / f"{setting}_{task}_{seed}", place / "train.csv", place / "val.csv")
                for seed in range(2)
            ]
            rows.setdefault(row, {})[task] = runs
    rows["per frame"] = {"gs2gr": rows["source only"]["gs2gr"][:1]}
    table = transfer(folder / "table", data, rows)
    file, source = source_clips(folder / "source")
    translations = {
        "per frame": translated(folder / "per_frame", source),
        EVIL: translated(folder / "consistent", source),
    }
    gallery = {"source": file, "control": controlled(folder / "control", source), "spread": 2}
    made = report(
        runs=[str(table)],
        out=folder / "report",
        title=EVIL,
        translations={name: str(path) for name, path in translations.items()},
        gallery={**{key: str(value) for key, value in gallery.items()}, "spread": 2},
    )
    assert made == 0
    return folder
