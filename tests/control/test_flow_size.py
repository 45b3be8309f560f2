"""Frames too small for optical flow are refused by every estimator."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torchvision.models.optical_flow import raft_small

from vidda.control.flow import DisConfig, RaftConfig
from vidda.errors import ViddaError


def test_frames_under_16_pixels_a_side_are_refused(tmp_path: Path) -> None:
    file = tmp_path / "raft.pt"
    torch.save(raft_small().state_dict(), file)
    raft = RaftConfig(size="small", weights=file, updates=1, device="cpu").build()
    estimators = [DisConfig().build(), DisConfig(preset="ultrafast").build(), raft]
    for estimator in estimators:
        for height, width in ((15, 64), (64, 15), (1, 1), (12, 12)):
            frame = np.zeros((height, width, 3), np.uint8)
            with pytest.raises(ViddaError, match=f"flow: frames of {width}x{height} .* 16 a side"):
                estimator.flow(frame, frame)
        small = np.zeros((16, 16, 3), np.uint8)
        assert estimator.flow(small, small).shape == (16, 16, 2)
