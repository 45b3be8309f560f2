"""Optical flow against motions that are known, occlusion at a square that moves, RAFT's weights."""

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torchvision.models.optical_flow import raft_small

from vidda.control.flow import DisConfig, RaftConfig, occlusion_mask, warp
from vidda.errors import ViddaError


def texture(height: int, width: int, seed: int = 0) -> np.ndarray:
    """(H, W, 3) uint8 with detail at several scales."""
    rng = np.random.default_rng(seed)
    layers = [
        cv2.GaussianBlur(rng.standard_normal((height, width, 3)), (0, 0), sigma) * sigma
        for sigma in (1.5, 3, 6)
    ]
    image = np.sum(layers, axis=0)
    return np.clip(127 + 60 * image / image.std(), 0, 255).astype(np.uint8)


def moved(image: np.ndarray, matrix: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The image under an affine motion, and the true flow to it."""
    height, width = image.shape[:2]
    other = cv2.warpAffine(
        image, matrix, (width, height), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT
    )
    x, y = np.meshgrid(np.arange(width), np.arange(height))
    at = np.stack([x, y, np.ones_like(x)], axis=2) @ matrix.T
    return other, at - np.stack([x, y], axis=2)


@pytest.mark.parametrize(("preset", "bound"), [("ultrafast", 0.6), ("medium", 0.15)])
@pytest.mark.parametrize(
    "matrix",
    [np.array([[1.0, 0, 5.0], [0, 1, -3.0]]), cv2.getRotationMatrix2D((80, 60), 4.0, 1.03)],
    ids=["translation", "rotation"],
)
def test_a_known_motion_is_found(matrix: np.ndarray, preset: str, bound: float) -> None:
    a = texture(120, 160)
    b, truth = moved(a, matrix)
    found = DisConfig(preset=preset).build().flow(a, b)
    assert found.shape == (120, 160, 2) and found.dtype == np.float32
    error = np.linalg.norm(found - truth, axis=2)[12:-12, 12:-12]
    assert error.mean() < bound
    difference = np.abs(warp(b, found).astype(float) - a)[12:-12, 12:-12]
    assert difference.mean() < 0.2 * np.abs(b.astype(float) - a)[12:-12, 12:-12].mean()


def test_flow_does_not_depend_on_threads_or_on_what_was_asked_before() -> None:
    a, b = texture(100, 140), texture(100, 140, seed=1)
    estimator = DisConfig().build()
    threads = cv2.getNumThreads()
    try:
        cv2.setNumThreads(1)
        first = estimator.flow(a, b)
        estimator.flow(b, a)
        cv2.setNumThreads(5)
        np.testing.assert_array_equal(estimator.flow(a, b), first)
    finally:
        cv2.setNumThreads(threads)


def test_warp_takes_values_from_where_the_flow_points() -> None:
    values = np.arange(48, dtype=np.float32).reshape(6, 8)
    flow = np.zeros((6, 8, 2), np.float32)
    flow[..., 0], flow[..., 1] = 2, 1
    np.testing.assert_array_equal(warp(values, flow)[:-1, :-2], values[1:, 2:])
    np.testing.assert_array_equal(warp(values, flow)[-1, -2:], values[-1, [-1, -1]])
    np.testing.assert_allclose(warp(values, flow / 2)[2, 3], values[2:4, 4].mean())


def test_occlusion_is_the_formula_of_the_specification() -> None:
    rng = np.random.default_rng(0)
    forward = rng.integers(-3, 4, (20, 24, 2)).astype(np.float32)
    backward = rng.integers(-3, 4, (20, 24, 2)).astype(np.float32)
    found = occlusion_mask(forward, backward)
    assert 0.1 < found.mean() < 1.0
    for y in range(20):
        for x in range(24):
            f = forward[y, x]
            u, v = int(x + f[0]), int(y + f[1])
            if not (0 <= u < 24 and 0 <= v < 20):
                assert found[y, x]
                continue
            b = backward[v, u]
            assert found[y, x] == (np.sum((f + b) ** 2) > 0.01 * (f @ f + b @ b) + 0.5)


def test_what_a_moving_square_uncovers_is_occluded() -> None:
    """The square moves 8 pixels to the right: a strip at its left has not been seen before."""
    ground, square = texture(96, 128), texture(40, 40, seed=5)
    before, now = ground.copy(), ground.copy()
    before[28:68, 40:80] = square
    now[28:68, 48:88] = square
    to_before = np.zeros((96, 128, 2), np.float32)
    to_before[28:68, 48:88, 0] = -8
    to_now = np.zeros((96, 128, 2), np.float32)
    to_now[28:68, 40:80, 0] = 8
    strip = np.zeros((96, 128), bool)
    strip[28:68, 40:48] = True
    np.testing.assert_array_equal(occlusion_mask(to_before, to_now), strip)

    dis = DisConfig().build()
    estimated = occlusion_mask(dis.flow(now, before), dis.flow(before, now))
    assert estimated[32:64, 41:47].mean() > 0.8
    assert estimated[32:64, 54:82].mean() < 0.05
    assert estimated[:16].mean() < 0.05


@pytest.fixture(scope="module")
def raft_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """RAFT's real architecture with random weights."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        state = raft_small(weights=None).state_dict()
    file = tmp_path_factory.mktemp("raft") / "raft.safetensors"
    save_file(state, file)
    torch.save(state, file.with_suffix(".pth"))
    return file


def test_raft_is_torchvisions_model_and_takes_any_size(raft_file: Path) -> None:
    ours = RaftConfig(size="small", weights=raft_file, updates=2, device="cpu").build()
    a, b = texture(128, 136), texture(128, 136, seed=1)
    model = raft_small(weights=None).eval()
    model.load_state_dict(torch.load(raft_file.with_suffix(".pth"), weights_only=True))
    pair = torch.from_numpy(np.stack([a, b])).permute(0, 3, 1, 2) / 127.5 - 1
    with torch.no_grad():
        expected = model(pair[:1], pair[1:], num_flow_updates=2)[-1][0].permute(1, 2, 0)
    np.testing.assert_allclose(ours.flow(a, b), expected, atol=1e-4)

    odd = RaftConfig(
        size="small", weights=raft_file.with_suffix(".pth"), updates=1, device="cpu"
    ).build()
    found = odd.flow(a[:50, :61], b[:50, :61])
    assert found.shape == (50, 61, 2) and found.dtype == np.float32
    assert np.isfinite(found).all() and found.any()


def test_flow_of_a_stretched_frame_is_in_its_own_pixels(
    raft_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ours = RaftConfig(size="small", weights=raft_file, device="cpu").build()

    def eight_and_four(a: torch.Tensor, b: torch.Tensor, num_flow_updates: int) -> list:
        assert a.shape == b.shape == (1, 3, 128, 256)
        return [torch.tensor([8.0, 4.0]).view(1, 2, 1, 1).expand(1, 2, 128, 256)]

    monkeypatch.setattr(ours._model, "forward", eight_and_four)
    found = ours.flow(texture(64, 256), texture(64, 256, seed=1))
    np.testing.assert_allclose(found, np.broadcast_to([8.0, 2.0], (64, 256, 2)), rtol=1e-5)


def test_rafts_weights_come_only_from_where_the_user_says(
    raft_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    with pytest.raises(ViddaError, match=r"flow\.download=true"):
        RaftConfig(size="small", device="cpu").build()
    cached = tmp_path / "hub" / "checkpoints" / "raft_small_C_T_V2-01064c6d.pth"
    cached.parent.mkdir(parents=True)
    cached.write_bytes(raft_file.with_suffix(".pth").read_bytes())
    assert RaftConfig(size="small", device="cpu").build().updates == 12

    with pytest.raises(ViddaError, match="no such file"):
        RaftConfig(weights=tmp_path / "absent.pth", device="cpu").build()
    with pytest.raises(ViddaError, match="not the weights"):
        RaftConfig(size="large", weights=raft_file, device="cpu").build()
    harmful = tmp_path / "code.pth"
    torch.save({"w": Path("x")}, harmful)
    with pytest.raises(ViddaError, match="more than plain tensors"):
        RaftConfig(size="small", weights=harmful, device="cpu").build()
    with pytest.raises(ViddaError, match="not on this machine"):
        RaftConfig(size="small", weights=raft_file, device="cuda:99").build()
