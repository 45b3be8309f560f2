"""A run of `vidda personalize` that is broken off and resumed is as if never broken off."""

import json
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.translate.personalizing import (
    DREAMBOOTH,
    INVERSION,
    LORA,
    VAE,
    assert_same_run,
    files,
    personalize,
)
from tests.translate.target_clips import content
from vidda import config
from vidda.errors import ViddaError
from vidda.translate.stable_diffusion.personalize import dreambooth, training_loop
from vidda.translate.stable_diffusion.personalize.personalize_config import PersonalizeConfig


@pytest.mark.parametrize("method", [LORA, INVERSION, VAE], ids=lambda m: m["name"])
def test_broken_off_and_resumed_is_as_if_never_broken_off(
    base: Path,
    target: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    method: dict[str, Any],
) -> None:
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    often = {"save_every": 3, "sample_every": 4}
    method = {**method, "steps": 9}
    assert personalize(content(base, target, whole, method, **often)) == 0

    def fail(path: Path, image: np.ndarray) -> None:
        if path.stem == "000008":
            raise KeyboardInterrupt

    again = content(base, target, broken, method, **often)
    with monkeypatch.context() as patch:
        patch.setattr(training_loop, "write_png", fail)
        with pytest.raises(KeyboardInterrupt):
            personalize(again)
    assert (broken / "checkpoints" / "last").readlink() == Path("000006")
    assert personalize(again, resume=True) == 0
    for early in ("000000", "000004"):
        (whole / "samples" / f"{early}.png").unlink()
    assert_same_run(whole, broken)


def test_resumed_after_its_last_step_is_as_if_never_broken_off(
    base: Path, target: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    method = {**DREAMBOOTH, "steps": 1, "prior": None}
    assert personalize(content(base, target, whole, method)) == 0

    def fail(models: Any, folder: Path) -> None:
        raise KeyboardInterrupt

    again = content(base, target, broken, method)
    with monkeypatch.context() as patch:
        patch.setattr(dreambooth, "save_pipeline", fail)
        with pytest.raises(KeyboardInterrupt):
            personalize(again)
    assert personalize(again, resume=True) == 0
    assert_same_run(whole, broken)


@pytest.mark.slow
def test_killed_at_a_random_step_and_resumed_is_as_if_never_killed(
    base: Path, target: Path, tmp_path: Path
) -> None:
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    often = {"save_every": 4, "sample_every": 10}
    assert personalize(content(base, target, whole, DREAMBOOTH, **often)) == 0
    again = content(base, target, killed, DREAMBOOTH, **often)
    file = tmp_path / "killed.yaml"
    file.write_text(json.dumps(again))
    command = (
        "import sys; from pathlib import Path; from vidda import config;"
        "from vidda.translate.stable_diffusion.personalize import job;"
        "settings = config.load(job.PersonalizeConfig, Path(sys.argv[1]));"
        "job.run(settings, dry_run=False, resume=False)"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", command, str(file)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    stop_after = int(np.random.default_rng().integers(1, 20))
    log = killed / "metrics.jsonl"
    while not log.exists() or len(log.read_text().splitlines()) < stop_after:
        assert process.poll() is None, "it ended before it was killed"
        time.sleep(0.002)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not (killed / "DONE").exists()
    with pytest.raises(ViddaError, match="--resume"):
        personalize(again)
    assert personalize(again, resume=True) == 0
    assert_same_run(whole, killed)
    assert personalize(again, resume=True) == 0


def test_missing_class_images_are_drawn_as_they_were(
    base: Path, target: Path, tmp_path: Path
) -> None:
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    method = {**DREAMBOOTH, "steps": 1}
    personalize(content(base, target, whole, method))
    (broken / "class_images").mkdir(parents=True)
    kept = broken / "class_images" / "00001.png"
    kept.write_bytes((whole / "class_images" / "00001.png").read_bytes())
    (broken / "class_images" / "00000.png").write_bytes(b"")
    (broken / "config.yaml").write_text(
        config.dump(
            PersonalizeConfig.model_validate_json(
                json.dumps(content(base, target, broken, method)), strict=True
            )
        )
    )
    personalize(content(base, target, broken, method), resume=True)
    assert files(whole / "class_images") == files(broken / "class_images")
    assert files(whole / "records") == files(broken / "records")
    assert files(whole / "result") == files(broken / "result")


def test_a_result_that_is_lost_or_damaged_is_written_again(
    base: Path, target: Path, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    again = content(base, target, run, {**VAE, "steps": 1})
    assert personalize(again) == 0
    whole = files(run / "result")
    for damage in (
        lambda: (run / "result" / "diffusion_pytorch_model.safetensors").write_bytes(b""),
        lambda: shutil.rmtree(run / "result"),
    ):
        damage()
        assert personalize(again, resume=True) == 0
        assert files(run / "result") == whole and (run / "DONE").exists()
    # As if it had been killed after the last checkpoint was saved, before the one before it went.
    shutil.copytree(run / "checkpoints" / "last", run / "checkpoints" / "000000")
    (run / "DONE").unlink()
    assert personalize(again, resume=True) == 0
    assert {path.name for path in (run / "checkpoints").iterdir()} == {"000001", "last"}
