"""The pose estimator as a stage of the training loop of `tools.mini_diffusion`."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from tools.mini_diffusion.gate import score
from tools.mini_diffusion.loop import Machine
from tools.mini_pose import model as network
from tools.mini_pose.augment import augment
from tools.mini_pose.examples import Examples
from tools.mini_pose.recipe import AugmentConfig
from vidda.control.draw_pose import draw_openpose
from vidda.control.keypoints import Pose
from vidda.translate.stable_diffusion.personalize.render_images import image_grid

SHOWN = 12


class Learner:
    """A `tools.mini_diffusion.loop.Stage` that trains a model of mmpose.

    held_out: sets to evaluate, by name. seed: of the initial weights. Running means and variances
    are in `learned`, so that they are averaged, saved and restored with the weights.
    """

    def __init__(
        self,
        train: Examples,
        held_out: Mapping[str, Examples],
        augment: AugmentConfig,
        machine: Machine,
        seed: int,
    ) -> None:
        self._train = train
        self._held_out = held_out
        self._augment = augment
        self._machine = machine
        model = network.build(seed).to(machine.device, memory_format=torch.channels_last)
        self._model: Any = model.train()
        self.learned: Mapping[str, torch.nn.Parameter] = dict(model.named_parameters()) | {
            name: torch.nn.Parameter(value, requires_grad=False)
            for name, value in model.state_dict().items()
            if name.endswith(("running_mean", "running_var"))
        }
        self.rates: Mapping[str, float] = {}
        self.size = len(train)
        importance = model.dataset_meta["dataset_keypoint_weights"]
        self._importance = torch.as_tensor(importance, device=machine.device).float()

    def loss_terms(
        self, numbers: torch.Tensor, generator: torch.Generator
    ) -> dict[str, torch.Tensor]:
        """Return `heatmaps`, the loss of mmpose's head on the images of these numbers (B,).

        Joints outside the image count too, with empty heatmaps.
        """
        chosen = numbers.numpy()
        device = self._machine.device
        frames = torch.from_numpy(self._train.frames[chosen]).to(device)
        joints = torch.from_numpy(self._train.keypoints[chosen]).to(device)
        with torch.autocast(device.type, enabled=False):
            images, joints = augment(frames, joints, network.SIZE, self._augment, generator)
        found = self._model(self._normalized(images), None, mode="tensor").float()
        weights = self._importance.expand(len(chosen), -1)
        loss = self._model.head.loss_module(found, self._heatmaps(joints), weights)
        return {"heatmaps": loss}

    def measure(self) -> dict[str, float]:
        """Return PCK@0.1 on the held-out images, of all joints and of the wrists."""
        figures: dict[str, float] = {}
        for name, examples in self._held_out.items():
            found = score(examples.pose(), self._poses(examples.frames))
            figures |= {f"{name}/all": found.all, f"{name}/wrists": found.wrists}
        return figures

    def contact_sheet(self) -> np.ndarray:
        """Return held-out images above the true and the estimated poses, (H, W, 3) uint8."""
        rows = []
        for examples in self._held_out.values():
            some = examples.some(SHOWN)
            height, width = some.frames.shape[1:3]
            maps = [
                draw_openpose(pose, height, width)
                for pose in (some.pose(), self._poses(some.frames))
            ]
            rows += [some.frames, *maps]
        return image_grid(rows)

    def save(self, folder: Path) -> None:
        """Write the model's config and weights into an existing folder."""
        network.save(self._model, folder)

    def _normalized(self, images: torch.Tensor) -> torch.Tensor:
        """Return images (B, 3, S, S) RGB in [0, 1], normalized as the model's preprocessor does."""
        prepare = self._model.data_preprocessor
        values = (images * 255.0 - prepare.mean) / prepare.std
        return values.contiguous(memory_format=torch.channels_last)

    def _heatmaps(self, joints: torch.Tensor) -> torch.Tensor:
        """Return the heatmaps of joints (B, 17, 3) by mmpose's codec."""
        codec = self._model.head.decoder
        maps = [
            codec.encode(one[None, :, :2], one[None, :, 2])["heatmaps"]
            for one in joints.cpu().numpy()
        ]
        return torch.from_numpy(np.stack(maps)).to(self._machine.device)

    def _poses(self, frames: np.ndarray) -> Pose:
        """Return the estimated poses in frames (N, P, P, 3) of any size, without mirroring."""
        self._model.eval()
        decoded = []
        with torch.inference_mode(), self._machine.autocast():
            for start in range(0, len(frames), TOGETHER):
                part = torch.from_numpy(frames[start : start + TOGETHER]).to(self._machine.device)
                images = part.permute(0, 3, 1, 2).float() / 255.0
                if images.shape[-1] != network.SIZE:
                    images = torch.nn.functional.interpolate(
                        images, (network.SIZE, network.SIZE), mode="bilinear"
                    )
                found = self._model(self._normalized(images), None, mode="tensor")
                decoded += self._model.head.decode(found.float())
        self._model.train()
        scale = np.float32(frames.shape[1] / network.SIZE)
        at = np.stack([one.keypoints for one in decoded]).astype(np.float32) * scale
        scores = np.stack([one.keypoint_scores for one in decoded]).astype(np.float32)
        return Pose(at, scores.clip(0.0, 1.0))


TOGETHER = 64
