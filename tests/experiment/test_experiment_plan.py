"""The stages of a job: shared where they can be, alike but for the data, checked all at once."""

from copy import deepcopy
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.experiment.jobs import TRAIN, TRANSLATE, job, loaded, of_tree, with_variants
from vidda.adapt.adapt_config import AdaptConfig
from vidda.adapt.coral import CoralConfig
from vidda.camera.job import CameraJobConfig
from vidda.config import dump, load
from vidda.control.sidecar_poses import SidecarPosesConfig
from vidda.data.manifest import save_manifest
from vidda.data.randomize import RandomizeConfig
from vidda.errors import ViddaError
from vidda.evaluate.job import EvaluateConfig
from vidda.experiment import gpu_hours
from vidda.experiment.config_checks import check_configs
from vidda.experiment.data_summary import read_parts
from vidda.experiment.experiment_config import load as load_keys
from vidda.experiment.experiment_plan import ExperimentPlan, make_plan
from vidda.experiment.name_checks import folder_name
from vidda.experiment.stage import Stage, steps_per_epoch
from vidda.recognize.pose_transformer import PoseTransformerConfig
from vidda.recognize.swin_image import SwinImageConfig
from vidda.recognize.train_config import TrainConfig
from vidda.translate.translate_config import TranslateConfig
from vidda.types import ClipRecord, Manifest
from vidda.weights import Folder

AUGMENTED = {
    "source only": {"data": ["source"]},
    "target only": {"data": ["target"]},
}


def named(plan: ExperimentPlan, command: str) -> list[Stage]:
    return [stage for stage in plan.stages if stage.command == command]


def trained(stage: Stage) -> TrainConfig:
    assert isinstance(stage.config, TrainConfig)
    return stage.config


def saved(file: Path, count: int) -> Path:
    clips = tuple(ClipRecord(f"{file.stem}{n}", f"{n}.mp4", 0, "real", "air") for n in range(count))
    save_manifest(Manifest(file.parent, ("one",), clips), file)
    return file


def test_stages_come_in_order_and_each_needs_only_earlier_ones(
    tmp_path: Path, weights: Path
) -> None:
    content = with_variants(tmp_path / "out", weights=str(weights), seeds=[0, 1])
    plan = make_plan(loaded(content))
    commands = list(dict.fromkeys(stage.command for stage in plan.stages))
    made = ["randomize", "personalize", "translate"]
    assert commands == ["mini", "prepare", *made, "train", "evaluate", "report"]
    assert len(named(plan, "train")) == 8
    assert plan.left_out == ()
    outputs: list[Path] = []
    for stage in plan.stages:
        for path in stage.inputs:
            assert any(path.is_relative_to(out) for out in outputs), f"{stage.name} needs {path}"
        outputs.append(stage.out)
    assert len({stage.name for stage in plan.stages}) == len(plan.stages)
    assert [stage.title for stage in plan.stages][:9] == [
        "mini",
        "prepare",
        "randomize: masks, gs2gr",
        "personalize: decoder, gs2gr",
        "translate: ours, gs2gr",
        "train: source only, gs2gr, seed 0",
        "train: masks, gs2gr, seed 0",
        "train: source + ours, gs2gr, seed 0",
        "train: target only, gs2gr, seed 0",
    ]
    assert [stage.title for stage in plan.stages][-2:] == ["evaluate", "report"]


def test_titles_tell_every_stage_from_the_others(tmp_path: Path, weights: Path) -> None:
    recipe = {"steps": 4, "change": {"method": {"name": "dan"}}}
    content = with_variants(tmp_path / "out", weights=str(weights), tasks=[])
    content["variants"]["like target"] = {"name": "camera_matched", "of": "masks"}
    content["recognizers"]["other"] = content["recognizers"]["tiny"]
    content["arms"] |= {
        "plain": {"data": ["source"], "adapt": recipe},
        "like target": {"data": ["like target"], "augment": False},
    }
    titles = [stage.title for stage in make_plan(loaded(content)).stages]
    assert len(set(titles)) == len(titles)
    assert {
        "match cameras: like target, gs2ar",
        "train tiny: source only, gs2gr, gs2ar, seed 0",
        "adapt other: plain, gs2ar, seed 0",
        "report other",
    } <= set(titles)
    assert max(map(len, titles)) < 70


