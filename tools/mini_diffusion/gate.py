"""The quality gate of the miniature: do people in its samples have the pose of the control map?

vidda's own translator samples from pure noise with the controls of held-out scenes; poses are
estimated in the samples and compared with the true ones, and the looks of the samples with those of
the scenes, for each view.
"""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import torch

from tools.mini_diffusion import controls
from tools.mini_diffusion.cache import SceneImages
from tools.mini_diffusion.looks import Looks, measure_looks
from vidda.control.controls import Controls
from vidda.control.keypoints import JOINTS, Pose, pck, people_boxes
from vidda.control.pose import PoseConfig, PoseSource
from vidda.errors import ViddaError
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
WANTED, WANTED_WRISTS = 0.8, 0.8
MEASURABLY = 0.01
MOST_MOTTLE, LEAST_EDGES, MOST_CHROMA = 1.5, 0.7, 1.1
"""Limits of the looks of samples by pose and edges, relative to those of the pictures."""
PICTURES = "pictures"
VIEWS = ("ground", "air")
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


@dataclass(frozen=True)
class Scores:
    """The scores of one row in one view."""

    pose: PoseScores
    looks: Looks


Found = dict[str, dict[str, Scores]]
"""Scores by the row's name and the view."""


def measure(
    models: Models, images: SceneImages, pose: PoseConfig, folder: Path, steps: int, guidance: float
) -> Found:
    """Sample all images in each of WAYS, estimate the poses, and return the scores by name.

    The first entry, PICTURES, has the scores of the held-out images themselves, an upper bound for
    samples. Writes a contact sheet of each view, gate_VIEW.png, into the folder. Raises ViddaError
    when a view has no image.
    """
    estimator = pose.build()
    views = {"ground": np.flatnonzero(~images.air), "air": np.flatnonzero(images.air)}
    for view, numbers in views.items():
        if not len(numbers):
            raise ViddaError(f"no held-out image is seen from the {view}; raise data.held_out")
    found: Found = {}
    shown: dict[str, list[np.ndarray]] = {view: [] for view in views}
    for way in (PICTURES, *WAYS):
        frames = images.frames
        if way != PICTURES:
            frames = render_samples(models, images, WAYS[way], steps, guidance, way)
        poses = estimate_poses(estimator, frames)
        found[way] = {}
        for view, numbers in views.items():
            part = images.at(numbers)
            own = Pose(poses.keypoints[numbers], poses.scores[numbers])
            found[way][view] = Scores(
                score(part.pose(slice(None)), own), measure_looks(part, frames[numbers])
            )
            shown[view].append(frames[numbers][:SHOWN])
    for view, rows in shown.items():
        write_png(folder / f"gate_{view}.png", image_grid(rows))
    return found


SHOWN = 50


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


def failures(found: Found) -> list[str]:
    """Return a line for each condition of the gate that does not hold; empty if it is passed.

    In each view poses follow the pose map, both controls matter, and samples by both of them look
    like the held-out pictures.
    """
    lines = []
    for view in VIEWS:
        pictures, both, pose, edges = (
            found[way][view] for way in (PICTURES, "pose and edges", "pose", "edges")
        )
        without = max(edges.pose.wrists, pose.pose.wrists)
        conditions = {
            f"all joints by pose alone {pose.pose.all:.1%} of {WANTED:.0%}": pose.pose.all
            >= WANTED,
            f"wrists by pose alone {pose.pose.wrists:.1%} of {WANTED_WRISTS:.0%}": pose.pose.wrists
            >= WANTED_WRISTS,
            "wrists by both ControlNets no better than by one": both.pose.wrists
            > without + MEASURABLY,
            f"clothes mottled, {both.looks.mottle:.1f}": both.looks.mottle
            <= MOST_MOTTLE * pictures.looks.mottle,
            f"background without edges, {both.looks.edges:.2f}": both.looks.edges
            >= LEAST_EDGES * pictures.looks.edges,
            f"colors too vivid, {both.looks.chroma:.1f}": both.looks.chroma
            <= MOST_CHROMA * pictures.looks.chroma,
        }
        lines += [f"{view}: {text}" for text, holds in conditions.items() if not holds]
    return lines


def write_figures(folder: Path, found: Found, pictures: int, steps: int, guidance: float) -> None:
    """Write the scores into the folder, where the model card reads them."""
    content = {
        "pictures": pictures,
        "steps": steps,
        "guidance": guidance,
        "failures": failures(found),
        "found": {way: {v: asdict(s) for v, s in views.items()} for way, views in found.items()},
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
