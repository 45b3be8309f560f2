"""RoCoG-v2 and MiniRoCoG: official lists, file names and simulation info (Reddy et al., ICRA 2023,
arXiv 2303.10280; lists and class ids from the dataset's repository)."""

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from pydantic import Field

from vidda.data.experiments import Experiment, Experiments
from vidda.data.listing import DatasetConfig, Listing, Tree, parse_label, read_lines
from vidda.data.simulation import Simulation, find_simulation
from vidda.errors import ViddaError
from vidda.files import relative_path
from vidda.types import ClipRecord, require_distinct

DOMAINS = {"syn": "synthetic", "real": "real"}
VIEWS = {"ground": ("rocog_ground",), "air": ("rocog_air", "rocog_hover")}
"""Each view, with the names that its simulation files may have."""

SPLITS = {
    "gs2gr/source_only": ("syn_ground_train", None, "syn_ground_val", "real_ground_test"),
    "as2ar/source_only": ("syn_air_train", None, "syn_air_val", "real_air_test"),
    "gr2ar/source_only": (
        "real_ground_train_tsonly", None, "real_ground_val_tsonly", "real_air_test",
    ),
    "gs2ar/source_only": ("syn_ground_train", None, "syn_ground_val", "real_air_test"),
    "gs2gr/adapted": (
        "syn_ground_train", "real_ground_train", "syn_ground_val", "real_ground_test",
    ),
    "as2ar/adapted": ("syn_air_train", "real_air_train", "syn_air_val", "real_air_test"),
    "gr2ar/adapted": (
        "real_ground_train_tsonly", "real_air_train", "real_ground_val_tsonly", "real_air_test",
    ),
    "gs2ar/adapted": ("syn_ground_train", "real_air_train", "syn_ground_val", "real_air_test"),
    "gs2gr/target_only": (
        "real_ground_train_tsonly", None, "real_ground_val_tsonly", "real_ground_test",
    ),
    "as2ar/target_only": ("real_air_train_tsonly", None, "real_air_val_tsonly", "real_air_test"),
    "gr2ar/target_only": ("real_air_train_tsonly", None, "real_air_val_tsonly", "real_air_test"),
    "gs2ar/target_only": ("real_air_train_tsonly", None, "real_air_val_tsonly", "real_air_test"),
}  # fmt: skip
"""The official lists (train, target, val, test) of each task and setting, as annotations/README.md
gives them."""

LISTS = (
    "syn_ground_train", "syn_ground_val", "syn_air_train", "syn_air_val",
    "real_ground_train", "real_ground_test", "real_air_train", "real_air_test",
    "real_ground_train_tsonly", "real_ground_val_tsonly",
    "real_air_train_tsonly", "real_air_val_tsonly",
)  # fmt: skip
"""All lists; the `tsonly` ones split the training clips of a real set in two, so they come last,
and a clip's `split` column keeps the value of the first list."""

SYN_NAME = re.compile(
    r"Scene(?P<scene>\d+)_(?P<index>\d+)_(?:(?P<actor>S\d+)_)?(?P<gesture>[A-Za-z]+)_"
    r"(?:(?P<take>R\d+_\d+)_)?\d+_\d+_\d+_\d+_\d+_\d+\.\w+"
)
REAL_NAME = re.compile(
    r"(?P<subject>S\d+)(?P<session>[a-z]?)_(?P<meters>\d+)m_(?P<platform>[a-z]+)_"
    r"(?:(?P<recording>\d+)_)?label\d+_start(?P<start>\d+)\.\w+"
)


class RocogV2(DatasetConfig):
    """The RoCoG-v2 tree, the folder of its zip files, or a tree that `vidda mini` wrote."""

    name: Literal["rocog_v2"]
    annotations: Path | None = Field(
        default=None, description="folder of the official lists; by default ROOT/annotations"
    )
    simulation_info: Path | None = Field(
        default=None, description="folder of the simulation XML; by default beside the annotations"
    )

    def read(self, root: Path, tree: Tree) -> Listing:
        """Return the listing of the official lists that are there.

        root: of the dataset. tree: its files. Raises ViddaError where the folder of the lists or
        the class names are missing.
        """
        folder = self.annotations or root / "annotations"
        if not folder.is_dir():
            raise ViddaError(
                f"{folder}: no such folder; the official lists are in the dataset's repository:"
                " set dataset.annotations=DIR"
            )
        listing = Listing(root, _classes((folder.parent, folder, root)))
        listing.covered = tuple(f"{d}/{v}/" for d in DOMAINS for v in VIEWS)
        simulations = {view: self._simulation(root, folder, view) for view in VIEWS}
        for name in LISTS:
            file = folder / f"{name}.txt"
            if file.is_file():
                _read_list(listing, file, simulations)
            else:
                listing.notes.append(f"{file} is not there")
        for view, found in simulations.items():
            if found is None and any(path.startswith(f"syn/{view}/") for path in listing.clips):
                listing.notes.append(
                    f"no simulation_info XML for syn/{view}: gesture times, speed, body and camera"
                    " stay empty there"
                )
        return listing

    def experiments(self, root: Path) -> Experiments:
        """Return the twelve official experiments."""
        found = {}
        for experiment, names in SPLITS.items():
            parts = zip(("train", "target", "val", "test"), names, strict=True)
            known = {part: name for part, name in parts if name}
            found[experiment] = Experiment(known, known["train"].startswith("syn_"))
        return found

    def _simulation(self, root: Path, annotations: Path, view: str) -> Simulation | None:
        beside = (root / "simulation_info", annotations.parent / "simulation_info")
        folders = (self.simulation_info,) if self.simulation_info else beside
        return find_simulation([p / sub for p in folders for sub in ("", "xml")], VIEWS[view])


