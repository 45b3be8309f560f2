"""A backbone that is no diffusion model, added by an installed package, through the whole job."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest

from tests.experiment.jobs import job
from tests.installed import commands, installed
from tests.translate.translations import media, write_source
from vidda import video

pytestmark = pytest.mark.slow

PLUGIN = '''
"""Blur, as a backbone: what vidda's seam asks for, and nothing more."""

from pathlib import Path
from typing import ClassVar, Literal

import cv2
import numpy as np

from vidda.config import Config
from vidda.errors import ViddaError


class BlurConfig(Config):
    takes_base: ClassVar[bool] = False
    name: Literal["blur"] = "blur"
    sigma: float = 1.0
    flows: ClassVar[tuple[str, ...]] = ("previous",)
    keeps_person: ClassVar[bool] = False

    def problems(self, control):
        return [] if control.pose is None else ["backbone: blur is shown no poses"]

    def settings(self):
        return {"name": self.name, "sigma": self.sigma}

    def describe_controls(self, control):
        return "none"

    def find(self):
        if self.sigma <= 0:
            raise ViddaError(f"backbone.sigma: {self.sigma} does not blur; take more than 0")
        return Blur(self.sigma)

    def cost(self, frames, height, width):
        return frames * height * width * 1e-9

    def folder_problems(self):
        return []

    def with_base(self, folder):
        raise AssertionError("it takes no base")

    def with_personalized(self, method, result):
        raise AssertionError("nothing personalizes it")


class Blur:
    multiple = 8

    def __init__(self, sigma):
        self.sigma = sigma

    def frames(self, count):
        return -(-(count - 1) // 4) * 4 + 1

    def fingerprint(self):
        return "0" * 64

    def too_long(self, prompts):
        return {prompt: "too many words" for prompt in prompts if len(prompt) > 300}

    def work(self):
        return "each frame: one blur"

    def cost(self, frames, height, width):
        return frames * height * width * 1e-9

    def load(self, device, pixels):
        return self

    def translate(self, clips):
        for clip in clips:
            assert len(clip.frames) % 4 == 1 and len(clip.controls.edges) == len(clip.frames)
        noise = [np.random.default_rng(clip.seed).integers(0, 9) for clip in clips]
        return [
            np.stack([cv2.GaussianBlur(f, (0, 0), self.sigma) for f in clip.frames]) + np.uint8(n)
            for clip, n in zip(clips, noise)
        ]
'''


@pytest.fixture(scope="module")
def plugins(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder as pip leaves it: the blur, and a package that cannot be imported."""
    folder = tmp_path_factory.mktemp("plugins")
    for name, text, point in (
        ("blur_backbone", PLUGIN, "blur = blur_backbone:BlurConfig"),
        ("broken_backbone", "import nothing_like_it", "broken = broken_backbone:Config"),
    ):
        installed(folder, name, text, {"vidda.backbones": [point]})
    return folder


def blurred(source: Path, out: Path, *more: str) -> list[str]:
    return [
        "translate",
        f"input={source}",
        f"out={out}",
        "backbone={name: blur, sigma: 1.5}",
        "size=32",
        "prompt.template=a person",
        "device=cpu",
        *more,
    ]


def test_a_job_with_another_backbone_does_all_that_it_promises(
    plugins: Path, tmp_path: Path
) -> None:
    source = write_source(tmp_path / "source", clips=3)
    whole, parts, broken = tmp_path / "whole", tmp_path / "parts", tmp_path / "broken"
    lost = whole / "videos" / "syn" / "ground" / "1.mp4"
    dry, refused, first, one, two, again = commands(
        plugins,
        blurred(source, whole, "--dry-run"),
        blurred(source, broken, "backbone.sigma=0", "control.pose.name=sidecar"),
        blurred(source, whole),
        blurred(source, parts, "shard=2/2"),
        blurred(source, parts, "shard=1/2"),
        blurred(source, whole, "--resume"),
    )
    assert dry[0] == 0 and "each frame: one blur" in dry[1] and "PFLOP" in dry[1]
    assert "plugin 'broken' of vidda.backbones is left out (ModuleNotFoundError" in dry[1]
    assert refused[0] == 2 and "backbone.sigma: 0.0 does not blur" in refused[1]
    assert "backbone: blur is shown no poses" in refused[1]
    assert [first[0], one[0], two[0], again[0]] == [0, 0, 0, 0], first[1] + two[1]
    assert media(whole) == media(parts) and len(media(whole)) == 3
    with (whole / "manifest.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert {row["domain"] for row in rows} == {"translated"}
    assert all(row["warp_error"] and len(row["weights"]) == 64 for row in rows)
    own, made = (
        video.read(source.parent / "syn/ground/0.mp4", size=32),
        video.read(whole / rows[0]["path"]),
    )
    assert made.shape == own.shape  # shown 5 frames for 4, and cut back
    lost.unlink()
    ((status, _),) = commands(plugins, blurred(source, whole, "--resume"))
    assert status == 0 and media(whole) == media(parts)


def test_it_is_an_arm_of_vidda_run_and_counted_in_the_hours(plugins: Path, tmp_path: Path) -> None:
    content = job(
        tmp_path / "out",
        variants={
            "blurred": {
                "name": "translated",
                "change": {
                    "backbone": {"name": "blur"},
                    "size": 32,
                    "prompt.template": "a person",
                    "device": "cpu",
                },
            }
        },
        arms={"blurred": {"data": ["blurred"]}},
        gpu_tflops=100.0,
    )
    file = tmp_path / "run.yaml"
    file.write_text(json.dumps(content))
    done, dry = commands(plugins, ["run", str(file)], ["run", str(file), "--dry-run", "--resume"])
    assert done[0] == 0, done[1]
    assert dry[0] == 0 and "translate blurred: 1 x" in dry[1] and "GPU hours" in dry[1], dry[1]
    (manifest,) = (tmp_path / "out" / "translated").glob("*/manifest.csv")
    clip = manifest.parent / next(csv.DictReader(manifest.open(newline="")))["path"]
    assert np.ptp(video.read(clip)) > 0