def test_long_names_become_short_folders_and_no_two_the_same(tmp_path: Path) -> None:
    assert folder_name("a" * 100) == "a" * 100
    assert folder_name("a" * 101).startswith("a" * 91 + "-")
    assert len({folder_name("ä" * 60 + end) for end in ("", "a", "b")}) == 3
    assert len(folder_name("aä" * 60).encode()) <= 100
    recipe = {"steps": 4, "change": {"method": {"name": "dan"}}}
    names = [letter * 180 for letter in "ab"]
    variants = {name: {"name": "camera_matched"} for name in names}
    arms = {name: {"data": [name], "adapt": recipe} for name in names}
    content = job(tmp_path / "out", arms=arms, variants=variants, seeds=[0, 1])
    stages = make_plan(loaded(content)).stages
    assert len({stage.name for stage in stages}) == len({stage.out for stage in stages}) == 14
    assert all(len(name.encode()) <= 100 for s in stages for name in (s.name, s.out.name))


def test_one_training_serves_all_tasks_and_arms_with_the_same_lists(tmp_path: Path) -> None:
    content = job(tmp_path / "out", tasks=[], arms=AUGMENTED, watch=True)
    plan = make_plan(loaded(content))
    runs = {stage.out.name: trained(stage) for stage in named(plan, "train")}
    assert set(runs) == {
        "syn_ground_train-augmented-0",
        "syn_air_train-augmented-0",
        "real_ground_train_tsonly-augmented-0",  # gr2ar's source, and gs2gr's target
        "real_air_train_tsonly-augmented-0",
    }
    (evaluate,) = named(plan, "evaluate")
    assert isinstance(evaluate.config, EvaluateConfig) and evaluate.config.transfer
    source, target = evaluate.config.transfer.rows
    assert source.runs["gs2gr"] == source.runs["gs2ar"]
    assert source.runs["gr2ar"] == target.runs["gs2gr"]
    watched = runs["syn_ground_train-augmented-0"].watch
    assert set(watched) == {"real_ground_test", "real_air_test"}
    assert runs["real_air_train_tsonly-augmented-0"].watch.keys() == {"real_air_test"}


def test_target_only_is_validated_on_its_own_clips_and_others_on_the_source(tmp_path: Path) -> None:
    plan = make_plan(loaded(job(tmp_path / "out")))
    source, target = (trained(stage) for stage in named(plan, "train"))
    splits = tmp_path / "out" / "prepared" / "splits" / "gs2gr"
    assert source.val == splits / "source_only" / "val.csv"
    assert source.train == (splits / "source_only" / "train.csv",)
    assert target.val == splits / "target_only" / "val.csv"
    assert source.watch == {} and source.transform.color_jitter is None
    assert target.transform.color_jitter is not None


def test_arms_differ_in_their_data_alone(tmp_path: Path, weights: Path) -> None:
    plan = make_plan(loaded(with_variants(tmp_path / "out", weights=str(weights))))
    dumps = [trained(stage).model_dump() for stage in named(plan, "train")]
    for one in dumps:
        for key in ("run", "train", "val", "weights"):
            del one[key]
    plain, *augmented = dumps
    assert all(one == augmented[0] for one in augmented)
    assert {key for key in plain if plain[key] != augmented[0][key]} == {"transform"}


