"""Files of predictions: what comes back, what is refused, and the join with a manifest."""

import pickle
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from trained import CLASSES, random_logits

from vidda.data import load_manifest
from vidda.data.saved_predictions import SavedPredictions, load_predictions, save_predictions
from vidda.errors import ViddaError
from vidda.evaluate.labeled_predictions import align_clips, columns_of, join_labels
from vidda.types import ClipRecord, Manifest, Predictions

IDS = ("real/ground/Halt/a.mp4", "b", "clip ü")


def saved(path: Path, **changed: object) -> Path:
    """A good file, with some of its arrays changed or (None) left out."""
    arrays = {
        "ids": np.array(IDS),
        "logits": random_logits(3),
        "classes": np.array(CLASSES),
        "labels": np.array([0, 2, 1]),
        "clip.view": np.array(["air", "air", ""]),
    }
    arrays |= changed  # type: ignore[arg-type]
    np.savez(path, **{name: value for name, value in arrays.items() if value is not None})
    return path


def manifest(labels: tuple[int | None, ...] = (0, 2, 1), ids: tuple[str, ...] = IDS) -> Manifest:
    clips = [
        ClipRecord(i, "x.mp4", label, "real", "air", "S1", 15.0)
        for i, label in zip(ids, labels, strict=True)
    ]
    clips[-1] = replace(clips[-1], subject=None, altitude_m=None)
    return Manifest(Path("/"), CLASSES, tuple(clips))


def problem(path: Path) -> str:
    with pytest.raises(ViddaError) as caught:
        load_predictions(path)
    (line,) = str(caught.value).splitlines()
    assert line.startswith(str(path))
    return line


def test_what_is_saved_comes_back(tmp_path: Path) -> None:
    logits, file = random_logits(3), tmp_path / "new" / "p.npz"
    columns = columns_of(manifest())
    predictions = Predictions(IDS, logits, np.array([0, 2, 1]))
    save_predictions(file, predictions, CLASSES, columns)
    found = load_predictions(file)
    assert (found.predictions.ids, found.classes) == (IDS, CLASSES)
    assert np.array_equal(found.predictions.logits, logits)
    assert found.predictions.labels is not None
    assert found.predictions.labels.tolist() == [0, 2, 1]
    assert {k: v.tolist() for k, v in found.columns.items()} == {
        "view": ["air"] * 3,
        "altitude_m": ["15", "15", ""],
        "subject": ["S1", "S1", ""],
    }
    before = file.read_bytes()
    save_predictions(file, predictions, CLASSES, columns)
    assert file.read_bytes() == before
    assert list(file.parent.iterdir()) == [file]


def test_labels_and_columns_may_be_absent_and_so_may_clips(tmp_path: Path) -> None:
    file = tmp_path / "p.npz"
    save_predictions(file, Predictions(IDS, random_logits(3)), CLASSES)
    assert load_predictions(file).predictions.labels is None
    save_predictions(file, Predictions((), random_logits(0)), CLASSES)
    assert load_predictions(file).predictions.ids == ()


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"logits": None}, "has no array logits"),
        ({"logits": random_logits(2)}, "(2, 3) for 3 clips and 3 classes"),
        ({"logits": random_logits(3, 4)}, "(3, 4) for 3 clips and 3 classes"),
        ({"logits": random_logits(3).astype(np.float64)}, "float64 logits"),
        ({"logits": random_logits(3) * np.float32("nan")}, "3 clips have logits that are nan"),
        ({"logits": random_logits(3) * np.float32("-inf")}, "3 clips have logits that are nan"),
        ({"ids": np.arange(3)}, "ids is not text"),
        ({"ids": np.array(["a", "b", "b"])}, "ids holds 'b' 2 times"),
        ({"ids": np.array([["a", "b", "c"]])}, "ids has shape (1, 3)"),
        ({"classes": np.array(["Halt", "Run", "Halt"])}, "classes holds 'Halt' 2 times"),
        ({"labels": np.array([0, 3, 1])}, "labels reach from 0 to 3, not in 0..2"),
        ({"labels": np.array([0, 1])}, "labels of shape (2,)"),
        ({"clip.view": np.array(["air"])}, "column view has shape (1,)"),
        ({"clip.altitude_m": np.array(["15", "", "low"])}, "altitude_m holds 'low', which is no"),
        ({"clip.altitude_m": np.array(["15", "", "nan"])}, "altitude_m holds 'nan', which is no"),
    ],
)
def test_arrays_that_do_not_belong_together(
    tmp_path: Path, changed: dict[str, object], said: str
) -> None:
    assert said in problem(saved(tmp_path / "p.npz", **changed))


