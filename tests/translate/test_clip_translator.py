"""A translation called from Python: what the command writes, of frames and files."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.clips import moving
from tests.translate.translations import FRAMES, config, start, without_pose
from vidda import video
from vidda.errors import ViddaError
from vidda.translate.clip_translator import ClipTranslator, load


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("clip") / "clip.mp4"
    video.write(path, moving(FRAMES, 48, 60), 8.0)
    return path


@pytest.fixture(scope="module")
def translator(models: Path, clip: Path) -> ClipTranslator:
    return load(config(without_pose(models, clip, clip.parent / "out")), device="cpu")


def test_a_file_comes_out_as_the_command_writes_it(
    models: Path, clip: Path, translator: ClipTranslator, tmp_path: Path
) -> None:
    content = without_pose(models, clip, tmp_path / "out", crf=None)
    assert start(content) == 0
    (written,) = (tmp_path / "out/videos").rglob("*.mp4")
    wanted = video.read(written)
    found = translator.translate(str(clip))
    assert found.shape == (FRAMES, 32, 40, 3) and found.dtype == np.uint8
    assert np.array_equal(found, wanted)
    # From a file, without the keys that are the command's alone.
    file = tmp_path / "translate.yaml"
    file.write_text(json.dumps({k: v for k, v in content.items() if k not in ("input", "out")}))
    assert np.array_equal(load(file, device="cpu").translate(clip), wanted)
    fewer = load(file, overrides=["frames.name=first", "frames.count=2"], device="cpu")
    assert fewer.translate(clip).shape == (2, 32, 40, 3)


def test_frames_prompt_controls_and_seed(clip: Path, translator: ClipTranslator) -> None:
    frames = video.read(clip)
    given = translator.translate(frames, seed=3)
    assert given.shape == (FRAMES, 32, 40, 3)
    assert np.array_equal(given, translator.translate(clip, seed=3))
    assert not np.array_equal(given, translator.translate(frames, seed=4))
    assert not np.array_equal(given, translator.translate(frames, prompt="sks", seed=3))
    controls = translator.controls_of(frames)
    assert controls.edges is not None and controls.edges.shape == (FRAMES, 32, 40)
    assert np.array_equal(given, translator.translate(frames, controls=controls, seed=3))
    inverted = replace(controls, edges=255 - controls.edges)
    assert not np.array_equal(given, translator.translate(frames, controls=inverted, seed=3))


def test_what_cannot_be_translated(
    models: Path, clip: Path, translator: ClipTranslator, tmp_path: Path
) -> None:
    frames = video.read(clip)
    with pytest.raises(ViddaError, match=r"frames: an array of float64.* uint8"):
        translator.translate(frames / 255)
    with pytest.raises(ViddaError, match="no such file or folder"):
        translator.translate(tmp_path / "none.mp4")
    video.write(clip.parent / "two" / "a.mp4", frames, 8.0)
    video.write(clip.parent / "two" / "b.mp4", frames, 8.0)
    with pytest.raises(ViddaError, match="2 clips; give one video"):
        translator.translate(clip.parent / "two")
    with pytest.raises(ViddaError, match=r"prompt has .* shorten"):
        translator.translate(frames, prompt="xyz" * 100)
    controls = translator.controls_of(frames[:2])
    with pytest.raises(ViddaError, match=r"controls.edges is for \(2, 32, 40\)"):
        translator.translate(frames, controls=controls)
    content = without_pose(models, clip, tmp_path / "out", workers=2)
    with pytest.raises(ViddaError, match="engine local has only one"):
        load(config(content))
