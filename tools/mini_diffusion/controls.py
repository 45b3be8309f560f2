"""What the ControlNets are shown in training, from the bytes of `cache.packed`."""

from collections.abc import Mapping

import numpy as np
import torch
from torch.nn import functional as F

from tools.mini_diffusion.cache import EDGE, PALETTE, PERSON
from tools.mini_diffusion.recipe import ControlStage

SURROUNDINGS = (2, 12)
"""How far from the person edges stay, in pixels of a picture of 112."""
PATCHES = 5
"""Cells a side of the noise that decides where else they do."""


def pose_maps(facts: torch.Tensor) -> torch.Tensor:
    """The drawn poses, (B, 3, H, W) in [0, 1], of facts (B, H, W) uint8."""
    palette = torch.from_numpy(PALETTE.astype(np.float32) / 255.0).to(facts.device)
    return palette[(facts % EDGE).long()].permute(0, 3, 1, 2)


def edge_maps(facts: torch.Tensor) -> torch.Tensor:
    """The edges, (B, 3, H, W), 0 or 1."""
    return ((facts & EDGE) > 0).float()[:, None].expand(-1, 3, -1, -1)


def person(facts: torch.Tensor) -> torch.Tensor:
    """The person's pixels, (B, 1, H, W), 0 or 1."""
    return (facts >= PERSON).float()[:, None]


def surroundings(facts: torch.Tensor, pixels: int) -> torch.Tensor:
    """The person's pixels and those so near to them, (B, 1, H, W), 0 or 1."""
    return F.max_pool2d(person(facts), 2 * pixels + 1, stride=1, padding=pixels)


def shown(
    facts: torch.Tensor, config: ControlStage, generator: torch.Generator
) -> tuple[dict[str, torch.Tensor], dict[str, torch.Tensor]]:
    """The maps of each ControlNet and, (B, 1, 1, 1), whether it acts on a picture at all.

    Far from the person, edges are left out in most pictures and in random patches of the others:
    else a plain source would say that the place is empty.
    """
    device, count, size = facts.device, len(facts), facts.shape[-1]

    def chance() -> torch.Tensor:
        return torch.rand(count, 1, 1, 1, generator=generator, device=device)

    low, high = (round(reach * size / 112) for reach in SURROUNDINGS)
    # From the seed and not drawn: a number drawn on a GPU would have to be waited for.
    reach = low + generator.initial_seed() % (high + 1 - low)
    rough = torch.rand(count, 1, PATCHES, PATCHES, generator=generator, device=device)
    noise = F.interpolate(rough, size=(size, size), mode="bilinear")
    elsewhere = (noise < chance()) & (chance() >= config.only_person)
    kept = torch.maximum(surroundings(facts, reach), elsewhere.float())
    maps = {"edges": edge_maps(facts) * kept, "pose": pose_maps(facts)}
    acts = {
        "edges": (chance() >= config.no_edges).float(),
        "pose": (chance() >= config.no_pose).float(),
    }
    return maps, acts


def at_use(facts: torch.Tensor) -> Mapping[str, torch.Tensor]:
    """The maps as a translation shows them: edges of the person and near it, and the pose."""
    reach = round(sum(SURROUNDINGS) / 2 * facts.shape[-1] / 112)
    return {"edges": edge_maps(facts) * surroundings(facts, reach), "pose": pose_maps(facts)}