def test_an_adapted_arm_goes_on_from_a_training_of_its_own_data(tmp_path: Path) -> None:
    recipe = {
        "steps": 4,
        "change": {"method": {"name": "dan"}, "optimizer": {"name": "adamw", "lr": 5e-4}},
    }
    arms = {
        "source only": {"data": ["source"], "augment": False},
        "augmented": {"data": ["source"]},
        "dan": {"data": ["source"], "adapt": recipe},
    }
    tasks = ["gs2gr", "gs2ar"]
    plan = make_plan(loaded(job(tmp_path / "out", arms=arms, tasks=tasks, seeds=[0, 1])))
    adapted = named(plan, "adapt")
    base, splits = "syn_ground_train-augmented", tmp_path / "out" / "prepared" / "splits"
    assert [stage.out.name for stage in adapted] == [
        f"dan-syn_ground_train-real_{view}_train-adapted-{seed}"
        for seed in (0, 1)
        for view in ("ground", "air")
    ]
    assert len(named(plan, "train")) == 4, "both tasks and both arms share one training"
    to_air = adapted[1]
    assert isinstance(to_air.config, AdaptConfig)
    assert to_air.config.target == splits / "gs2ar" / "adapted" / "target.csv"
    assert to_air.config.method.name == "dan" and to_air.config.optimizer.lr == 5e-4
    assert to_air.config.start == tmp_path / "out" / "trained" / "tiny" / f"{base}-0"
    assert to_air.config.start / "DONE" in to_air.inputs and to_air.steps == 4
    (evaluate,) = named(plan, "evaluate")
    assert isinstance(evaluate.config, EvaluateConfig) and evaluate.config.transfer
    assert evaluate.config.transfer.rows[2].runs["gs2ar"][0] == to_air.out
    alike = {name: {"data": ["dan"], "augment": False} for name in ("plain", "dan")}
    alike["dan"]["adapt"] = recipe
    variants = {"dan": {"name": "camera_matched"}}
    plan = make_plan(loaded(job(tmp_path / "out", arms=alike, variants=variants)))
    names = [stage.out.name for stage in (*named(plan, "train"), *named(plan, "adapt"))]
    lists = "dan-syn_ground_train-real_ground_train"
    assert names == [f"{lists}-0", f"{lists}-adapted-0"], "a variant and an arm of one name"
    wrong = job(tmp_path / "out", arms={"top": {"data": ["target"], "adapt": recipe}})
    with pytest.raises(ViddaError, match=r"arms\.top\.adapt: it is trained on the target's labels"):
        make_plan(loaded(wrong))


def test_trainings_on_few_and_many_clips_take_as_many_steps(tmp_path: Path) -> None:
    content = job(tmp_path / "out")
    content["recognizers"]["tiny"]["steps"] = 60
    stage = named(make_plan(loaded(content)), "train")[0]
    steps = []
    for count in (9, 40):
        clips = saved(tmp_path / f"{count}" / "train.csv", count)
        config = trained(stage).model_copy(update={"train": (clips,)})
        changed = Stage(**{**_fields(stage), "config": config}).with_epochs()
        steps.append(trained(changed).epochs * steps_per_epoch(trained(changed)))
    assert steps == [60, 60]


def test_an_epoch_without_the_source_is_as_long_as_the_target(tmp_path: Path) -> None:
    recipe = {"steps": 30, "change": {"method": {"name": "atcon"}}}
    arms = {"atcon": {"data": ["source"], "adapt": recipe}}
    stage = named(make_plan(loaded(job(tmp_path / "out", arms=arms))), "adapt")[0]
    target = saved(tmp_path / "target.csv", 12)
    config = trained(stage).model_copy(update={"target": target})
    settled = trained(Stage(**{**_fields(stage), "config": config}).with_epochs())
    assert (settled.batch_size, settled.epochs) == (4, 10), "10 epochs of 3 steps"


def _fields(stage: Stage) -> dict[str, object]:
    return {name: getattr(stage, name) for name in Stage.__dataclass_fields__}


