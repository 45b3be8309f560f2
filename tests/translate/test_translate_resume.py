"""The same files however a translation is cut into parts, by whom it is done, or broken off."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from tests.translate.translations import (
    config,
    settings,
    start,
    write_source,
    written,
)
from vidda.config import load
from vidda.errors import ViddaError
from vidda.translate.shards import require_same_settings
from vidda.translate.translate_config import TranslateConfig

SCRIPT = """
import sys
from pathlib import Path
from vidda.config import load
from vidda.translate.job import run
from vidda.translate.translate_config import TranslateConfig
config = load(TranslateConfig, Path(sys.argv[1]))
sys.exit(run(config, dry_run=False, resume="--resume" in sys.argv))
"""


def test_shards_make_the_same_and_the_last_one_merges(
    models: Path, source: Path, translated: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "run"
    content = settings(models, source, out)
    assert start({**content, "shard": "2/2"}) == 0
    assert "2 clips of other shards are missing" in capsys.readouterr().out
    assert not (out / "manifest.csv").exists()
    with pytest.raises(ViddaError, match=r"config is .* there, .* now; all shards need the same"):
        start({**content, "shard": "1/2", "seed": 1})
    with pytest.raises(ViddaError, match="holds no shards"):
        start({**content, "shard": "1/2", "out": str(translated)})
    assert start({**content, "shard": "1/2"}) == 0
    assert written(out) == written(translated)
    (out / "manifest.csv").unlink()
    assert start({**content, "shard": "2/2"}, resume=True) == 0
    assert written(out) == written(translated)
    (out / "videos/syn/ground/1.mp4").write_bytes(b"")  # of the second shard
    (out / "manifest.csv").unlink()
    assert start({**content, "shard": "1/2"}, resume=True) == 0
    output = capsys.readouterr().out
    assert "1 clips of other shards" in output and "shard 2/2 was finished but lost clips" in output
    assert start({**content, "shard": "2/2"}, resume=True) == 0
    assert written(out) == written(translated)


@pytest.mark.parametrize("text", ["", '{"input": ', "[]", "\x00"])
def test_what_shards_agreed_on_is_written_again_where_it_is_damaged(
    tmp_path: Path, text: str
) -> None:
    require_same_settings(tmp_path, {"seed": 1})
    file = tmp_path / "shards.json"
    before = file.read_bytes()
    (tmp_path / "shards").mkdir()
    file.write_text(text)
    with pytest.raises(ViddaError, match=r"^.*shards\.json: damaged; delete it, .*$"):
        require_same_settings(tmp_path, {"seed": 1})
    file.unlink()
    require_same_settings(tmp_path, {"seed": 1})
    assert file.read_bytes() == before


def test_shards_are_written_as_parts() -> None:
    for text in ("0/2", "3/2", "2", "a/b"):
        with pytest.raises(ValueError, match="write i/n"):
            config({"input": "a", "out": "b", "shard": text})
    assert config({"input": "a", "out": "b", "shard": "2/2"}).shard == "2/2"


@pytest.mark.slow
@pytest.mark.parametrize("engine", ["processes", "ray"])
def test_two_workers_make_the_very_same_files(
    engine: str, models: Path, source: Path, translated: Path, tmp_path: Path
) -> None:
    if engine == "ray":
        pytest.importorskip("ray")
    content = settings(models, source, tmp_path / "run", engine=engine, workers=2)
    assert start(content) == 0
    assert written(tmp_path / "run") == written(translated)
    content = settings(models, source, tmp_path / "broken", engine=engine, workers=2)
    content["control"]["pose"] = {"name": "onnx", "model": str(tmp_path / "none.onnx")}
    with pytest.raises(ViddaError, match=r"none\.onnx"):
        start(content)


@pytest.mark.slow
def test_killed_and_resumed_is_as_if_never_killed(models: Path, tmp_path: Path) -> None:
    source = write_source(tmp_path / "source", clips=8)
    whole = settings(models, source, tmp_path / "whole")
    assert start(whole) == 0
    out = tmp_path / "killed"
    file = tmp_path / "config.yaml"
    file.write_text(json.dumps(settings(models, source, out)))  # JSON is YAML
    load(TranslateConfig, file)
    command = [sys.executable, "-c", SCRIPT, str(file)]
    moment = np.random.default_rng(0)
    for results in (0, 1, 3):
        job = subprocess.Popen(
            [*command, "--resume"], start_new_session=True, stderr=subprocess.DEVNULL
        )
        while len(list(out.rglob("videos/**/*.json"))) < results or not (out / "log.txt").exists():
            assert job.poll() is None
            time.sleep(0.005)
        time.sleep(moment.uniform(0, 0.2))
        os.killpg(job.pid, signal.SIGKILL)
        job.wait()
        done = {path: path.stat().st_mtime_ns for path in out.rglob("videos/**/*.json")}
    (out / "videos/syn/ground/.7.0123456789ab.part.mp4").write_bytes(b"half")
    assert not (out / "manifest.csv").exists()
    assert start(settings(models, source, out), resume=True) == 0
    assert written(out) == written(tmp_path / "whole")
    assert all(path.stat().st_mtime_ns == stamp for path, stamp in done.items())
