"""The quality gate of the miniature: do people in its samples have the pose of the control map?

vidda's own translator samples from pure noise with the controls of held-out scenes; poses are
estimated in the samples and compared with the true ones.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch

from tools.mini_diffusion import controls
from tools.mini_diffusion.cache import SceneImages
from vidda.control.controls import Controls
from vidda.control.keypoints import JOINTS, Pose, pck, people_boxes
from vidda.control.pose import PoseConfig, PoseSource
from vidda.files import write_text
from vidda.progress import track
from vidda.translate.clip_job import ClipJob
from vidda.translate.stable_diffusion.attention_context import AttendOwn
from vidda.translate.stable_diffusion.loading import Models
from vidda.translate.stable_diffusion.noise import IndependentNoise
from vidda.translate.stable_diffusion.personalize.encoded_frames import to_frames
from vidda.translate.stable_diffusion.personalize.render_images import image_grid, write_png
from vidda.translate.stable_diffusion.sampler import StableDiffusionTranslator
from vidda.translate.stable_diffusion.sampling_config import SamplingConfig
from vidda.translate.stable_diffusion.schedulers import SchedulerConfig
from vidda.types import ClipRecord

ALPHA = 0.1
WRISTS = tuple(JOINTS.index(name) for name in ("left_wrist", "right_wrist"))
WANTED, WANTED_WRISTS = 0.8, 0.6
MEASURABLY = 0.01
FIGURES = "gate.json"

WAYS: dict[str, tuple[str, ...]] = {
    "pose and edges": ("edges", "pose"),
    "pose": ("pose",),
    "edges": ("edges",),
    "neither": (),
}
"""The ControlNets that act, by the name of the row."""


@dataclass(frozen=True)
class PoseScores:
    """PCK@0.1 of all joints and of the wrists, in [0, 1]."""

    all: float
    wrists: float


def measure(
    models: Models, images: SceneImages, pose: PoseConfig, folder: Path, steps: int, guidance: float
) -> dict[str, PoseScores]:
    """Sample all images in each of WAYS, estimate the poses, and return the scores by name.

    The first entry, `pictures`, has the scores of the held-out images themselves, an upper bound
    for samples. Writes the contact sheet gate.png into the folder.
    """
    estimator = pose.build()
    truth = images.pose(slice(None))
    found = {"pictures": score(truth, estimate_poses(estimator, images.frames))}
    shown = [images.frames[::SHOWN_EVERY][:SHOWN]]
    for way, kinds in WAYS.items():
        samples = render_samples(models, images, kinds, steps, guidance, way)
        found[way] = score(truth, estimate_poses(estimator, samples))
        shown.append(samples[::SHOWN_EVERY][:SHOWN])
    write_png(folder / "gate.png", image_grid(shown))
    return found


SHOWN, SHOWN_EVERY = 12, 5


def render_samples(
    models: Models,
    images: SceneImages,
    kinds: Sequence[str],
    steps: int,
    guidance: float,
    label: str,
) -> np.ndarray:
    """Return samples (N, S, S, 3) uint8 from noise, with the captions and controls of images.

    kinds: of the ControlNets that act. label: of the progress meter.
    """
    nets = tuple(net for net in models.controlnets if net.kind in kinds)
    sampling = SamplingConfig(
        scheduler=SchedulerConfig(name="ddim"),
        steps=steps,
        guidance=guidance,
        context=AttendOwn(),
        noise=IndependentNoise(),
    )
    translator = StableDiffusionTranslator(replace(models, controlnets=nets), sampling)
    jobs = [_job(images, number) for number in range(len(images))]
    batches = [
        translator.translate(jobs[at : at + TOGETHER])
        for at in track(
            range(0, len(jobs), TOGETHER),
            label=f"sampling: {label}",
            total=-(-len(jobs) // TOGETHER),
            unit="batches",
        )
    ]
    return np.concatenate([frames for batch in batches for frames in batch])


TOGETHER = 16


def estimate_poses(estimator: PoseSource, frames: np.ndarray) -> Pose:
    """Return the poses that an estimator finds in frames (N, H, W, 3) uint8."""
    clip = ClipRecord("gate", "gate.mp4", None, "translated", "ground")
    return estimator.estimate(frames, None, clip, Path())


def score(truth: Pose, found: Pose) -> PoseScores:
    """Return the PCK of estimated poses; truth, found: one person in each image."""
    visible = truth.scores[:, 0] > 0
    box = people_boxes(truth)[:, 0]
    size = (box[:, 2:] - box[:, :2]).max(axis=1)
    right = pck(found.keypoints[:, 0], truth.keypoints[:, 0], visible, size, ALPHA)
    count = visible.sum(axis=0)

    def share(joints: Sequence[int]) -> float:
        chosen = list(joints)
        return float(np.nansum(right[chosen] * count[chosen]) / count[chosen].sum())

    return PoseScores(share(range(len(JOINTS))), share(WRISTS))


def passed(found: dict[str, PoseScores]) -> bool:
    """Return whether the gate is passed: poses follow the pose map, and both controls matter."""
    both, pose, edges = found["pose and edges"], found["pose"], found["edges"]
    enough = pose.all >= WANTED and pose.wrists >= WANTED_WRISTS
    without = max(edges.wrists, pose.wrists)
    return enough and both.wrists > without + MEASURABLY


def write_figures(folder: Path, found: dict[str, PoseScores], steps: int, guidance: float) -> None:
    """Write the scores into the folder, where the model card reads them."""
    content = {
        "steps": steps,
        "guidance": guidance,
        "passed": passed(found),
        "pck": {way: {"all": f.all, "wrists": f.wrists} for way, f in found.items()},
    }
    write_text(folder / FIGURES, json.dumps(content, indent=2) + "\n")


def _job(images: SceneImages, number: int) -> ClipJob:
    one = slice(number, number + 1)
    facts = torch.from_numpy(images.facts[one])
    maps = {
        kind: to_frames(levels * 2.0 - 1.0)
        for kind, levels in controls.inference_maps(facts).items()
    }
    return ClipJob(
        frames=images.frames[one],  # only for their size, since sampling starts from noise
        controls=Controls(
            edges=maps["edges"][..., 0],
            pose=images.pose(one),
            pose_maps=maps["pose"],
            flow_previous=None,
            flow_anchor=None,
            occluded_previous=None,
            occluded_anchor=None,
        ),
        prompt=images.captions[number][0],
        negative="",
        seed=number,
    )