def test_a_translation_gets_the_job_s_model_and_what_was_learned_of_its_own_target(
    tmp_path: Path, weights: Path
) -> None:
    content = with_variants(tmp_path / "out", weights=str(weights), tasks=["gs2gr", "gs2ar"])
    plan = make_plan(loaded(content))
    ground, air = (stage.config for stage in named(plan, "translate"))
    assert isinstance(ground, TranslateConfig) and isinstance(air, TranslateConfig)
    assert ground.input == air.input
    assert ground.backbone.weights.base == Folder(path=weights)
    assert [net.source for net in ground.backbone.weights.controlnets] == [
        Folder(path=weights / "controlnet_edges"),
        Folder(path=weights / "controlnet_pose"),
    ]
    assert ground.backbone.weights.vae == Folder(
        path=tmp_path / "out" / "personalized" / "decoder-real_ground_train" / "result"
    )
    assert air.camera and "gs2ar/adapted/target.csv" in air.camera.target.as_posix()
    assert isinstance(ground.control.pose, SidecarPosesConfig)
    assert len(named(plan, "personalize")) == 2
    for stage in plan.stages:
        assert load(type(stage.config), _written(tmp_path, stage)) == stage.config


def _written(folder: Path, stage: Stage) -> Path:
    file = folder / "one.yaml"
    file.write_text(dump(stage.config))
    return file


def test_one_translation_is_matched_to_the_cameras_of_every_target(
    tmp_path: Path, weights: Path
) -> None:
    content = job(tmp_path / "out", weights=str(weights), tasks=["gs2gr", "gs2ar"])
    content["variants"] = {
        "still": {"name": "translated", "change": TRANSLATE},
        "ours": {"name": "camera_matched", "of": "still"},
        "cameras": {"name": "camera_matched", "change": {"match.noise": False}},
    }
    content["arms"] = {"ours": {"data": ["ours"]}, "cameras": {"data": ["cameras"]}}
    plan = make_plan(loaded(content))
    assert len(named(plan, "translate")) == 1
    matched = [stage.config for stage in named(plan, "camera")]
    assert all(isinstance(config, CameraJobConfig) for config in matched)
    translated = named(plan, "translate")[0].out / "manifest.csv"
    source = tmp_path / "out" / "prepared" / "splits" / "gs2gr" / "source_only" / "train.csv"
    inputs = [config.input for config in matched if isinstance(config, CameraJobConfig)]
    assert sorted(inputs) == sorted([translated, translated, source, source])
    assert len(named(plan, "train")) == 4
    content["variants"]["ours"]["of"] = "cameras"
    with pytest.raises(ViddaError, match="'cameras' cannot be camera-matched"):
        make_plan(loaded(content))


def test_without_a_model_the_arms_that_translate_are_left_out_by_name(tmp_path: Path) -> None:
    plan = make_plan(loaded(with_variants(tmp_path / "out", tasks=["gs2gr", "gr2ar"])))
    assert not named(plan, "translate") and not named(plan, "personalize")
    assert plan.left_out == (
        "masks in gr2ar: its source clips are not synthetic",
        "ours: no diffusion model; name its folder by weights=DIR",
        "ours in gr2ar: its source clips are not synthetic",
        "arm 'source + ours': nothing to train it on",
    )
    (evaluate,) = named(plan, "evaluate")
    assert isinstance(evaluate.config, EvaluateConfig) and evaluate.config.transfer
    rows = {row.name: set(row.runs) for row in evaluate.config.transfer.rows}
    assert rows["masks"] == {"gs2gr"} and "source + ours" not in rows


def test_every_mistake_in_every_stage_is_told_at_once(tmp_path: Path) -> None:
    content = with_variants(tmp_path / "out", weights=str(tmp_path / "nowhere"))
    content["recognizers"]["tiny"]["change"] = {**TRAIN, "batch_sise": 4, "patience": 3}
    content["variants"]["masks"]["change"] = {"copies": 0}
    content["variants"]["ours"]["change"] = {"backbone.sampling.stepz": 3}
    content["evaluate"] = {"crops": 2}
    content["report"] = {"titel": "x"}
    with pytest.raises(ViddaError) as raised:
        make_plan(loaded(content))
    text = str(raised.value)
    assert "recognizers.tiny: batch_sise: unknown key; did you mean 'batch_size'?" in text
    assert "variants.masks: copies: " in text
    assert "variants.ours: backbone.sampling.stepz: unknown key" in text
    assert "evaluate: crops: " in text
    assert "report: titel: unknown key; did you mean 'title'?" in text

    content = with_variants(tmp_path / "out", weights=str(tmp_path / "nowhere"))
    content["recognizers"]["tiny"]["change"] = {**TRAIN, "patience": 3}
    with pytest.raises(ViddaError) as raised:
        make_plan(loaded(content))
    text = str(raised.value)
    assert "recognizers.tiny: patience" in text
    assert f"variants.ours: backbone.weights.base: {tmp_path / 'nowhere'}: no such folder" in text
    assert len(text.splitlines()) == len(set(text.splitlines()))


