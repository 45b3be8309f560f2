"""The recipe of four steps, with tiny real models of its kinds in place of the hub's."""

from pathlib import Path

import pytest
from diffusers import AutoencoderTiny

from tests.tiny_diffusion import FACTOR, write_lora
from tests.translate.translations import column, media
from vidda.config import load
from vidda.translate.job import run
from vidda.translate.translate_config import TranslateConfig

RECIPE = Path(__file__).parents[2] / "configs/translate/sd15_fast.yaml"


def write_tiny_autoencoder(folder: Path) -> Path:
    """An AutoencoderTiny with random weights for the tiny base; gives `folder`."""
    blocks = (8,) * 3
    assert 2 ** (len(blocks) - 1) == FACTOR
    AutoencoderTiny(
        encoder_block_out_channels=blocks,
        decoder_block_out_channels=blocks,
        num_encoder_blocks=(1, 1, 1),
        num_decoder_blocks=(1, 1, 1),
    ).save_pretrained(folder)
    return folder


@pytest.mark.slow
def test_four_steps_without_guidance_and_with_a_tiny_autoencoder(
    models: Path, source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def folder(path: Path) -> str:
        return f"{{name: folder, path: '{path}'}}"

    lora = write_lora(tmp_path / "lora", models / "base", 3)
    weights = "backbone.weights"
    config = load(
        TranslateConfig,
        RECIPE,
        [
            f"{weights}.base={folder(models / 'base')}",
            f"{weights}.vae={folder(write_tiny_autoencoder(tmp_path / 'tiny_vae'))}",
            f"{weights}.controlnets.0.source={folder(models / 'edges')}",
            f"{weights}.controlnets.1.source={folder(models / 'pose')}",
            f"{weights}.loras.0.source={folder(lora)}",
            "control.pose={name: sidecar}",
            f"input={source}",
            f"out={tmp_path / 'run'}",
            f"cache={tmp_path / 'cache'}",
            "size=32",
            "device=cpu",
        ],
    )
    assert run(config, dry_run=False, resume=False) == 0
    assert "each frame: 4 steps, 4 passes of the UNet, 8 of ControlNets" in capsys.readouterr().out
    assert len(media(tmp_path / "run")) == 3
    made = tmp_path / "run" / "manifest.csv", tmp_path / "run" / "rejected.csv"
    ids = [clip for file in made if file.exists() for clip in column(file, "id")]
    assert len(ids) == 3
