"""What `vidda personalize` finds wrong, in a line each, before anything is written."""

from pathlib import Path
from typing import Any

import pytest

from tests.translate.personalizing import DREAMBOOTH, INVERSION, LORA, personalize
from tests.translate.target_clips import content
from vidda.errors import ViddaError


def test_every_mistake_is_reported_before_anything_is_written(
    base: Path, target: Path, tmp_path: Path
) -> None:
    empty = target.parent / "empty.csv"
    empty.write_text(target.read_text().splitlines()[0] + "\n")
    frames = {"count": 12, "held_out": 2}
    cases: list[tuple[dict[str, Any], str]] = [
        ({"target": str(empty)}, "no clips"),
        ({"frames": {"held_out": 6}}, "frames.held_out: 6 of only 6 clips"),
        ({"frames": {"count": 99, "held_out": 2}}, "which has 8; lower it"),
        ({"frames": {**frames, "resolution": 34}}, "34 is not a multiple of 4.*take 32 or 36"),
        ({"method": {**INVERSION, "token": "Person"}}, "in the base's vocabulary already"),
        ({"method": {**INVERSION, "token": "a"}}, "in the base's vocabulary already"),
        ({"method": {**INVERSION, "initializer": "valid"}}, "'valid' is 5 tokens"),
        ({"method": {**INVERSION, "initializer": "<|endoftext|>"}}, "unknown to the base"),
        ({"method": {**INVERSION, "templates": ["a photo"]}}, r"has no \{token\}"),
        ({"method": {**INVERSION, "vectors": 80}}, "the text encoder reads 75"),
        ({"method": {**LORA, "prompt": "a " * 80 + "{token}"}}, "the text encoder reads 75"),
        ({"method": {**LORA, "targets": ["to_nothing"]}}, "no layer of the UNet ends in"),
        ({"method": {**DREAMBOOTH, "prompt": "an object"}}, r"has no \{token\}"),
        ({"method": {**LORA, "optimizer": "adamw_8bit"}}, "adamw_8bit needs a CUDA device"),
        ({"drawing": {"scheduler": {"name": "lcm"}, "steps": 60}}, r"drawing\.steps: .* take 60"),
        ({"drawing": {"scheduler": {"name": "pndm", "eta": 0.5}}}, "eta: pndm has none"),
        ({"precision": "fp16"}, "fp16 needs a CUDA device"),
        ({"base": {"name": "folder", "path": str(tmp_path)}}, "model_index.json"),
    ]
    for number, (changes, text) in enumerate(cases):
        run = tmp_path / f"bad{number}"
        with pytest.raises(ViddaError, match=text):
            personalize({**content(base, target, run, LORA), **changes})
        assert not run.exists(), changes


def test_two_mistakes_are_reported_at_once(base: Path, target: Path, tmp_path: Path) -> None:
    changes = {"frames": {"held_out": 6, "resolution": 34}}
    method = {**INVERSION, "initializer": "valid", "token": "a"}
    with pytest.raises(ViddaError) as told:
        personalize({**content(base, target, tmp_path / "run", method), **changes})
    assert len(str(told.value).splitlines()) == 4


def test_a_loss_that_is_not_finite_stops_and_keeps_the_last_checkpoint(
    base: Path, target: Path, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    wild = {**LORA, "lr": 1e30, "clip_grad": None}
    with pytest.raises(ViddaError, match=r"at step \d+.*lower method.lr"):
        personalize(content(base, target, run, wild, save_every=1))
    assert (run / "checkpoints" / "last" / "learned.safetensors").exists()
    assert not (run / "DONE").exists() and not (run / "result").exists()


def test_dry_run_writes_nothing(
    base: Path, target: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = tmp_path / "run"
    assert personalize(content(base, target, run, LORA), dry_run=True) == 0
    assert not run.exists()
    assert "weights to train; 12 frames and 2 held out, 32x32" in capsys.readouterr().out
