"""Whether two checkouts make the same things: `python tools/compare_checkouts.py OLD NEW`.

For a change that only moves and renames. Both checkouts render a small MiniRoCoG, prepare,
translate two clips, match cameras, train, adapt and do a tiny `vidda run`; then every file is
compared: video and images by their pixels, safetensors and npz by their arrays, all exactly; CSV,
JSON and YAML by their content after SPELLED, MOVED_KEYS, MOVED_WORDS and MOVED_FILES, the written
tables of what may differ. Left out are times, machines and versions (VOLATILE), logs and pages.

A translated clip's id ends with a digest over names of keys, and ids seed later draws: in both
checkouts it is one constant. Exit status 0 when all is the same, 1 with a line for each difference.
"""

import argparse
import csv
import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import av
import numpy as np
from PIL import Image
from ruamel.yaml import YAML
from safetensors.numpy import load_file

SPELLED = {
    "randomis": "randomiz", "normalis": "normaliz", "optimis": "optimiz", "maximis": "maximiz",
    "colour": "color", "grey": "gray", "centre": "center", "neighbour": "neighbor",
    "labelled": "labeled", "personalis": "personaliz", "recognis": "recogniz",
    "standardis": "standardiz",
}  # fmt: skip
"""Parts of words, in keys, values and the paths of files, as they were and as they are."""
NOT_SPELLED = "*/tokenizer/*"
"""Files whose words are data."""
MOVED_KEYS: list[tuple[str, str, str]] = [
    *((files, "look_every", "sample_every") for files in ("*config.yaml", "whole/stages/look*")),
    ("whole.yaml", "personalize.look.change.look_every", "personalize.look.change.sample_every"),
    ("whole/config.yaml", "at_once", "executor.at_once"),
]
"""Files, and dotted keys in them, or the beginnings of keys, as they were and as they are."""
NEW_KEYS: list[tuple[str, str]] = [
    *(
        ("whole/config.yaml", key)
        for key in (
            "executor.name",
            "captions",
            "personalize.look.base",
            "variants.masks.of",
            "variants.consistent.of",
            "variants.consistent.captions",
        )
    ),
    *(("whole/stages.json", f"stages.{number}.title") for number in range(20)),
]
"""Files, and keys in them that only the new checkout has."""
LISTS = "syn_ground_train-matched-consistent-syn_ground_train-real_ground_train-real_ground_train"
LONG, LONG_STAGE = f"{LISTS}-weights_1_1-augmented-0", f"train-tiny-{LISTS}-weights_1_1-augmented-0"
SHORT, SHORT_STAGE = f"{LISTS}-we-857d3600", f"train-tiny-{LISTS[:80]}-3dd051ae"
"""A training and its stage with names of more than 100 bytes, as they were and as they are."""
MOVED_FILES = {
    "whole/filmed": "whole/camera_matched",
    f"whole/trained/tiny/{LONG}": f"whole/trained/tiny/{SHORT}",
    f"whole/stages/{LONG_STAGE}.yaml": f"whole/stages/{SHORT_STAGE}.yaml",
}
"""Beginnings of the paths of files that a job writes."""
MOVED_WORDS = {
    "filmed": "camera_matched",
    "film matched": "match cameras matched",
    LONG_STAGE: SHORT_STAGE,
}
"""Whole values of cells and keys: names of domains, commands, variants and stages."""

VOLATILE = {
    *("seconds", "started", "finished", "time", "date", "elapsed_s", "rate", "clips_per_s"),
    *("sessions", "session", "config", "peak_mib", "cpu_s", "hours", "command"),
}
"""Parts of keys whose values tell of a run and not of what came out; `config` is a digest over
names of keys."""
OF_TEXTS = re.compile(r"(\.(csv|json|yaml)|shown/.*\.png)\.(sha256|size|bytes)$")
"""Sizes and hashes, in records, of files that are compared by their content themselves."""
LEFT_OUT = {"log.txt", "provenance.json", ".lock", "index.html"}
LETTERED = "translated/shown/"
"""Contact sheets, whose headings are words; the clips on them are compared as videos."""

