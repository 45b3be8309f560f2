"""Arms whose data would need masks or poses that the clips do not have are left out, with why."""

import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.experiment.jobs import TRANSLATE, job, loaded, of_tree, write_mask
from tests.trees import SYN_A
from tests.trees import prepare as prepare_tree
from vidda.errors import ViddaError
from vidda.experiment.data_summary import read_parts
from vidda.experiment.experiment_plan import ExperimentPlan, make_plan
from vidda.experiment.gpu_hours import estimate_gpu_hours

ARMS = {
    "source only": {"data": ["source"]},
    "masks": {"data": ["masks"]},
    "still": {"data": ["still masks"]},
    "poses": {"data": ["source", "poses"]},
    "person": {"data": ["person"]},
}
WITHOUT_POSES = {key: value for key, value in TRANSLATE.items() if "pose" not in key}
NO_MASKS = (
    "vidda mask makes them: add a variant with name masked, of what this one is of, and make this"
    " one of that"
)


def plan(folder: Path, weights: Path, *, masks: bool, **more: Any) -> ExperimentPlan:
    content = of_tree(folder, weights=str(weights), arms=ARMS)
    content["variants"] = {
        "masks": {"name": "randomized"},
        "still": {"name": "camera_matched", "change": {"match.shake": False}},
        "still masks": {"name": "randomized", "of": "still"},
        "poses": {"name": "translated", "change": TRANSLATE},
        "person": {
            "name": "translated",
            "change": {**WITHOUT_POSES, "backbone.sampling.keep_person": {"name": "pixels"}},
        },
    }
    if not masks:
        shutil.rmtree(folder / "tree" / "sidecar")
    return make_plan(loaded(content | more))


def test_what_needs_sidecars_is_left_out_where_the_data_have_none(
    tmp_path: Path, weights: Path
) -> None:
    found = plan(tmp_path, weights, masks=False)
    none = "the clips of syn_ground_train have no"
    estimate = "set control.pose.name to mmpose, onnx, blazepose or vitpose"
    assert found.left_out[:4] == (
        f"masks: {none} mask in sidecars; {NO_MASKS}",
        "still masks: the clips of still-syn_ground_train-real_ground_train have no mask in"
        f" sidecars; {NO_MASKS}",
        f"poses: {none} keypoints in sidecars; estimate poses instead: in variants.poses.change,"
        f" {estimate}",
        f"person: {none} mask in sidecars; estimate poses instead: in variants.person.change,"
        f" {estimate}, for masks around them; {NO_MASKS}",
    )
    commands = [stage.command for stage in found.stages]
    assert "randomize" not in commands and "translate" not in commands
    assert commands.count("train") == 1


def test_a_variant_with_masks_gives_them_to_those_that_are_made_of_it(
    tmp_path: Path, weights: Path
) -> None:
    variants = {
        "with masks": {"name": "masked", "change": {"source.people": 3, "people": "main"}},
        "masks": {"name": "randomized", "of": "with masks"},
        "shaken": {"name": "camera_matched", "of": "masks"},
        "again": {"name": "masked", "of": "shaken"},
        "still masks": {"name": "randomized", "of": "again"},
    }
    arms = {name: {"data": [name]} for name in ("masks", "still masks")}
    content = of_tree(tmp_path, variants=variants, arms=arms)
    shutil.rmtree(tmp_path / "tree" / "sidecar")
    found = make_plan(loaded(content))
    assert found.left_out == ()
    made = {stage.out: stage for stage in found.stages}
    randomized = [stage for stage in found.stages if stage.command == "randomize"]
    assert len(randomized) == 2
    for stage in randomized:
        masks = made[stage.config.input.parent]
        assert masks.command == "mask" and masks.out.parent.name == "masked"
        assert stage.inputs == (masks.out / "manifest.csv",)
    first = made[randomized[0].config.input.parent].config
    assert (first.source.people, first.people) == (3, "main")
    prepared = Path(content["out"]) / "prepared"
    parts = read_parts(found.known, prepared, found.tasks)
    lines, _ = estimate_gpu_hours(found.stages, parts, prepared, 1.0)
    assert [line.partition(":")[0] for line in lines] == ["train tiny", "evaluate tiny"]


def test_a_variant_with_poses_gives_them_to_translations_of_it(
    tmp_path: Path, weights: Path
) -> None:
    variants = {
        "people": {"name": "masked", "change": {"pose.name": "blazepose"}},
        "poses": {"name": "translated", "of": "people", "change": TRANSLATE},
    }
    arms = {"source only": {"data": ["source"]}, "poses": {"data": ["poses"]}}
    content = of_tree(tmp_path, weights=str(weights), variants=variants, arms=arms)
    shutil.rmtree(tmp_path / "tree" / "sidecar")
    assert make_plan(loaded(content)).left_out == ()
    content["variants"]["people"]["change"] = {}
    assert "have no keypoints in sidecars" in make_plan(loaded(content)).left_out[0]


def test_what_the_first_sidecar_holds_decides(tmp_path: Path, weights: Path) -> None:
    found = plan(tmp_path, weights, masks=True)
    assert [line.partition(":")[0] for line in found.left_out] == ["poses", "arm 'poses'"]
    assert [stage.name.partition("-")[0] for stage in found.stages[1:5]] == [
        "masks", "still", "still_masks", "person",
    ]  # fmt: skip


def test_prepared_data_tell_as_well(tmp_path: Path, weights: Path) -> None:
    for masks in (False, True):
        folder = tmp_path / str(masks)
        of_tree(folder)
        if not masks:
            shutil.rmtree(folder / "tree" / "sidecar")
        (folder / "tree").rename(folder / "root")
        prepare_tree(folder)
        keys = {
            "root": str(folder / "root"), "out": str(folder / "out"), "dataset.name": "rocog_v2",
        }  # fmt: skip
        content = job(folder / "job", mini=None, prepare=keys, arms=ARMS)
        content["variants"] = {"masks": {"name": "randomized"}}
        content["arms"] = {name: ARMS[name] for name in ("source only", "masks")}
        found = make_plan(loaded(content))
        assert ("randomize" in [stage.command for stage in found.stages]) == masks


def test_a_damaged_sidecar_is_named(tmp_path: Path, weights: Path) -> None:
    of_tree(tmp_path)
    shutil.rmtree(tmp_path / "tree" / "sidecar")
    write_mask(tmp_path / "tree", f"syn/ground/Advance/{SYN_A}")
    (file,) = (tmp_path / "tree" / "sidecar").rglob("*.npz")
    file.write_bytes(b"x")
    content = job(
        tmp_path / "out",
        mini=None,
        prepare={"root": str(tmp_path / "tree"), "dataset.name": "rocog_v2"},
        variants={"masks": {"name": "randomized"}},
        arms={"masks": {"data": ["masks"]}},
    )
    damaged = rf"^{file}: damaged \(.*\); write it again by numpy.savez$"
    with pytest.raises(ViddaError, match=damaged):
        make_plan(loaded(content))
