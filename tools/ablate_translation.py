"""Ablation of the translation: the main job's translation with one component changed at a time.

    vidda run configs/run/mini.yaml
    python tools/ablate_translation.py runs/mini OUT [--clips PATTERN] [--translations PATTERN]

runs/mini is the folder of a finished `vidda run` with a target-only arm. Each of its translations
is repeated with one component changed at a time (personalization, pose, edges, cross-frame
attention, noise, keeping the person, the target's camera), on the clips that PATTERN chooses:

    labels      accuracy of the job's target-only recognizer, which was trained on real clips alone;
                in brackets, divided by its accuracy on the real test clips
    PCK         share of the source's joints that the job's pose model finds again
    warp error  mean over clips; compare it within the column only

Results are kept in OUT; the same command resumes.
"""

import argparse
import json
import statistics
import subprocess
import sys
from pathlib import Path

from vidda.config import dump, load
from vidda.data import load_manifest
from vidda.files import write_text
from vidda.recognize.train_config import TrainConfig
from vidda.translate.stable_diffusion.personalize.personalize_config import PersonalizeConfig
from vidda.translate.translate_config import TranslateConfig
from vidda.weights import Folder


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("job", type=Path, help="folder of a finished vidda run")
    parser.add_argument("out", type=Path, help="folder to write")
    parser.add_argument("--clips", default="*/Scene?_*[4]_[A-Z]*", help="pattern of clip ids")
    parser.add_argument(
        "--translations", default="consistent-*", help="pattern of names of the job's translations"
    )
    options = parser.parse_args()
    stages = sorted((options.job / "stages").glob(f"{options.translations}.yaml"))
    if not stages:
        parser.error(f"{options.job}: no translation {options.translations!r}; run vidda run first")
    lines = []
    for stage in stages:
        job = load(TranslateConfig, stage, [])
        target = _target(job)
        model = _target_only(options.job, target)
        real = _accuracy(model, target.with_name("test.csv"), options.out / f"{stage.stem}-real")
        lines += ["", f"{stage.stem}; target only: {100 * real:.1f}% of the real test clips"]
        lines += [f"{'':22}{'clips':>6}{'labels, %':>14}{'PCK, %':>8}{'warp error':>12}"]
        print("\n".join(lines[-3:]), flush=True)
        for name, changes in _changes(job, target).items():
            folder = options.out / f"{stage.stem}-{name.replace(' ', '_')}"
            pose = job.control.pose
            assert pose is not None
            own = [f"out={folder}", f'clips=["{options.clips}"]', "show=[]"]
            own.append(f"check_pose={pose.model_dump_json()}")
            write_text(
                folder.with_suffix(".yaml"), dump(load(TranslateConfig, stage, own + changes))
            )
            lines.append(f"{name:22}{_row(folder, model, real)}")
            print(lines[-1], flush=True)
    write_text(options.out / "ablation.txt", "\n".join(lines).strip() + "\n")
    return 0


def _changes(job: TranslateConfig, target: Path) -> dict[str, list[str]]:
    """Return the overrides of the job's config, by the name of the row."""

    def alone(kind: str) -> str:
        nets = [
            net.model_dump(mode="json")
            for net in job.backbone.weights.controlnets
            if net.kind == kind
        ]
        return f"backbone.weights.controlnets={json.dumps(nets)}"

    no_context = "backbone.sampling.context.name=none"
    independent = "backbone.sampling.noise={name: independent}"
    return {
        "as it is": [],
        "not personalized": [
            "backbone.weights.dreambooth=null",
            "prompt.token=null",
            f"prompt.template={job.prompt.template.replace('{token}', '').strip()}",
        ],
        # The source's pose is still estimated, because PCK compares with it.
        "edges alone": [alone("edges")],
        "pose alone": ["control.edges=null", alone("pose")],
        "no attention across": [no_context],
        "independent noise": [independent],
        "per frame": [no_context, independent],
        "person's latents kept": ["backbone.sampling.keep_person={name: latents, release: 0.35}"],
        "released early": ["backbone.sampling.keep_person={name: latents, release: 0.7}"],
        "person's pixels kept": ["backbone.sampling.keep_person={name: pixels}"],
        "target's camera": [f"camera={{target: {target}}}"],
    }


def _row(folder: Path, model: Path, real: float) -> str:
    """Run the translation of the config FOLDER.yaml, unless it is done; return its table row."""
    if not (folder / "DONE").exists():
        _vidda("translate", str(folder.with_suffix(".yaml")), "--resume")
    clips = load_manifest(folder / "manifest.csv").clips
    share = _accuracy(model, folder / "manifest.csv", folder.with_name(f"{folder.name}-labels"))
    joints = statistics.mean(float(clip.meta["pck"]) for clip in clips)
    flicker = statistics.mean(float(clip.meta["warp_error"]) for clip in clips)
    labels = f"{100 * share:.1f} ({100 * share / real:.0f})"
    return f"{len(clips):>6}{labels:>14}{100 * joints:>8.1f}{flicker:>12.5f}"


def _target(job: TranslateConfig) -> Path:
    """Return the manifest of the unlabeled target that the job's weights are personalized to."""
    dreambooth = job.backbone.weights.dreambooth
    if not isinstance(dreambooth, Folder):
        raise SystemExit(f"{job.out}: its weights are not personalized by vidda personalize")
    return load(PersonalizeConfig, dreambooth.path.parent / "config.yaml", []).target


def _target_only(job: Path, target: Path) -> Path:
    """Return the folder of the run that was trained on the labeled clips of this target alone."""
    wanted = target.parent.parent / "target_only" / "train.csv"
    clips = load_manifest(wanted).fingerprint()
    for file in sorted((job / "stages").glob("train-*.yaml")):
        training = load(TrainConfig, file, [])
        # Several tasks' folders contain the same list.
        if [load_manifest(part).fingerprint() for part in training.train] == [clips]:
            return training.run
    raise SystemExit(f"{job}: no training on {wanted} alone; add an arm of data: [target]")


def _accuracy(model: Path, manifest: Path, out: Path) -> float:
    """Return the accuracy of a recognizer on a manifest's clips; evaluate unless it is done."""
    if not (out / "DONE").exists():
        _vidda("evaluate", f"model={model}", f"manifest={manifest}", f"out={out}")
    return float(json.loads((out / "metrics.json").read_text(encoding="utf-8"))["accuracy"])


def _vidda(*arguments: str) -> None:
    subprocess.run([sys.executable, "-m", "vidda.cli", *arguments], check=True, stdout=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