def test_names_that_stand_for_nothing_are_told_at_once(tmp_path: Path) -> None:
    content = with_variants(
        tmp_path / "out", tasks=["gs2gr", "gs2gr", "gs2xx"], weights=str(tmp_path)
    )
    content |= {"personalize": {}, "mini": {"sise": 3}}
    content["arms"]["strange"] = {"data": ["maskz"], "weights": [1, 2]}
    content["variants"]["target"] = {"name": "randomized"}
    with pytest.raises(ViddaError) as raised:
        make_plan(loaded(content))
    lines = str(raised.value).splitlines()
    assert "tasks: 'gs2gr' is duplicated" in lines
    meant = "(did you mean gs2gr?); it has gs2gr, as2ar, gr2ar, gs2ar"
    assert f"tasks: rocog_v2 has no task 'gs2xx' {meant}" in lines
    assert "variants.ours.personalized: 'decoder' is not in personalize" in lines
    assert "variants.target: this name is reserved for the data itself; choose another" in lines
    assert "arms.strange.data: 'maskz' is not one of source, target, masks, ours, target" in lines
    assert "arms.strange.weights: 2 for 1 parts of data" in lines
    assert any(line.startswith("mini: sise: unknown key") for line in lines)


def test_hours_are_the_counted_work_at_the_given_speed(tmp_path: Path) -> None:
    content = of_tree(tmp_path)
    content["variants"] = {
        "masks": {"name": "randomized", "change": {"copies": 3}},
        "ours": {
            "name": "translated",
            "own_weights": True,
            "personalized": ["booth"],
            "change": {"frames": {"name": "even", "count": 16}},
        },
    }
    content["personalize"] = {"booth": {"change": {"method": {"name": "dreambooth"}}}}
    content["arms"] = {
        "ours": {"data": ["ours"]},
        "masks": {"data": ["masks"]},
        "target only": {"data": ["target"]},
    }
    plan = make_plan(loaded(content))
    prepared = tmp_path / "out" / "prepared"
    known = (read_parts(plan.known, prepared, plan.tasks), prepared)
    lines, total = gpu_hours.estimate_gpu_hours(plan.stages, *known, 100.0)
    kinds = [line.partition(":")[0] for line in lines]
    assert kinds == ["personalize booth", "translate ours", "train tiny", "evaluate tiny"]
    # 68 TFLOP a frame of 512x512 with two ControlNets, guidance and the previous frame, see
    # `vidda.translate.stable_diffusion.cost`; the tree's list has two clips, of which 16 frames are
    # taken.
    (translate,) = (line for line in lines if line.startswith("translate"))
    hours = float(translate.split(" = ")[1].split()[0])
    assert hours == pytest.approx(2 * 16 * 68 / 100 / 3600, rel=0.1)
    half = gpu_hours.estimate_gpu_hours(plan.stages, *known, 50.0)[1]
    assert half == pytest.approx(2 * total)


def translation_hours(folder: Path, **chooses: Any) -> float:
    """Hours to translate those of the tree's two source clips that are chosen."""
    content = of_tree(folder)
    change = {"frames": {"name": "even", "count": 16}, **chooses}
    content["variants"] = {"ours": {"name": "translated", "own_weights": True, "change": change}}
    content["arms"] = {"ours": {"data": ["ours"]}}
    plan = make_plan(loaded(content))
    prepared = folder / "out" / "prepared"
    parts = read_parts(plan.known, prepared, plan.tasks)
    lines, _ = gpu_hours.estimate_gpu_hours(plan.stages, parts, prepared, 100.0)
    (line,) = (line for line in lines if line.startswith("translate"))
    return float(line.split(" = ")[1].split()[0])


