"""The VideoMAE as a stage of the training loop of `tools.mini_diffusion`."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from torch.nn import functional

from tools.mini_diffusion.loop import Machine
from tools.mini_videomae import network
from tools.mini_videomae.augment import Batch, apply_tables, augment, center, draw_gammas
from tools.mini_videomae.clips import POINTS
from tools.mini_videomae.recipe import Recipe
from tools.mini_videomae.store import Clips
from vidda.translate.stable_diffusion.personalize.render_images import image_grid

SPREAD = 0.5
"""Deviation, in patches, of the places that count as a joint's."""

NEAR = 1.0
"""Distance from a joint, in patches, within which positions are preferred to be visible."""

SHOWN = 12
TOGETHER = 64


class Learner:
    """A `tools.mini_diffusion.loop.Stage` that trains a VideoMAE on what the renderer knows."""

    def __init__(self, train: Clips, held_out: Clips, recipe: Recipe, machine: Machine) -> None:
        self._train, self._held_out = train, held_out
        self._recipe, self._machine = recipe, machine
        made = network.build(recipe.model, recipe.clips.motions, recipe.clips.frames, recipe.seed)
        self._network = made.to(machine.device).train()
        self.learned: Mapping[str, torch.nn.Parameter] = dict(made.named_parameters())
        self.size = len(train)
        at = (torch.arange(made.side, device=machine.device) + 0.5) * recipe.model.patch - 0.5
        row, column = torch.meshgrid(at, at, indexing="ij")
        self._centers = torch.stack([column, row], dim=-1).reshape(-1, 2)

    def loss_terms(
        self, numbers: torch.Tensor, generator: torch.Generator
    ) -> dict[str, torch.Tensor]:
        """Return the losses of motion classes, arm directions and joints' places, weighted.

        numbers: (B,) of training clips. generator: of all random numbers, on the device.
        """
        config, device = self._recipe.training, self._machine.device
        chosen = numbers.numpy()
        with torch.autocast(device.type, enabled=False):
            tables = draw_gammas(len(chosen), self._recipe.augment.gamma, generator)
            read = self._batch(self._train, chosen, tables)
            batch = augment(read, self._recipe.model.size, self._recipe.augment, generator)
            visible = self._visible(batch.points, generator)
        logits, arms, places = self._network(batch.video, visible)
        motion = torch.from_numpy(self._train.motion[chosen]).to(device)
        return {
            "classes": config.classes * functional.cross_entropy(logits.float(), motion),
            "arms": config.arms * functional.smooth_l1_loss(arms.float(), batch.arms, beta=0.2),
            "points": config.points * self._points_loss(places.float(), batch.points, visible),
        }

    @torch.no_grad()
    def measure(self) -> dict[str, float]:
        """Return the error of arms in degrees, and the shares of found motions and wrists."""
        logits, arms, places, truth = self._outputs(np.arange(len(self._held_out)))
        motion = torch.from_numpy(self._held_out.motion)
        cosine = functional.cosine_similarity(arms, truth.arms, dim=-1)
        angle = torch.rad2deg(torch.acos(cosine.clamp(-1.0, 1.0)))
        wrists = [POINTS.index("left_wrist"), POINTS.index("right_wrist")]
        away = (self._places(places) - truth.points)[:, :, wrists].norm(dim=-1)
        return {
            "motions": float((logits.argmax(1) == motion).float().mean()),
            "upper_arms_deg": float(angle[..., 0].mean()),
            "forearms_deg": float(angle[..., 1].mean()),
            "wrists": float((away < self._recipe.model.patch).float().mean()),
        }

    @torch.no_grad()
    def contact_sheet(self) -> np.ndarray:
        """Return held-out frames above the same with the found wrists and elbows marked."""
        chosen = np.arange(min(SHOWN, len(self._held_out)))
        _, _, places, truth = self._outputs(chosen)
        middle = truth.video.shape[1] // 2
        gray = (truth.video[:, middle] * 255).byte().numpy()
        frames = np.repeat(gray[..., None], 3, axis=-1)
        marked = frames.copy()
        found = self._places(places)[:, middle].round().long()
        last = frames.shape[1] - 1
        for joint, name in enumerate(POINTS):
            color = (255, 60, 60) if name.startswith("left") else (60, 255, 60)
            for image, (column, row) in zip(marked, found[:, joint].clamp(0, last), strict=True):
                image[row, column] = color
        return image_grid([frames, marked])

    def save(self, folder: Path) -> None:
        """Write the encoder's config and weights into an existing folder."""
        network.save(self._network, self._recipe.model, self._recipe.clips.frames, folder)

    def _batch(self, clips: Clips, chosen: np.ndarray, tables: torch.Tensor) -> Batch:
        """Return clips as they are, their gray levels by the tables (B, 256)."""
        device = self._machine.device
        frames = torch.from_numpy(clips.frames[chosen]).to(device)
        return Batch(
            apply_tables(frames, tables),
            torch.from_numpy(clips.arms[chosen]).to(device),
            torch.from_numpy(clips.points[chosen]).to(device),
        )

    def _visible(self, points: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        """Return the sorted positions (B, K) that the encoder sees: near joints, and random ones.

        In a random share of the steps they are all. points: (B, T, POINTS, 2) pixels.
        """
        device = points.device
        positions, config = len(self._centers), self._recipe.training
        everything = torch.rand((), generator=generator, device=device) < config.unmasked
        kept = positions if everything else max(1, round(config.visible * positions))
        patch = self._recipe.model.patch
        away = torch.cdist(points.flatten(1, 2), self._centers[None]).amin(dim=1) / patch
        rank = torch.rand(away.shape, generator=generator, device=device) + 1.5 * (away < NEAR)
        return rank.topk(kept, dim=1).indices.sort(dim=1).values

    def _points_loss(
        self, places: torch.Tensor, points: torch.Tensor, visible: torch.Tensor
    ) -> torch.Tensor:
        """Return the cross-entropy of joints' places; joints that no visible position is near are
        left out.

        places: (B, T, POINTS, K) logits. points: (B, T, POINTS, 2). visible: (B, K).
        """
        patch = self._recipe.model.patch
        at = self._centers[visible]
        squared = ((points[:, :, :, None] - at[:, None, None]) / patch).square().sum(-1)
        wanted = torch.softmax(-squared / (2 * SPREAD**2), dim=-1)
        known = squared.amin(dim=-1) < NEAR
        lost = -(wanted * functional.log_softmax(places, dim=-1)).sum(-1)
        return (lost * known).sum() / known.sum().clamp(min=1)

    def _places(self, places: torch.Tensor) -> torch.Tensor:
        """Return the expected places (B, T, POINTS, 2), in pixels, of logits over all positions."""
        return torch.softmax(places, dim=-1) @ self._centers.cpu()

    def _outputs(
        self, chosen: np.ndarray
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, Batch]:
        """Return the network's outputs for held-out clips, and the clips, on the CPU."""
        self._network.eval()
        size = self._recipe.model.size
        outputs, batches = [], []
        for start in range(0, len(chosen), TOGETHER):
            part = chosen[start : start + TOGETHER]
            straight = torch.linspace(0.0, 1.0, 256, device=self._machine.device)
            read = self._batch(self._held_out, part, straight.expand(len(part), -1))
            batch = center(read, size)
            everything = torch.arange(len(self._centers), device=batch.video.device)
            with self._machine.autocast():
                found = self._network(batch.video, everything.expand(len(batch.video), -1))
            outputs.append([one.float().cpu() for one in found])
            batches.append(Batch(batch.video.cpu(), batch.arms.cpu(), batch.points.cpu()))
        self._network.train()
        logits, arms, places = (torch.cat(parts) for parts in zip(*outputs, strict=True))
        truth = Batch(
            torch.cat([one.video for one in batches]),
            torch.cat([one.arms for one in batches]),
            torch.cat([one.points for one in batches]),
        )
        return logits, arms, places, truth
