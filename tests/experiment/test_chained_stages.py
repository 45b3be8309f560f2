"""Stages whose input is what another stage makes: personalizations, captions and variants."""

import json
from pathlib import Path
from typing import Any

import pytest
from clips import moving

from tests.experiment.jobs import DECODER, TRANSLATE, job, loaded, of_tree, with_variants
from tests.experiment.test_experiment_plan import named
from tests.tiny_blip import write_blip
from vidda.camera.job import CameraJobConfig
from vidda.config import dump, load
from vidda.data import load_manifest
from vidda.data.manifest import save_manifest
from vidda.data.randomize import RandomizeConfig
from vidda.errors import ViddaError
from vidda.experiment import gpu_hours
from vidda.experiment.data_summary import read_parts
from vidda.experiment.experiment_plan import make_plan
from vidda.experiment.job import run
from vidda.experiment.stage import Stage
from vidda.experiment.stage_session import run_stage
from vidda.translate.caption import CaptionerConfig
from vidda.translate.caption_job import CaptionConfig
from vidda.translate.prompts import read_captions
from vidda.translate.stable_diffusion.fingerprint import fingerprint
from vidda.translate.stable_diffusion.personalize.card import CARD
from vidda.translate.stable_diffusion.weights_config import WeightsConfig
from vidda.translate.translate_config import TranslateConfig
from vidda.types import ClipRecord, Manifest
from vidda.video import write
from vidda.weights import Folder

INVERSION = {
    **DECODER,
    "method": {
        "name": "textual_inversion", "token": "<real>", "initializer": "person", "steps": 2,
    },
}  # fmt: skip
BOOTH = {**DECODER, "method": {"name": "dreambooth", "prior": None, "steps": 2}}


def chained(out: Path, weights: Path, **more: Any) -> dict[str, Any]:
    """A job whose variant lists Textual Inversion on a DreamBoothed model with another decoder."""
    content = with_variants(out, weights=str(weights), **more)
    content["personalize"] = {
        "words": {"base": "booth", "change": INVERSION},
        "booth": {"base": "decoder", "change": BOOTH},
        "decoder": {"change": DECODER},
    }
    content["variants"]["ours"]["personalized"] = ["booth", "words"]
    return content


def test_a_personalization_starts_from_the_result_of_another(tmp_path: Path, weights: Path) -> None:
    content = chained(tmp_path / "out", weights, tasks=["gs2gr", "gs2ar"])
    plan = make_plan(loaded(content))
    stages = {stage.name: stage for stage in named(plan, "personalize")}
    assert list(stages) == [
        f"{name}-real_{view}_train"
        for view in ("ground", "air")
        for name in ("decoder", "booth", "words")
    ]
    decoder, booth, words = (stage for name, stage in stages.items() if "air" in name)
    configs = [stage.config.model_dump() for stage in (decoder, booth, words)]
    base, vae = Folder(path=weights), Folder(path=decoder.out / "result")
    pipeline = Folder(path=booth.out / "result")
    assert [one["base"] for one in configs] == [
        base.model_dump(),
        base.model_dump(),
        pipeline.model_dump(),
    ]
    assert [one["vae"] for one in configs] == [None, vae.model_dump(), None]
    assert decoder.out / "DONE" in booth.inputs and booth.out / "DONE" in words.inputs
    assert decoder.out / "DONE" not in words.inputs
    to_air = named(plan, "translate")[1]
    assert isinstance(to_air.config, TranslateConfig)
    assert to_air.config.backbone.weights.base == base
    assert to_air.config.backbone.weights.dreambooth == pipeline
    (word,) = to_air.config.backbone.weights.embeddings
    assert word.source == Folder(path=words.out / "result")
    assert {booth.out / "DONE", words.out / "DONE"} < set(to_air.inputs)
    file = tmp_path / "one.yaml"
    for stage in plan.stages:
        file.write_text(dump(stage.config))
        assert load(type(stage.config), file) == stage.config


def test_personalizations_that_cannot_start_are_refused_at_once(
    tmp_path: Path, weights: Path
) -> None:
    content = chained(tmp_path / "out", weights)
    bases = {"a": "b", "b": "c", "c": "a", "d": "a", "e": "nothing", "f": "f"}
    content["personalize"] |= {
        **{name: {"base": base, "change": DECODER} for name, base in bases.items()},
        "on words": {"base": "words", "change": DECODER},
        "own vae": {
            "base": "decoder",
            "change": {**BOOTH, "vae": {"name": "folder", "path": str(weights / "vae")}},
        },
        "elsewhere": {"change": {**BOOTH, "frames.cont": 3}},
    }
    content["variants"]["ours"]["personalized"] = [*content["personalize"]]
    with pytest.raises(ViddaError) as raised:
        make_plan(loaded(content))
    assert str(raised.value).splitlines() == [
        "personalize.e.base: 'nothing' is not in personalize",
        "personalize.a.base: a from b from c from a never starts; leave one base out",
        "personalize.f.base: f from f never starts; leave one base out",
        "personalize.on words: base: textual_inversion makes no model to start from; name a"
        " personalization with method dreambooth or vae_decoder",
        "personalize.own vae: vae: the result of vae_decoder replaces it; leave vae out",
        "personalize.elsewhere: frames.cont: unknown key; did you mean 'count'?",
    ]


