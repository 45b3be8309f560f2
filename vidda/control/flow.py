"""Optical flow between two frames, and the pixels that it does not explain.

A flow (H, W, 2) holds x, y displacements in pixels: the content at `a[y, x]` is at `b[y + dy, x +
dx]`.
"""

from pathlib import Path
from typing import Annotated, Literal, Protocol

import cv2
import numpy as np
from pydantic import Field

from vidda.config import Config
from vidda.control.network_weights import load_network_weights
from vidda.device import torch_device
from vidda.errors import ViddaError

SMALLEST_SIDE = 16
"""Fewest pixels a side of a frame: with fewer, OpenCV's DIS has no patch to compare."""


class FlowEstimator(Protocol):
    """An estimator of optical flow between two frames."""

    def flow(self, a: np.ndarray, b: np.ndarray) -> np.ndarray:
        """Return the flow from frame `a` to frame `b`, (H, W, 2) float32; both (H, W, 3) uint8 RGB.

        Raises ViddaError where a side has fewer than `SMALLEST_SIDE` pixels.
        """


class DisConfig(Config):
    """Dense inverse search, by OpenCV on the CPU (arXiv 1603.03590)."""

    name: Literal["dis"] = "dis"
    preset: Literal["ultrafast", "fast", "medium"] = Field(
        default="medium", description="OpenCV's preset; slower ones are more exact"
    )

    def build(self) -> "Dis":
        """Return the estimator."""
        return Dis(self)


class RaftConfig(Config):
    """RAFT, an optical flow network of torchvision (arXiv 2003.12039)."""

    name: Literal["raft"] = "raft"
    size: Literal["small", "large"] = Field(default="large", description="size of the network")
    weights: Path | None = Field(
        default=None,
        description="file of weights, .safetensors or a torch state_dict; null: torchvision's own",
    )
    download: bool = Field(
        default=False, description="fetch torchvision's weights where its cache lacks them"
    )
    updates: int = Field(default=12, ge=1, description="iterations that refine the flow")
    device: str = Field(
        default="auto", description="cpu, cuda, cuda:1, ...; auto: a GPU if there is one"
    )

    def build(self) -> "Raft":
        """Return the estimator; raises ViddaError when its weights or device are not available."""
        return Raft(self)


FlowConfig = Annotated[DisConfig | RaftConfig, Field(discriminator="name")]


def warp(values: np.ndarray, flow: np.ndarray) -> np.ndarray:
    """Return `values` of frame b at the positions that the flow points to, by bilinear
    interpolation.

    values: (H, W) or (H, W, C), of frame b. flow: (H, W, 2) from frame a to b, in pixels. Returns
    the shape of `values`, aligned with frame a; where the flow leaves the frame, the nearest pixel
    in it.
    """
    x, y = _target_positions(flow)
    return np.asarray(cv2.remap(values, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE))


def occlusion_mask(forward: np.ndarray, backward: np.ndarray) -> np.ndarray:
    """Return the pixels of frame a that have no counterpart in frame b, (H, W) bool.

    forward, backward: (H, W, 2) float32, flow from a to b and from b to a. A pixel is occluded when
    |f + b|^2 > 0.01 (|f|^2 + |b|^2) + 0.5, b taken where f points (Sundaram, Brox and Keutzer, ECCV
    2010, equation 5), and when f points out of the frame.
    """
    height, width = forward.shape[:2]
    back = warp(backward, forward)
    mismatch = np.square(forward + back).sum(axis=2)
    length = np.square(forward).sum(axis=2) + np.square(back).sum(axis=2)
    x, y = _target_positions(forward)
    # A pixel reaches half a pixel around its center.
    inside = (x >= -0.5) & (x < width - 0.5) & (y >= -0.5) & (y < height - 0.5)
    return ~inside | (mismatch > 0.01 * length + 0.5)


