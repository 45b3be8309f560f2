"""Noise is unit normal and white, shared as far as asked, and a clip's own."""

import inspect

import numpy as np
import pytest
import torch

from tests.translate.tiny_translator import clip_job
from vidda.control.controls import Controls
from vidda.translate.stable_diffusion.noise import (
    FlowWarpedNoise,
    IndependentNoise,
    NoiseConfig,
    SharedNoise,
    flow_on_grid,
    generator,
    warp_noise,
)

SHAPE = (4, 64, 64)


def controls(flow: np.ndarray, occluded: np.ndarray) -> Controls:
    return Controls(None, None, None, None, flow, None, occluded)


def swirl(length: int, side: int) -> Controls:
    """Rotation about the middle, growth, and a strip without a counterpart: nothing is simple."""
    y, x = np.mgrid[:side, :side].astype(np.float32) - side / 2
    flow = np.stack(
        [np.stack([0.2 * t * y + 0.1 * t * x, -0.2 * t * x], axis=2) for t in range(length)]
    ).astype(np.float32)
    occluded = np.zeros((length, side, side), bool)
    occluded[1:, :, : side // 4] = True
    return controls(flow, occluded)


@pytest.mark.parametrize(
    "noise",
    [
        IndependentNoise(),
        SharedNoise(rho=0.5),
        SharedNoise(),
        FlowWarpedNoise(rho=1.0),
        FlowWarpedNoise(rho=0.8),
    ],
    ids=str,
)
def test_every_frame_is_unit_normal_and_white(noise: NoiseConfig) -> None:
    """128 clips of three frames: deviations from theory within five standard errors."""
    flow = swirl(3, 256)
    drawn = torch.stack([noise.draw(seed, 3, (1, 64, 64), flow) for seed in range(128)])
    count = 128 * 64 * 64
    for frame in drawn.unbind(1):
        assert abs(frame.mean()) < 5 * count**-0.5
        assert abs(frame.var() - 1) < 5 * (2 / count) ** 0.5
        assert abs(frame.pow(4).mean() - 3) < 5 * (96 / count) ** 0.5
        for rows, columns in [(0, 1), (1, 0), (1, 1), (0, 2), (2, 0), (3, 1)]:
            moved = torch.roll(frame, (rows, columns), dims=(-2, -1))
            product = (frame * moved)[..., rows:, columns:]
            assert abs(product.mean()) < 5 * product.numel() ** -0.5
        # No place of the image is quieter than the others.
        assert (frame.var(dim=0) - 1).abs().max() < 6 * (2 / 128) ** 0.5


@pytest.mark.parametrize(
    ("noise", "expected"),
    [
        (IndependentNoise(), 0.0),
        (SharedNoise(rho=0.5), 0.5),
        (SharedNoise(), 1.0),
        (FlowWarpedNoise(rho=0.8), 0.8),
    ],
    ids=str,
)
def test_frames_share_as_much_as_is_asked(noise: NoiseConfig, expected: float) -> None:
    still = controls(np.zeros((3, 256, 256, 2), np.float32), np.zeros((3, 256, 256), bool))
    drawn = noise.draw(0, 3, SHAPE, still)
    assert abs((drawn[0] * drawn[2]).mean() - expected) < 5 * drawn[0].numel() ** -0.5


def test_noise_follows_the_flow() -> None:
    # Eight pixels are two latents: the image moved down and right by them.
    flow = np.full((2, 256, 256, 2), -8.0, np.float32)
    flow[0] = 0
    still = np.zeros((2, 256, 256), bool)
    first, second = FlowWarpedNoise(rho=1.0).draw(3, 2, SHAPE, controls(flow, still))
    assert torch.equal(second[:, 2:, 2:], first[:, :-2, :-2])
    # What came into view has noise of its own.
    assert not torch.isin(second[:, :2], first).any()
    assert not torch.isin(second[:, :, :2], first).any()


def test_no_cell_is_taken_twice_or_from_what_is_hidden() -> None:
    anchor, fresh = torch.arange(16.0).view(1, 4, 4), torch.full((1, 4, 4), -1.0)
    flow = torch.zeros(4, 4, 2)
    flow[0, :, 0] = -torch.arange(4.0)  # the whole first row shows cell 0
    flow[1, 3, 0] = 1  # leaves the image
    flow[2, 0, 1] = -0.4  # nearest is the cell itself
    occluded = torch.zeros(4, 4, dtype=torch.bool)
    occluded[3, 3] = True
    wanted = anchor.clone()
    wanted[0, 0, 1:] = wanted[0, 1, 3] = wanted[0, 3, 3] = -1
    assert torch.equal(warp_noise(anchor, flow, occluded, fresh), wanted)


def test_flow_is_averaged_onto_the_grid() -> None:
    flow = np.zeros((8, 12, 2), np.float32)
    flow[:4, :4] = (4, 8)
    flow[:2, 4:8] = (8, 0)
    occluded = np.zeros((8, 12), bool)
    occluded[4:7, :4] = True
    means, hidden = flow_on_grid(flow, occluded, (2, 3))
    assert means[0].tolist() == [[1, 2], [1, 0], [0, 0]]
    assert hidden.tolist() == [[False] * 3, [True, False, False]]


def test_warping_needs_no_gradient_and_no_loop_over_cells() -> None:
    """As many operations for a grid of any size."""
    from torch.utils._python_dispatch import TorchDispatchMode

    class Count(TorchDispatchMode):
        calls = 0

        def __torch_dispatch__(self, func, types, args=(), kwargs=None):  # type: ignore[no-untyped-def]
            self.calls += 1
            return func(*args, **(kwargs or {}))

    counts = []
    for side in (4, 64):
        with Count() as count:
            moved = warp_noise(
                torch.randn(4, side, side),
                torch.randn(side, side, 2),
                torch.zeros(side, side, dtype=torch.bool),
                torch.randn(4, side, side),
            )
        counts.append(count.calls)
        assert not moved.requires_grad
    assert counts[0] == counts[1] > 0
    assert "for " not in inspect.getsource(warp_noise).split('"""')[2]


def test_a_clip_s_noise_is_its_own() -> None:
    """It depends on nothing but the seed, and leaves torch's global generator alone."""
    clip = clip_job(2)
    state = torch.get_rng_state()
    for noise in (IndependentNoise(), SharedNoise(), FlowWarpedNoise()):
        one, again, other = (noise.draw(seed, 2, SHAPE, clip.controls) for seed in (1, 1, 2))
        assert torch.equal(one, again)
        assert abs((one * other).mean()) < 0.05
        steps = [noise.step_generators(1, step, 2) for step in (0, 0, 1)]
        drawn = [[float(torch.randn((), generator=g)) for g in step] for step in steps]
        assert drawn[0] == drawn[1] != drawn[2]
        assert (drawn[0][0] == drawn[0][1]) == (noise.name != "independent")
    assert torch.equal(state, torch.get_rng_state())
    assert generator(1, "a").initial_seed() != generator(1, "b").initial_seed()