def test_results_that_would_replace_each_other_are_refused(tmp_path: Path, weights: Path) -> None:
    content = chained(tmp_path / "out", weights)
    content["personalize"]["booth"]["base"] = "first"
    content["personalize"]["first"] = {"change": BOOTH}
    content["variants"]["ours"]["personalized"] = ["first", "booth"]
    with pytest.raises(ViddaError) as raised:
        make_plan(loaded(content))
    result = tmp_path / "out" / "personalized" / "booth-real_ground_train" / "result"
    assert str(raised.value) == (
        f"variants.ours: backbone.weights.dreambooth: {result} would replace it; leave one of them"
        " out"
    )


def captioned(out: Path, blip: Path, **more: Any) -> dict[str, Any]:
    """A job whose translation `ours` has captions of the target in its prompts."""
    content = with_variants(out, **more)
    recipe = {
        "captioner.source": {"name": "folder", "path": str(blip)},
        "captioner.max_tokens": 4,
        "device": "cpu",
    }
    content["captions"] = {"ours": {"change": recipe}}
    content["variants"]["ours"] |= {"camera": False, "personalized": [], "captions": "ours"}
    change = {**TRANSLATE, "prompt.template": "{caption}, best quality"}
    content["variants"]["ours"]["change"] = change
    return content


def test_captions_of_each_target_become_the_prompts_of_a_translation(
    tmp_path: Path, weights: Path
) -> None:
    content = captioned(
        tmp_path / "out", tmp_path / "blip", weights=str(weights), tasks=["gs2gr", "gs2ar"]
    )
    content["variants"]["again"] = content["variants"]["ours"]
    content["arms"]["again"] = {"data": ["again"]}
    plan = make_plan(loaded(content))
    captions = named(plan, "caption")
    keys = [f"ours-syn_ground_train-real_{view}_train" for view in ("ground", "air")]
    assert [stage.name for stage in captions] == [f"{key}-captions" for key in keys]
    splits = tmp_path / "out" / "prepared" / "splits"
    to_air = captions[1].config
    assert isinstance(to_air, CaptionConfig)
    assert to_air.source == splits / "gs2gr" / "source_only" / "train.csv"
    assert to_air.target == splits / "gs2ar" / "adapted" / "target.csv"
    assert to_air.out == captions[1].done
    assert captions[1].inputs == (to_air.source, to_air.target)
    translations = named(plan, "translate")
    assert [stage.name for stage in translations] == [
        key.replace("ours", name, 1) for name in ("ours", "again") for key in keys
    ]
    for number, stage in enumerate(translations):
        assert isinstance(stage.config, TranslateConfig)
        assert stage.config.prompt.captions == captions[number % 2].done
        assert captions[number % 2].done in stage.inputs
    del content["weights"]
    assert not named(make_plan(loaded(content)), "caption"), "nothing needs them"


def test_variants_are_made_of_other_variants(tmp_path: Path, weights: Path) -> None:
    content = job(tmp_path / "out", weights=str(weights))
    without_sidecars = {**TRANSLATE, "control.pose.name": "onnx", "control.pose.model": "a.onnx"}
    content["variants"] = {
        "shaken": {"name": "camera_matched", "of": "translated masks"},
        "translated masks": {"name": "translated", "of": "masks", "change": without_sidecars},
        "masks": {"name": "randomized"},
        "masks of ours": {"name": "randomized", "of": "still"},
        "still": {"name": "camera_matched", "of": "ours", "change": {"match.shake": False}},
        "ours": {"name": "translated", "change": TRANSLATE},
    }
    content["arms"] = {name: {"data": [name]} for name in ("shaken", "masks of ours")}
    plan = make_plan(loaded(content))
    made = [stage for stage in plan.stages if stage.command in ("randomize", "translate", "camera")]
    masks, translated, shaken, ours, still, masks_of_ours = made
    source = tmp_path / "out" / "prepared" / "splits" / "gs2gr" / "source_only" / "train.csv"
    for chain in ((masks, translated, shaken), (ours, still, masks_of_ours)):
        above = source
        for stage in chain:
            config = stage.config
            assert isinstance(config, RandomizeConfig | TranslateConfig | CameraJobConfig)
            assert config.input == above and above in stage.inputs
            above = config.out / "manifest.csv"
    assert masks_of_ours.name == ("masks_of_ours-still-ours-syn_ground_train-real_ground_train")
    report = named(plan, "report")[0].config.model_dump()
    assert set(report["translations"]) == {"translated masks", "ours"}