CONSTANT_DIGEST = """
import importlib.abc, importlib.util, sys
class Hook(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path, target=None):
        if name != "vidda.translate.identity":
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec(name)
        sys.meta_path.insert(0, self)
        execute = spec.loader.exec_module
        def exec_module(module):
            execute(module)
            for name in ("translation_print", "translation_digest"):
                if hasattr(module, name):
                    setattr(module, name, lambda *prints: "constant")
        spec.loader.exec_module = exec_module
        return spec
sys.meta_path.insert(0, Hook())
"""

Places = tuple[Path, Path]
"""The folder that a checkout's jobs ran in, and the checkout."""

SPLITS = "prepared/splits/gs2gr"
SMALL = {
    "transform.size": 64,
    "sampling.frames": 4,
    "test_sampling.frames": 4,
    "cache": None,
    "batch_size": 4,
    "workers": 0,
    "schedule.warmup": 0.5,
    "precision": "fp32",
}
"""Keys of a training of seconds."""


def jobs(checkout: Path) -> Iterator[tuple[str, str]]:
    """Name and arguments of each command, in order; all of them in one folder."""
    configs = checkout / "configs"
    small = "epochs=2 " + " ".join(f"{key}={json.dumps(value)}" for key, value in SMALL.items())
    source, adapted = f"{SPLITS}/source_only", f"{SPLITS}/adapted"
    yield (
        "mini",
        "mini data size=48 frames=8 syn_train=2 syn_val=1 real_train=3 real_test=1 jobs=2",
    )
    yield "prepare", f"prepare {configs}/prepare/rocog_v2.yaml root=data out=prepared"
    yield (
        "translate",
        f"translate {configs}/translate/builtin.yaml out=translated input={source}/train.csv"
        " limit=2",
    )
    yield (
        "camera",
        f"camera {configs}/camera/mini.yaml out=camera input={source}/train.csv"
        f" target={adapted}/target.csv",
    )
    yield (
        "train",
        f"train {configs}/train/mini_biconvlstm.yaml run=trained train=[{source}/train.csv]"
        f" val={source}/val.csv watch.ground={source}/test.csv"
        f" watch.air=prepared/splits/as2ar/source_only/test.csv {small}",
    )
    yield (
        "adapt",
        f"adapt {configs}/adapt/mini.yaml run=adapted train=[{adapted}/train.csv]"
        f" val={adapted}/val.csv target={adapted}/target.csv watch.ground={adapted}/test.csv"
        f" {small}",
    )
    yield "run", "run whole.yaml"


def whole(checkout: Path) -> dict[str, Any]:
    """Return a tiny `vidda run` with every kind of variant and one adapted arm."""
    american = (checkout / "vidda/data/randomize.py").exists()
    randomized, matched = ("randomized", "camera_matched") if american else ("randomised", "filmed")
    return {
        "out": "whole", "prepare": {"dataset.name": "rocog_v2", "root": "data"},
        "tasks": ["gs2gr"], "weights": "builtin:mini_diffusion",
        "recognizers": {"tiny": {"file": str(checkout / "configs/train/mini_biconvlstm.yaml"),
                                 "steps": 4, "change": SMALL}},
        "augmentation": {"blur": {}},
        "personalize": {"look": {"change": {
            "method": {"name": "dreambooth", "token": "sks", "prompt": "{token} photo of a person",
                       "prior": None, "gradient_checkpointing": False, "steps": 2, "batch_size": 2},
            "frames": {"count": 4, "held_out": 1, "resolution": 48}, "device": "cpu"}}},
        "variants": {
            # The name ends the ids, which seed draws.
            "masks": {"name": randomized, "change": {"jobs": 1, "name": "same"}},
            "consistent": {"name": "translated", "personalized": ["look"], "change": {
                "clips": ["*Advance*"], "frames": {"name": "even", "count": 4}, "size": 48,
                "control.edges.name": "canny", "control.pose.name": "sidecar",
                "control.flow.name": "dis", "prompt.template": "{token} photo of a person",
                "prompt.token": "sks", "backbone.sampling.scheduler.name": "ddim",
                "backbone.sampling.steps": 2, "backbone.sampling.guidance": 1.0,
                "backbone.sampling.noise.name": "shared", "device": "cpu"}},
            "matched": {"name": matched, "of": "consistent"},
        },
        "arms": {
            "source only": {"data": ["source"], "augment": False},
            "masks": {"data": ["masks"]},
            "translated": {"data": ["source", "matched"], "weights": [1, 1]},
            "translated then DAN": {"data": ["source", "consistent"], "weights": [1, 1],
                                     "adapt": {"steps": 4, "change": {"method.name": "dan"}}},
        },
        "evaluate": {"device": "cpu", "workers": 0},
    }  # fmt: skip