def _target_positions(flow: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the positions that each pixel's flow points to: x (H, W) and y (H, W), float32."""
    height, width = flow.shape[:2]
    x, y = np.arange(width, dtype=np.float32), np.arange(height, dtype=np.float32)
    return x + flow[..., 0], y[:, None] + flow[..., 1]


def _check_size(frame: np.ndarray) -> None:
    """Raise ViddaError when a frame has a side of fewer than `SMALLEST_SIDE` pixels."""
    height, width = frame.shape[:2]
    if min(height, width) < SMALLEST_SIDE:
        raise ViddaError(
            f"optical flow: frames of {width}x{height} pixels are too small, they need"
            f" {SMALLEST_SIDE} a side; use larger frames, or leave flow out with flow=null"
        )


class Dis:
    """OpenCV's dense inverse search on gray frames."""

    def __init__(self, config: DisConfig) -> None:
        presets = {
            "ultrafast": cv2.DISOPTICAL_FLOW_PRESET_ULTRAFAST,
            "fast": cv2.DISOPTICAL_FLOW_PRESET_FAST,
            "medium": cv2.DISOPTICAL_FLOW_PRESET_MEDIUM,
        }
        self._dis = cv2.DISOpticalFlow.create(presets[config.preset])

    def flow(self, a: np.ndarray, b: np.ndarray) -> np.ndarray:
        """Return the flow from frame `a` to frame `b`, (H, W, 2) float32; see
        `FlowEstimator.flow`.
        """
        _check_size(a)
        gray = [cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY) for frame in (a, b)]
        found: np.ndarray = self._dis.calc(*gray, None)  # type: ignore[call-overload]
        return found


class Raft:
    """torchvision's RAFT in float32.

    Frames of a size that the network does not take are stretched to the next multiple of 8, at
    least 128.
    """

    def __init__(self, config: RaftConfig) -> None:
        from torchvision.models import optical_flow

        self.device = torch_device(config.device, "flow.device")
        self.updates = config.updates
        self._model = getattr(optical_flow, f"raft_{config.size}")(weights=None)
        load_network_weights(
            self._model, config.weights or _torchvision_weights(config), "flow.weights"
        )
        self._model.eval().requires_grad_(False).to(self.device)

    def flow(self, a: np.ndarray, b: np.ndarray) -> np.ndarray:
        """Return the flow from frame `a` to frame `b`, (H, W, 2) float32; see
        `FlowEstimator.flow`.
        """
        import torch
        from torch.nn.functional import interpolate

        _check_size(a)
        height, width = a.shape[:2]
        network_size = tuple(max(128, -(-side // 8) * 8) for side in (height, width))
        pair = torch.from_numpy(np.stack([a, b])).to(self.device).permute(0, 3, 1, 2)
        pair = pair.float() / 127.5 - 1.0
        with torch.inference_mode():
            if network_size != (height, width):
                pair = interpolate(pair, network_size, mode="bilinear", antialias=True)
            found = self._model(pair[:1], pair[1:], num_flow_updates=self.updates)[-1]
            if network_size != (height, width):
                found = interpolate(found, (height, width), mode="bilinear", antialias=True)
            scale = found.new_tensor([width / network_size[1], height / network_size[0]])
            result: np.ndarray = (found[0].permute(1, 2, 0) * scale).cpu().numpy()
        return np.ascontiguousarray(result)


def _torchvision_weights(config: RaftConfig) -> Path:
    """Return the file of torchvision's own weights in its cache, downloaded only if the config says
    so.
    """
    import torch
    from torchvision.models import optical_flow

    url = getattr(optical_flow, f"Raft_{config.size.capitalize()}_Weights").DEFAULT.url
    name = url.rpartition("/")[2]
    file = Path(torch.hub.get_dir()) / "checkpoints" / name
    if file.is_file():
        return file
    if not config.download:
        raise ViddaError(
            f"{file}: torchvision's weights are missing; flow.download=true downloads them,"
            " or name a file with flow.weights=FILE"
        )
    file.parent.mkdir(parents=True, exist_ok=True)
    try:
        # The name ends in the first digits of the content's SHA-256.
        digest = file.stem.rpartition("-")[2]
        torch.hub.download_url_to_file(url, str(file), digest, progress=False)
    except (OSError, RuntimeError) as error:
        reason = str(error).partition("\n")[0]
        raise ViddaError(
            f"{url} cannot be downloaded ({reason}); copy the file to {file}"
        ) from None
    return file