def _classes(folders: Sequence[Path]) -> tuple[str, ...]:
    """Return the class names from the first class_dict.json: `{"0": "Advance", ...}`."""
    for folder in folders:
        file = folder / "class_dict.json"
        if file.is_file():
            try:
                names = {int(key): str(name) for key, name in json.loads(file.read_text()).items()}
            except (OSError, ValueError, AttributeError) as error:
                raise ViddaError(f"{file}: not a dictionary of class ids: {error}") from None
            if sorted(names) != list(range(len(names))):
                raise ViddaError(f"{file}: class ids must be 0, 1, 2 ... without a gap")
            found = tuple(names[index] for index in range(len(names)))
            require_distinct(found, str(file))
            return found
    raise ViddaError(f"class_dict.json is in none of {', '.join(str(f) for f in folders)}")


def _read_list(listing: Listing, file: Path, simulations: dict[str, Simulation | None]) -> None:
    listing.lists[file.stem] = {}
    split = next(part for part in ("train", "val", "test") if f"_{part}" in file.stem)
    for number, line in read_lines(file, listing.notes):
        where = f"{file.name}:{number}"
        try:
            path, label = _fields(line, len(listing.classes))
            known = listing.clips.get(path)
            if known is not None and known.label == label:
                listing.add(file.stem, where, known)
                continue
            clip = _clip(listing, path, label, split, simulations)
        except ViddaError as error:
            listing.problem("line", where, str(error))
            continue
        listing.add(file.stem, where, clip)


def _fields(line: str, count: int) -> tuple[str, int]:
    fields = line.rsplit(None, 1)
    if len(fields) != 2:
        raise ViddaError(f"{line!r} is not `path label`")
    path, label = relative_path(fields[0]), fields[1]
    parts = path.split("/")
    if len(parts) != 4 or parts[0] not in DOMAINS or parts[1] not in VIEWS:
        raise ViddaError(f"path {path!r} is not {{real,syn}}/{{ground,air}}/CLASS/FILE")
    return path, parse_label(label, count)


def _clip(
    listing: Listing,
    path: str,
    label: int,
    split: str,
    simulations: dict[str, Simulation | None],
) -> ClipRecord:
    domain, view, _, name = path.split("/")
    meta = {"split": split}
    subject: str | None = None
    altitude: float | None = None
    if match := SYN_NAME.fullmatch(name):
        altitude = _synthetic(listing, path, match, simulations[view], meta)
    elif match := REAL_NAME.fullmatch(name):
        subject = match["subject"]
        if view == "air":
            altitude = float(match["meters"])
        else:
            meta["distance_m"] = match["meters"]
        meta |= {"platform": match["platform"], "start_frame": match["start"]}
        # "S04b" is taken for a second session of S04: if it is another person, intervals that are
        # clustered by subject become too wide, never too narrow.
        meta |= {key: match[key] for key in ("session", "recording") if match[key]}
    else:
        listing.problem("columns", path, "its name follows neither of the dataset's two patterns")
    return ClipRecord(path, path, label, DOMAINS[domain], view, subject, altitude, None, meta)


def _synthetic(
    listing: Listing,
    path: str,
    match: re.Match[str],
    simulation: Simulation | None,
    meta: dict[str, str],
) -> float | None:
    """Fill `meta` from a synthetic name and the XML; return an air camera's height in meters."""
    scene, index = int(match["scene"]), int(match["index"])
    trigger = "_".join(match.group("actor", "gesture", "take")) if match["take"] else ""
    # The six cameras are around the person, and the scenes take them in turn.
    meta |= {"scene": str(scene), "scene_index": str(index), "camera": str(scene % 6)}
    if trigger:
        meta["mocap"] = trigger
    if simulation is None:
        return None
    if index >= len(simulation.gestures):
        text = f"index {index} is not in the gesture XML, which ends at"
        listing.problem("columns", path, f"{text} {len(simulation.gestures) - 1}")
    elif simulation.gestures[index][:2] != (match["gesture"], trigger):
        found = " ".join(simulation.gestures[index][:2]).strip()
        listing.problem("columns", path, f"the gesture XML has {found} at index {index}")
    else:
        meta |= simulation.gestures[index][2]
    if not simulation.scenes:
        return None
    if scene >= len(simulation.scenes):
        text = f"scene {scene} is not in the scene XML, which ends at"
        listing.problem("columns", path, f"{text} {len(simulation.scenes) - 1}")
        return None
    meta |= simulation.scenes[scene]
    return simulation.heights_m[scene] if path.split("/")[1] == "air" else None