def make(checkout: Path, place: Path) -> None:
    """Run every job of a checkout in a folder; ends this program where one fails."""
    hook = place.parent / "hook"
    hook.mkdir(exist_ok=True)
    (hook / "sitecustomize.py").write_text(CONSTANT_DIGEST)
    place.mkdir(exist_ok=True)
    (place / "whole.yaml").write_text(json.dumps(whole(checkout)))
    path = os.pathsep.join([str(hook), str(checkout)])
    environment = {**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1"}
    for name, arguments in jobs(checkout):
        done = place.parent / f"{place.name}-{name}.done"
        if done.exists():  # by an earlier call with the same --work
            continue
        print(f"{place.name}: {name}", flush=True)
        with (place.parent / f"{place.name}-{name}.txt").open("w") as said:
            command = [sys.executable, "-m", "vidda.cli", *arguments.split()]
            ended = subprocess.run(command, cwd=place, env=environment, stdout=said, stderr=said)
        if ended.returncode:
            sys.exit(f"{checkout}: vidda {arguments} failed; see {said.name}")
        done.touch()


def differences(old: Path, new: Path, checkouts: tuple[Path, Path]) -> Iterator[str]:
    """What is not the same in two folders, a line each."""
    before = {_spelled(_moved(name, MOVED_FILES)): name for name in _files(old)}
    after = set(_files(new))
    yield from (f"{name}: only in the old" for name in sorted(before.keys() - after))
    yield from (f"{name}: only in the new" for name in sorted(after - before.keys()))
    for name in sorted(before.keys() & after):
        yield from (
            f"{name}: {line}"
            for line in _compare(
                old / before[name], new / name, ((old, checkouts[0]), (new, checkouts[1]))
            )
        )


def _files(folder: Path) -> list[str]:
    found = (
        path
        for path in folder.rglob("*")
        if path.is_file()
        and path.name not in LEFT_OUT
        and path.suffix != ".log"
        and not path.relative_to(folder).as_posix().startswith(LETTERED)
    )
    return [path.relative_to(folder).as_posix() for path in found]


def _compare(old: Path, new: Path, places: tuple[Places, Places]) -> Iterator[str]:
    kind = new.suffix
    if kind in (".mp4", ".mkv"):
        yield from _arrays({"frames": _frames(old)}, {"frames": _frames(new)})
    elif kind in (".png", ".jpg"):
        yield from _arrays(
            {"pixels": np.asarray(Image.open(old))}, {"pixels": np.asarray(Image.open(new))}
        )
    elif kind == ".safetensors":
        yield from _arrays(load_file(old), load_file(new))
    elif kind == ".npz":
        yield from _arrays(dict(np.load(old)), dict(np.load(new)))
    elif kind in (".json", ".jsonl", ".yaml", ".csv"):
        yield from _values(
            _content(old, places[0], moved=True), _content(new, places[1], moved=False)
        )
    elif old.read_bytes() != new.read_bytes():
        yield "other bytes"


def _frames(file: Path) -> np.ndarray:
    with av.open(str(file)) as container:
        return np.stack([frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)])


