"""The control maps of the ControlNets, from the bytes of `cache.pack_facts`."""

from collections.abc import Mapping

import numpy as np
import torch
from torch.nn import functional as F

from tools.mini_diffusion.cache import EDGE, PALETTE, PERSON
from tools.mini_diffusion.recipe import DenoiserStage
from vidda.control.draw_pose import COLORS, LIMB_BRIGHTNESS, LIMBS, OPENPOSE_JOINTS

SURROUNDINGS = (2, 12)
"""Range of the distance from the person within which edges are kept, in pixels."""
PATCHES = 5
"""Cells a side of the noise that chooses where else edges are kept."""


HAND = 3
"""Pixels by which the lines of the arms are widened to cover sleeves and hands."""


def _arm_colors() -> np.ndarray:
    """Return which colors of PALETTE are those of elbows, wrists and the limbs that end there."""
    ends = ("elbow", "wrist")
    joints = [COLORS[n] for n, name in enumerate(OPENPOSE_JOINTS) if name.endswith(ends)]
    limbs = [COLORS[n] for n, (_, end) in enumerate(LIMBS) if end.endswith(ends)]
    drawn = np.concatenate([joints, (np.array(limbs) * LIMB_BRIGHTNESS).astype(np.uint8)])
    same: np.ndarray = (PALETTE[:, None] == drawn).all(-1).any(1)
    return same


ARM_COLORS = _arm_colors()


def pose_maps(facts: torch.Tensor) -> torch.Tensor:
    """Return the pose maps, (B, 3, H, W) in [0, 1], of facts (B, H, W) uint8."""
    palette = torch.from_numpy(PALETTE.astype(np.float32) / 255.0).to(facts.device)
    return palette[(facts % EDGE).long()].permute(0, 3, 1, 2)


def edge_maps(facts: torch.Tensor) -> torch.Tensor:
    """Return the edge maps, (B, 3, H, W), 0 or 1, of facts (B, H, W) uint8."""
    return ((facts & EDGE) > 0).float()[:, None].expand(-1, 3, -1, -1)


def person(facts: torch.Tensor) -> torch.Tensor:
    """Return the mask of the person, (B, 1, H, W), 0 or 1, of facts (B, H, W) uint8."""
    return (facts >= PERSON).float()[:, None]


def arms(facts: torch.Tensor) -> torch.Tensor:
    """Return the mask of the arms and hands, (B, 1, H, W), 0 or 1, of facts (B, H, W) uint8."""
    lines = torch.from_numpy(ARM_COLORS.astype(np.float32)).to(facts.device)[(facts % EDGE).long()]
    return F.max_pool2d(lines[:, None], 2 * HAND + 1, stride=1, padding=HAND)


def surroundings(facts: torch.Tensor, pixels: int) -> torch.Tensor:
    """Return the mask of the person, dilated by some pixels, (B, 1, H, W), 0 or 1."""
    return F.max_pool2d(person(facts), 2 * pixels + 1, stride=1, padding=pixels)


def training_maps(
    facts: torch.Tensor, config: DenoiserStage, generator: torch.Generator
) -> Mapping[str, torch.Tensor]:
    """Return the control maps of a training step by kind: both, one or none, for all images.

    Far from the person, edges are left out in most images and in random patches of the others, so
    that the absence of edges does not imply an empty background.
    """
    device, count, size = facts.device, len(facts), facts.shape[-1]
    # On the CPU, because reading a random number from a GPU would wait for it.
    rng = np.random.default_rng([generator.initial_seed(), 1])
    with_pose, with_edges = rng.random(2) >= (config.no_pose, config.no_edges)
    maps = {}
    if with_edges:

        def chance() -> torch.Tensor:
            return torch.rand(count, 1, 1, 1, generator=generator, device=device)

        rough = torch.rand(count, 1, PATCHES, PATCHES, generator=generator, device=device)
        noise = F.interpolate(rough, size=(size, size), mode="bilinear")
        elsewhere = (noise < chance()) & (chance() >= config.only_person)
        kept = surroundings(facts, int(rng.integers(SURROUNDINGS[0], SURROUNDINGS[1] + 1)))
        maps["edges"] = edge_maps(facts) * torch.maximum(kept, elsewhere.float())
    if with_pose:
        maps["pose"] = pose_maps(facts)
    return maps


def inference_maps(facts: torch.Tensor) -> Mapping[str, torch.Tensor]:
    """Return the control maps as in a translation: edges of and near the person, and the pose."""
    reach = sum(SURROUNDINGS) // 2
    return {"edges": edge_maps(facts) * surroundings(facts, reach), "pose": pose_maps(facts)}
