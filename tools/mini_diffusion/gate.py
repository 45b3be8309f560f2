"""Is the miniature good enough: does the person that it draws from noise stand as it was told?

Drawn by vidda's own translator, from pure noise, on scenes that were held out; the pose is found
again in what was drawn, and compared with the one that was given.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch

from tools.mini_diffusion import controls
from tools.mini_diffusion.cache import Pictures
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
from vidda.translate.stable_diffusion.personalize.render_images import sheet, write_png
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
"""Which ControlNets act."""


@dataclass(frozen=True)
class Found:
    """PCK@0.1 over all joints, and of the wrists, as shares."""

    all: float
    wrists: float


def measure(
    models: Models, pictures: Pictures, pose: PoseConfig, folder: Path, steps: int, guidance: float
) -> dict[str, Found]:
    """Draw all pictures in each way, and find the poses again; a sheet is left in the folder.

    The first entry, `pictures`, is what the estimator finds in the held-out pictures themselves:
    nothing that is drawn can do better than that for long.
    """
    estimator = pose.build()
    given = pictures.pose(slice(None))
    found = {"pictures": score(given, estimated(estimator, pictures.frames))}
    shown = [pictures.frames[::SHOWN_EVERY][:SHOWN]]
    for way, kinds in WAYS.items():
        drawn = draw(models, pictures, kinds, steps, guidance, way)
        found[way] = score(given, estimated(estimator, drawn))
        shown.append(drawn[::SHOWN_EVERY][:SHOWN])
    write_png(folder / "gate.png", sheet(shown))
    return found


SHOWN, SHOWN_EVERY = 12, 5


def draw(
    models: Models,
    pictures: Pictures,
    kinds: Sequence[str],
    steps: int,
    guidance: float,
    label: str,
) -> np.ndarray:
    """Pictures from pure noise, given the captions and those controls of others, (N, S, S, 3)."""
    nets = tuple(net for net in models.controlnets if net.kind in kinds)
    sampling = SamplingConfig(
        scheduler=SchedulerConfig(name="ddim"),
        steps=steps,
        guidance=guidance,
        context=AttendOwn(),
        noise=IndependentNoise(),
    )
    translator = StableDiffusionTranslator(replace(models, controlnets=nets), sampling)
    jobs = [_job(pictures, number) for number in range(len(pictures))]
    drawn = [
        translator.translate(jobs[at : at + TOGETHER])
        for at in track(
            range(0, len(jobs), TOGETHER),
            label=f"drawing: {label}",
            total=-(-len(jobs) // TOGETHER),
            unit="batches",
        )
    ]
    return np.concatenate([frames for batch in drawn for frames in batch])


TOGETHER = 16


def estimated(estimator: PoseSource, frames: np.ndarray) -> Pose:
    """Return the poses that are seen in pictures, as if they were a clip that lies nowhere."""
    clip = ClipRecord("gate", "gate.mp4", None, "translated", "ground")
    return estimator.estimate(frames, None, clip, Path())


def score(given: Pose, found: Pose) -> Found:
    """Return how many of the given joints were found again, one person in each picture."""
    visible = given.scores[:, 0] > 0
    box = people_boxes(given)[:, 0]
    size = (box[:, 2:] - box[:, :2]).max(axis=1)
    right = pck(found.keypoints[:, 0], given.keypoints[:, 0], visible, size, ALPHA)
    count = visible.sum(axis=0)

    def share(joints: Sequence[int]) -> float:
        chosen = list(joints)
        return float(np.nansum(right[chosen] * count[chosen]) / count[chosen].sum())

    return Found(share(range(len(JOINTS))), share(WRISTS))


def passed(found: dict[str, Found]) -> bool:
    """Return whether the issue's gate is passed: the pose given is found, and each
    control matters.
    """
    both, pose, edges = found["pose and edges"], found["pose"], found["edges"]
    enough = pose.all >= WANTED and pose.wrists >= WANTED_WRISTS
    without = max(edges.wrists, pose.wrists)
    return enough and both.wrists > without + MEASURABLY


def write(folder: Path, found: dict[str, Found], steps: int, guidance: float) -> None:
    """Keep the figures where the model card reads them."""
    content = {
        "steps": steps,
        "guidance": guidance,
        "passed": passed(found),
        "pck": {way: {"all": f.all, "wrists": f.wrists} for way, f in found.items()},
    }
    write_text(folder / FIGURES, json.dumps(content, indent=2) + "\n")


def _job(pictures: Pictures, number: int) -> ClipJob:
    one = slice(number, number + 1)
    facts = torch.from_numpy(pictures.facts[one])
    maps = {kind: to_frames(seen * 2.0 - 1.0) for kind, seen in controls.at_use(facts).items()}
    return ClipJob(
        frames=pictures.frames[one],  # its size; noise is all that sampling starts from
        controls=Controls(
            edges=maps["edges"][..., 0],
            pose=pictures.pose(one),
            pose_maps=maps["pose"],
            flow_previous=None,
            flow_anchor=None,
            occluded_previous=None,
            occluded_anchor=None,
        ),
        prompt=pictures.captions[number][0],
        negative="",
        seed=number,
    )