def test_chains_that_cannot_be_made_are_refused_at_once(tmp_path: Path, weights: Path) -> None:
    blip = tmp_path / "blip"
    content = captioned(tmp_path / "out", blip, weights=str(weights))
    content["captions"]["typo"] = {"change": {"frame": 2}}
    ours = content["variants"]["ours"]
    content["variants"] |= {
        "a": {"name": "randomized", "of": "b"},
        "b": {"name": "translated", "of": "a"},
        "c": {"name": "camera_matched", "of": "c"},
        "unknown": {"name": "randomized", "of": "maskz"},
        "labels": {"name": "randomized", "of": "target"},
        "speechless": {**ours, "captions": "nothing"},
        "silent": {**ours, "change": TRANSLATE},
        "mistyped": {**ours, "captions": "typo"},
        "of masks": {"name": "translated", "of": "masks", "change": TRANSLATE},
        "shaken": {"name": "camera_matched"},
        "of shaken": {"name": "randomized", "of": "shaken"},
    }
    content["arms"] = {name: {"data": [name]} for name in content["variants"]}
    with pytest.raises(ViddaError) as raised:
        make_plan(loaded(content))
    lines = str(raised.value).splitlines()
    names = "source, " + ", ".join(content["variants"])
    no_sidecars = "randomized and shaken clips have no sidecars, which hold"
    for line in (
        "variants.a.of: a of b of a never ends; let one be of source",
        "variants.c.of: c of c never ends; let one be of source",
        f"variants.unknown.of: 'maskz' is not one of {names}",
        f"variants.labels.of: 'target' is not one of {names}",
        "variants.speechless.captions: 'nothing' is not in captions",
        "captions.typo: frame: unknown key; did you mean 'frames'?",
        f"variants.of masks.of: {no_sidecars} the poses of control.pose (or take"
        " another control.pose.name); make it of other data",
        f"variants.of shaken.of: {no_sidecars} the masks of vidda randomize; make it of other data",
    ):
        assert line in lines
    assert any("captions is set, but template does not name {caption}" in line for line in lines)
    assert len(lines) == 10, lines


def test_two_chains_do_not_share_a_folder(tmp_path: Path) -> None:
    content = job(tmp_path / "out")
    content["variants"] = {
        "a": {"name": "camera_matched", "of": "b"},
        "b": {"name": "randomized"},
        "a-b": {"name": "camera_matched"},
    }
    content["arms"] = {"one": {"data": ["a"]}, "two": {"data": ["a-b"]}}
    with pytest.raises(ViddaError) as raised:
        make_plan(loaded(content))
    assert str(raised.value) == (
        "variants: a and a-b would both become the folder a-b-syn_ground_train-real_ground_train;"
        " rename one"
    )


def test_clips_are_counted_along_a_chain(tmp_path: Path) -> None:
    content = of_tree(tmp_path)
    change = {"frames": {"name": "even", "count": 16}}
    content["variants"] = {
        "cameras": {"name": "camera_matched", "change": {"copies": 3, "match.shake": False}},
        "of cameras": {"name": "translated", "of": "cameras", "own_weights": True},
        "ours": {"name": "translated", "own_weights": True},
    }
    for name in ("ours", "of cameras"):
        content["variants"][name]["change"] = change
    content["arms"] = {name: {"data": [name]} for name in ("ours", "of cameras")}

    def hours() -> dict[str, float]:
        plan, prepared = make_plan(loaded(content)), tmp_path / "out" / "prepared"
        parts = read_parts(plan.known, prepared, plan.tasks)
        lines, _ = gpu_hours.estimate_gpu_hours(plan.stages, parts, prepared, 100.0)
        return {line.split(":")[0]: float(line.split(" = ")[1].split()[0]) for line in lines}

    found = hours()
    assert found["translate of cameras"] == pytest.approx(3 * found["translate ours"], rel=0.01)
    # Of the six camera-matched clips, those of one of the two originals that are further copies.
    content["variants"]["of cameras"]["change"] = {**change, "clips": ["*_Rally_*@camera.?"]}
    found = hours()
    assert found["translate of cameras"] == pytest.approx(found["translate ours"], rel=0.01)


