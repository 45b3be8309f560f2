"""The types refuse what would corrupt an experiment, and cross process borders."""

import pickle
from dataclasses import FrozenInstanceError, replace
from pathlib import Path

import numpy as np
import pytest

from vidda.errors import ViddaError
from vidda.types import ClipRecord, Manifest, Predictions, Shift

CLASSES = ("Advance", "Halt")


def clip(name: str, label: int | None = 0, **more: object) -> ClipRecord:
    return replace(ClipRecord(name, f"{name}.mp4", label, "synthetic", "ground"), **more)


def manifest(*clips: ClipRecord, classes: tuple[str, ...] = CLASSES) -> Manifest:
    return Manifest(Path("videos"), classes, clips)


@pytest.mark.parametrize("path", ["../a.mp4", "/a.mp4", "x/../../a.mp4", "", "."])
def test_a_path_that_leaves_the_root_is_refused(path: str) -> None:
    with pytest.raises(ViddaError, match="clip 'c'"):
        clip("c", path=path)


def test_a_clip_is_frozen_hashable_and_picklable() -> None:
    one = clip("a", meta={"scene": "3"}, altitude_m=15.0)
    with pytest.raises(FrozenInstanceError):
        one.label = 1  # type: ignore[misc]
    assert pickle.loads(pickle.dumps(one)) == one
    assert hash(one) == hash(replace(one))


def test_a_manifest_refuses_repeated_ids_and_labels_out_of_range() -> None:
    with pytest.raises(ViddaError, match="'a' is duplicated"):
        manifest(clip("a"), clip("a", path="b.mp4"))
    for label in (2, -1):
        with pytest.raises(ViddaError, match=rf"'a': label {label} not in 0\.\.1"):
            manifest(clip("a", label))
    manifest(clip("a", None))


def test_where_selects_by_fields_and_by_further_columns() -> None:
    all_clips = manifest(
        clip("a", meta={"scene": "1"}), clip("b", 1), clip("c", 1, meta={"scene": "1"})
    )
    assert [c.id for c in all_clips.where(label=1).clips] == ["b", "c"]
    assert [c.id for c in all_clips.where(scene="1", label=1).clips] == ["c"]
    with pytest.raises(ViddaError, match="'scenes'"):
        all_clips.where(scenes="1")
    assert len(all_clips.where(domain="real").where(domain="real")) == 0


def test_the_fingerprint_follows_every_column_and_the_order_but_not_the_root() -> None:
    base = manifest(clip("a"), clip("b"))
    assert base.fingerprint() == replace(base, root=Path("elsewhere")).fingerprint()
    others = [
        manifest(clip("b"), clip("a")),
        manifest(clip("a"), clip("b"), classes=("Halt", "Advance")),
        base.unlabeled(),
        *(
            manifest(clip("a"), clip("b", **{key: value}))
            for key, value in {
                "path": "c.mp4",
                "label": 1,
                "domain": "real",
                "view": "air",
                "subject": "S01",
                "altitude_m": 15.0,
                "parent_id": "a",
                "meta": {"scene": "1"},
            }.items()
        ),
    ]
    prints = [m.fingerprint() for m in [base, *others]]
    assert len(set(prints)) == len(prints)


def test_a_shift_hides_the_labels_of_its_target() -> None:
    shift = Shift(
        manifest(clip("a")), manifest(clip("b", 1)), manifest(clip("c")), manifest(clip("d"))
    )
    assert shift.target is not None
    assert [c.label for c in shift.target.clips] == [None]
    assert [c.label for c in shift.test.clips] == [0]


def test_a_shift_refuses_test_clips_in_training_and_other_classes() -> None:
    source, target, val, test = (manifest(clip(name)) for name in "abcd")
    for parts in ((test, target, val), (source, test, val), (source, target, test)):
        with pytest.raises(ViddaError, match=r"1 test clips are in .* too, first 'd'"):
            Shift(*parts, test)
    with pytest.raises(ViddaError, match="source has classes"):
        Shift(manifest(clip("a"), classes=("Halt", "Advance")), None, val, test)


def test_predictions_refuse_lengths_that_differ() -> None:
    Predictions(("a", "b"), np.zeros((2, 3)), np.zeros(2))
    with pytest.raises(ViddaError, match="2 clip ids, but logits"):
        Predictions(("a", "b"), np.zeros((3, 2)))
    with pytest.raises(ViddaError, match="2 clip ids, but labels"):
        Predictions(("a", "b"), np.zeros((2, 3)), np.zeros(3))


def gathered(classes: tuple[str, ...], *labels: int | None) -> Manifest:
    clips = tuple(ClipRecord(f"{n}", f"{n}", k, "real", "air") for n, k in enumerate(labels))
    return Manifest(Path(), classes, clips, classes_inferred=True)


@pytest.mark.parametrize(
    ("own", "labels", "expected"),
    [
        (("0",), [0, 0], [0, 0]),
        (("0", "1"), [1, None], [1, None]),
        (("Rally",), [0, None], [2, None]),
        (("Rally", "Halt"), [0, 1], [2, 1]),
        (("other",), [None, None], [None, None]),
        ((), [None], [None]),
    ],
)
def test_a_few_clips_are_put_under_the_classes_of_all(
    own: tuple[str, ...], labels: list[int | None], expected: list[int | None]
) -> None:
    classes = ("Advance", "Halt", "Rally")
    found = gathered(own, *labels).with_classes(classes)
    assert found.classes == classes
    assert [clip.label for clip in found.clips] == expected
    declared = replace(gathered(own, *labels), classes_inferred=False)
    assert declared.with_classes(classes) is declared


@pytest.mark.parametrize("own", [("0", "1", "2", "3"), ("Rally", "other")])
def test_clips_of_other_classes_stay_under_their_own(own: tuple[str, ...]) -> None:
    manifest = gathered(own, 0, 1)
    assert manifest.with_classes(("Advance", "Halt", "Rally")) is manifest