def test_hours_are_of_the_clips_that_a_translation_chooses(tmp_path: Path) -> None:
    both = translation_hours(tmp_path / "all")
    for name, chooses in {
        "limit": {"limit": 1},
        "pattern": {"clips": ["*_Advance_*"]},
        "neither limits": {"clips": ["*_Rally_*"], "limit": 5},
    }.items():
        found = translation_hours(tmp_path / name, **chooses)
        assert found == pytest.approx(both / 2, rel=0.01), name
    assert translation_hours(tmp_path / "more", limit=7) == both
    with pytest.raises(ViddaError) as raised:
        translation_hours(tmp_path / "none", clips=["nothing*"])
    assert str(raised.value).startswith(
        "translate: ours, gs2gr: clips: no clip's id matches 'nothing*', the first id is 'syn/"
    )


def test_a_job_s_randomization_reads_the_task_s_source(tmp_path: Path) -> None:
    (stage,) = named(make_plan(loaded(of_tree(tmp_path))), "randomize")
    assert isinstance(stage.config, RandomizeConfig)
    splits = tmp_path / "out" / "prepared" / "splits"
    assert stage.config.input == splits / "gs2gr" / "source_only" / "train.csv"
    assert np.all([path.is_relative_to(tmp_path) for path in stage.inputs])


def test_later_keys_may_name_another_choice_than_earlier_ones(tmp_path: Path) -> None:
    file = tmp_path / "adapt.yaml"
    file.write_text("run: r\ntrain: [a]\nval: b\ntarget: c\nmethod: {name: dann, hidden: 8}\n")
    model = {"model": {"name": "biconvlstm", "hidden": 4}, "method.weight": 0.5}
    later = {"method.name": "coral", "model.name": "swin_image"}
    found = load_keys(AdaptConfig, file, model, later)
    assert found.method == CoralConfig(weight=0.5)
    assert found.model == SwinImageConfig(hidden=4)


def test_a_recognizer_may_have_its_own_arms_and_augmentation(tmp_path: Path) -> None:
    content = job(tmp_path / "out")
    content["arms"]["augmented"] = {"data": ["source"]}
    pose = {**TRAIN, "model": {"name": "pose"}}
    del pose["transform"]
    content["recognizers"]["poses"] = {
        "steps": 8,
        "change": pose,
        "arms": ["source only", "augmented"],
        "augmentation": {"model.augment.cameras": {"azimuth": 10}},
    }
    plan = make_plan(loaded(content))
    check_configs(plan.stages)
    assert len(named(plan, "train")) == 5
    models = [trained(stage).model for stage in named(plan, "train")]
    cameras = [
        m.augment.cameras for m in models if isinstance(m, PoseTransformerConfig) and m.augment
    ]
    assert [camera and camera.azimuth for camera in cameras] == [None, 10]
    (table,) = [one.config for one in named(plan, "evaluate") if one.title == "evaluate poses"]
    assert isinstance(table, EvaluateConfig) and table.transfer is not None
    assert [row.name for row in table.transfer.rows] == ["source only", "augmented"]
    only = deepcopy(content)
    only["recognizers"] = {"poses": content["recognizers"]["poses"]}
    plan = make_plan(loaded(only))
    assert {stage.command for stage in plan.stages} == {
        "mini",
        "prepare",
        "train",
        "evaluate",
        "report",
    }
    assert [line for line in plan.left_out if "no recognizer names it" in line]
    content["recognizers"]["poses"]["arms"] = ["sourceonly"]
    with pytest.raises(ViddaError, match=r"recognizers\.poses\.arms: 'sourceonly' is not one of"):
        make_plan(loaded(content))
    content["recognizers"]["poses"] = {"steps": 8, "change": pose}
    stages = make_plan(loaded(content)).stages
    with pytest.raises(ViddaError, match="transform: pose takes poses, not pixels"):
        check_configs(stages)