def _arrays(old: dict[str, np.ndarray], new: dict[str, np.ndarray]) -> Iterator[str]:
    if old.keys() != new.keys():
        yield f"other names: {sorted(old.keys() ^ new.keys())[:4]}"
    for name in old.keys() & new.keys():
        if not np.array_equal(old[name], new[name], equal_nan=old[name].dtype.kind == "f"):
            yield f"{name} differs"


def _content(file: Path, places: Places, *, moved: bool) -> dict[str, Any]:
    """Return a file's values by dotted keys."""
    text = file.read_text(encoding="utf-8")
    for place, name in zip(places, ("WORK", "CHECKOUT"), strict=True):
        text = text.replace(str(place), name)
    if file.suffix == ".csv":
        tree: Any = list(csv.DictReader(text.splitlines()))
    elif file.suffix == ".jsonl":
        tree = [json.loads(line) for line in text.splitlines()]
    elif file.suffix == ".yaml":
        tree = YAML(typ="safe", pure=True).load(text)
    else:
        tree = json.loads(text)
    flat = dict(_leaves(tree, ""))
    name = file.relative_to(places[0]).as_posix()
    if moved and not fnmatch(name, NOT_SPELLED):
        table = {old: new for files, old, new in MOVED_KEYS if fnmatch(name, files)}
        flat = {_spelled(_moved(key, table)): _renamed(value) for key, value in flat.items()}
    new = set() if moved else {key for files, key in NEW_KEYS if fnmatch(name, files)}
    return {
        key: value
        for key, value in flat.items()
        if not (key in new or VOLATILE & set(key.split(".")) or OF_TEXTS.search(key))
    }


def _leaves(tree: Any, prefix: str) -> Iterator[tuple[str, Any]]:
    if isinstance(tree, dict) and tree:
        for key, value in tree.items():
            yield from _leaves(value, f"{prefix}.{key}" if prefix else str(key))
    elif isinstance(tree, list) and tree:
        for number, value in enumerate(tree):
            yield from _leaves(value, f"{prefix}.{number}" if prefix else str(number))
    else:
        yield prefix, tree


def _values(old: dict[str, Any], new: dict[str, Any]) -> Iterator[str]:
    for key in dict.fromkeys([*old, *new]):
        if old.get(key, "absent") != new.get(key, "absent"):
            yield f"{key} was {old.get(key, 'absent')!r:.80}, is {new.get(key, 'absent')!r:.80}"


def _moved(name: str, table: dict[str, str]) -> str:
    """Return a name after the first entry of a table that it begins with."""
    for old, new in table.items():
        if name == old or name.startswith((old + ".", old + "/")):
            return new + name[len(old) :]
    return name


def _spelled(text: str) -> str:
    for old, new in SPELLED.items():
        text = text.replace(old, new)
    return text


def _renamed(value: Any) -> Any:
    """Return a value of the old checkout in the new one's words."""
    if not isinstance(value, str):
        return value
    for old, new in MOVED_FILES.items():
        value = value.replace(old, new)
    return MOVED_WORDS.get(value, _spelled(value))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("old", type=lambda text: Path(text).resolve())
    parser.add_argument("new", type=lambda text: Path(text).resolve())
    parser.add_argument("--work", type=Path, help="an empty folder to keep what is made")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        work = (given.work or Path(temporary)).resolve()
        work.mkdir(parents=True, exist_ok=True)
        for checkout, place in ((given.old, work / "old"), (given.new, work / "new")):
            make(checkout, place)
        found = list(differences(work / "old", work / "new", (given.old, given.new)))
        count = len(_files(work / "new"))
    print("\n".join(found) or f"all {count} files are the same")
    return int(bool(found))


if __name__ == "__main__":
    sys.exit(main())