def test_files_that_are_none(tmp_path: Path) -> None:
    assert "no such file" in problem(tmp_path / "none.npz")
    (tmp_path / "text.npz").write_text("not a zip")
    assert "cannot be read" in problem(tmp_path / "text.npz")
    whole = saved(tmp_path / "whole.npz").read_bytes()
    (tmp_path / "half.npz").write_bytes(whole[: len(whole) // 2])
    assert "cannot be read" in problem(tmp_path / "half.npz")
    np.save(tmp_path / "one.npy", np.zeros(3))
    assert "it is one array alone" in problem(tmp_path / "one.npy")


class Bomb:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return Path.touch, (Path("exploded"),)


def test_nothing_is_unpickled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "raw.npz").write_bytes(pickle.dumps(Bomb()))
    assert "cannot be read" in problem(tmp_path / "raw.npz")
    objects = np.array([Bomb()] * 3, dtype=object)
    assert "cannot be read" in problem(saved(tmp_path / "objects.npz", ids=objects))
    assert not (tmp_path / "exploded").exists()


def test_the_join_puts_predictions_in_the_manifests_order() -> None:
    logits = random_logits(3)
    turned = Predictions(IDS[::-1], logits[::-1])
    found = join_labels(SavedPredictions("p.npz", turned, CLASSES), manifest(), "m.csv")
    assert found.predictions.ids == IDS
    assert np.array_equal(found.predictions.logits, logits)
    assert found.predictions.labels is not None
    assert found.predictions.labels.tolist() == [0, 2, 1]
    assert found.columns["subject"].tolist() == ["S1", "S1", ""]


def test_a_join_that_cannot_be() -> None:
    logits = random_logits(3)

    def said(labels: np.ndarray | None, other: Manifest, classes: tuple[str, ...] = CLASSES) -> str:
        mine = SavedPredictions("p.npz", Predictions(IDS, logits, labels), classes)
        with pytest.raises(ViddaError) as caught:
            join_labels(mine, other, "m.csv")
        (line,) = str(caught.value).splitlines()
        return line

    other_ids = said(None, manifest(ids=("b", "c", "d")))
    assert "2 clips missing, first 'c'; 2 clips too many, first 'clip ü'" in other_ids
    assert "1 of 3 clips have no label, first 'b'" in said(None, manifest((0, None, 1)))
    assert "other labels than m.csv for 2 clips" in said(np.array([0, 1, 2]), manifest())
    assert "no clips in it" in said(None, replace(manifest(), clips=()))
    assert "class 'Rally' is unknown to p.npz" in said(None, manifest(), ("Advance", "Halt", "Run"))
    assert "in another order than in p.npz" in said(None, manifest(), CLASSES[::-1])
    fewer = replace(manifest((0, 1, 1)), classes=CLASSES[:2])
    assert "m.csv: 2 classes, p.npz knows 3" in said(None, fewer)


def test_two_files_of_the_same_clips() -> None:
    logits, labels = random_logits(3), np.array([0, 2, 1])
    first = SavedPredictions("a.npz", Predictions(IDS, logits, labels), CLASSES)
    turned = Predictions(IDS[::-1], logits[::-1], labels[::-1])
    found = align_clips(SavedPredictions("b.npz", turned, CLASSES), first)
    assert found.predictions.ids == IDS and found.source == "b.npz"
    assert np.array_equal(found.predictions.logits, logits)
    for changed, said in [
        (Predictions(("x", *IDS[1:]), logits, labels), "1 clips missing"),
        (Predictions(IDS, logits, labels[::-1]), "other labels than a.npz"),
        (Predictions(IDS, logits), "holds no labels"),
    ]:
        with pytest.raises(ViddaError, match=said):
            align_clips(SavedPredictions("b.npz", changed, CLASSES), first)


@pytest.mark.parametrize("text", ["path,label\na,0\nb,0\n", "path,class\na,Advance\nb,Advance\n",
                                  "path,label,class\na,0,Advance\nb,0,Advance\n"])  # fmt: skip
def test_clips_of_one_class_are_measured_by_a_lone_csv(tmp_path: Path, text: str) -> None:
    (tmp_path / "one.csv").write_text(text)
    logits = np.eye(3, dtype=np.float32)[:2]
    own = SavedPredictions("p.npz", Predictions(("a", "b"), logits), ("Advance", "Halt", "Rally"))
    joined = join_labels(own, load_manifest(tmp_path / "one.csv"), "one.csv")
    assert joined.predictions.labels is not None
    assert joined.predictions.labels.tolist() == [0, 0]


def test_clips_without_labels_are_said_to_have_none(tmp_path: Path) -> None:
    (tmp_path / "none.csv").write_text("path\na\nb\n")
    own = SavedPredictions("p", Predictions(("a", "b"), np.eye(2, dtype=np.float32)), ("x", "y"))
    with pytest.raises(ViddaError, match="2 of 2 clips have no label"):
        join_labels(own, load_manifest(tmp_path / "none.csv"), "none.csv")
