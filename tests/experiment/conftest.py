"""What several tests of this folder start from."""

from pathlib import Path

import pytest

from tests.tiny_diffusion import write_controlnet, write_tiny


@pytest.fixture(scope="session")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a base and its two ControlNets, as the job's key `weights` names one."""
    folder = tmp_path_factory.mktemp("weights")
    base = write_tiny(folder, size=32)
    write_controlnet(folder / "controlnet_edges", base, 1)
    write_controlnet(folder / "controlnet_pose", base, 2)
    return folder