def test_a_dry_run_checks_personalizations_and_captions_whose_inputs_do_not_exist(
    tmp_path: Path, weights: Path
) -> None:
    content = captioned(tmp_path / "out", tmp_path / "blip", weights=str(weights))
    method = {"name": "dreambooth", "prior": None, "optimizer": "adamw_8bit", "prompt": "a person"}
    content["personalize"]["booth"] = {"change": {**DECODER, "method": method}}
    content["variants"]["ours"]["personalized"] = ["booth", "decoder"]
    content["evaluate"]["device"] = "cuda:99"
    with pytest.raises(ViddaError) as raised:
        run(loaded(content), dry_run=True, resume=False)
    lines = str(raised.value).splitlines()
    booth, caption, evaluate = "personalize: booth, gs2gr", "caption: ", "evaluate: device "
    assert f"{booth}: method.optimizer: adamw_8bit needs a CUDA device; take adamw" in lines
    assert any(line.startswith(f"{booth}: method.prompt: 'a person' has no") for line in lines)
    assert any(caption in line and "no such folder; correct captioner" in line for line in lines)
    assert any(line.startswith(evaluate) for line in lines)
    assert len(lines) == 4
    write_blip(tmp_path / "blip")
    content["personalize"]["booth"]["change"] = DECODER
    content["variants"]["ours"]["personalized"] = ["decoder"]
    content["evaluate"]["device"] = "cpu"
    assert run(loaded(content), dry_run=True, resume=False) == 0


@pytest.mark.deep
def test_a_job_of_chains_runs_and_resumes(
    tmp_path: Path, weights: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    content = captioned(out, write_blip(tmp_path / "blip"), weights=str(weights))
    content["personalize"] = {
        "words": {"base": "booth", "change": INVERSION},
        "booth": {"change": BOOTH},
    }
    content["variants"]["ours"]["personalized"] = ["booth", "words"]
    content["variants"]["ours"]["change"]["prompt.template"] = "{caption}, <real>"
    content["variants"]["masks"] |= {"of": "ours"}
    content["arms"] = {"source only": {"data": ["source"]}, "masks": {"data": ["masks"]}}
    assert run(loaded(content), dry_run=False, resume=False) == 0
    learned = out / "personalized"
    booth, words = (learned / f"{name}-real_ground_train" / "result" for name in ("booth", "words"))
    base = WeightsConfig(base=Folder(path=booth), controlnets=())
    assert json.loads((words / CARD).read_text())["base"] == fingerprint(base)
    key = "ours-syn_ground_train-real_ground_train"
    captions = read_captions(out / "captions" / key / "captions.csv")
    ours = load_manifest(out / "translated" / key)
    assert {clip.parent_id: clip.meta["prompt"] for clip in ours.clips} == {
        clip: f"{caption}, <real>" for clip, caption in captions.items()
    }
    masks = load_manifest(out / "randomized" / f"masks-{key}")
    assert {clip.parent_id for clip in masks.clips} == {clip.id for clip in ours.clips}
    capsys.readouterr()
    assert run(loaded(content), dry_run=False, resume=True) == 0
    assert "11 stages, 11 complete" in capsys.readouterr().out


@pytest.mark.slow
def test_captions_that_leave_out_a_target_clip_are_complete(tmp_path: Path) -> None:
    """As of vidda prepare: every source clip has its caption, and the log names the other."""
    records = [ClipRecord(name, f"{name}.mp4", None, "any", "air") for name in ("whole", "broken")]
    write(tmp_path / "whole.mp4", moving(8, 32, 32), 12)
    (tmp_path / "broken.mp4").write_bytes(b"no video")
    manifests = {"source": tmp_path / "source.csv", "target": tmp_path / "target.csv"}
    save_manifest(Manifest(tmp_path, ("one",), tuple(records[:1])), manifests["source"])
    save_manifest(Manifest(tmp_path, ("one",), tuple(records)), manifests["target"])
    captioner = CaptionerConfig(source=Folder(path=write_blip(tmp_path / "blip")), max_tokens=4)
    file = tmp_path / "captions" / "captions.csv"
    config = CaptionConfig(**manifests, out=file, captioner=captioner, device="cpu")
    inputs = tuple(manifests.values())
    stage = Stage("ours", "caption ours", "caption", config, file.parent, file, inputs, title="")
    end = run_stage(stage, tmp_path / "out")
    assert (end.measured.status, end.reason) == (1, "")
    assert "skipped clip 'broken'" in stage.log_file(tmp_path / "out").read_text()
    assert list(read_captions(file)) == ["whole"]
