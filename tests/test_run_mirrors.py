"""What a run sends to wandb and TensorBoard, and that it needs neither, nor torch."""

import os
import socket
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from tests.adapt.tiny_adapt import adapt_config, write_clips
from tests.installed import commands
from tests.tiny import train_config
from vidda.config import Config
from vidda.run import RunFolder


def test_run_does_not_need_torch(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from vidda.run import RunFolder;"
        "from vidda.config import Config;"
        "RunFolder.open(Path(sys.argv[1]), Config(), {}, resume=False).finish();"
        "sys.exit('torch' in sys.modules or 'wandb' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path / "run")], check=True)


def test_wandb_without_a_key_is_reported_in_a_line(tmp_path: Path) -> None:
    pytest.importorskip("wandb")
    code = (
        "import sys; from pathlib import Path; from vidda.run import RunFolder;"
        "from vidda.config import Config; from vidda.guard import guarded;"
        "sys.exit(guarded(lambda: RunFolder.open("
        "Path(sys.argv[1]), Config(), {}, resume=False, wandb='online')))"
    )
    environment = {k: v for k, v in os.environ.items() if not k.startswith("WANDB")}
    # No key of this account either, wherever it is kept.
    environment |= {"HOME": str(tmp_path), "NETRC": str(tmp_path / "netrc")}
    environment |= {"XDG_CONFIG_HOME": str(tmp_path), "WANDB_CONFIG_DIR": str(tmp_path)}
    command = [sys.executable, "-c", code, str(tmp_path / "run")]
    ended = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert ended.returncode == 2, ended.stderr
    assert ended.stderr.splitlines()[-1].startswith("error: wandb: No API key configured")
    assert "Traceback" not in ended.stderr and "wandb=offline" in ended.stderr


def test_wandb_offline_mirrors_the_metrics_and_calls_nobody(tmp_path: Path) -> None:
    pytest.importorskip("wandb")
    # Whatever wandb, or the service it starts, asks of the network would come to this proxy.
    calls: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as server:

        def answer() -> None:
            while True:
                connection, _ = server.accept()
                calls.append(connection.recv(100))
                connection.close()

        threading.Thread(target=answer, daemon=True).start()
        proxy = f"http://127.0.0.1:{server.getsockname()[1]}"
        everything = dict.fromkeys(("http_proxy", "https_proxy", "all_proxy"), proxy)
        everything |= {name.upper(): proxy for name in everything}
        code = (
            "import sys; from pathlib import Path; from vidda.run import RunFolder;"
            "from vidda.config import Config;"
            "run = RunFolder.open(Path(sys.argv[1]), Config(), {}, resume=False, wandb='offline');"
            "run.record(1, {'loss': 0.5}); run.finish()"
        )
        path = tmp_path / "run"
        environment = {k: v for k, v in os.environ.items() if k.lower() != "no_proxy"} | everything
        subprocess.run([sys.executable, "-c", code, str(path)], check=True, env=environment)
        # The proxy does listen: the same environment, a real request.
        ask = "import urllib.request as r; r.urlopen('http://192.0.2.1/', timeout=5)"
        assert subprocess.run(
            [sys.executable, "-c", ask], env=environment, stderr=subprocess.DEVNULL
        ).returncode
    assert (path / "DONE").exists()
    assert list(path.glob("wandb/offline-run-*/*.wandb"))
    assert [c.split(b" ")[1] for c in calls] == [b"http://192.0.2.1/"]


@pytest.mark.slow
def test_a_wandb_that_cannot_be_imported_matters_only_where_it_is_asked_for(
    tmp_path: Path,
) -> None:
    (tmp_path / "broken" / "wandb").mkdir(parents=True)
    # What a protobuf of another version raises; not even an ImportError.
    text = "raise TypeError('Descriptors cannot\\nbe created directly')"
    (tmp_path / "broken" / "wandb" / "__init__.py").write_text(text)
    data = write_clips(tmp_path / "data")
    off = train_config(data, tmp_path / "off", epochs=1)
    asked = train_config(data, tmp_path / "asked", epochs=1, wandb="offline")
    coral = adapt_config(data, tmp_path / "coral", "coral", epochs=1)
    *fine, (status, said) = commands(
        tmp_path / "broken",
        ["train", "--help-all"],
        ["train", str(off)],
        ["adapt", str(coral)],
        ["predict", str(tmp_path / "off"), str(data / "val.csv"), "workers=0", "device=cpu"],
        ["train", str(asked)],
    )
    assert [status for status, _ in fine] == [0, 0, 0, 0], fine
    assert status == 2
    assert said.splitlines()[-1] == (
        "error: wandb=offline: wandb cannot be imported (TypeError: Descriptors cannot be created"
        " directly); continue without it by wandb=off, or pip install -c constraints.txt"
        " wandb"
    )
    assert not (tmp_path / "asked").exists()


def test_tensorboard_mirrors_the_metrics_and_forgets_what_a_resume_repeats(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    path = tmp_path / "run"
    for resume, losses in ((False, [0.5, 0.4]), (True, [0.3])):
        with RunFolder.open(path, Config(), {}, resume=resume, tensorboard=True) as run:
            for step, loss in enumerate(losses, 1 + resume):
                run.record(step, {"loss": loss})
                if step == 1:
                    with run.checkpoint(step):
                        pass
    board = EventAccumulator(str(path / "tensorboard"))
    board.Reload()
    points = [(point.step, round(point.value, 4)) for point in board.Scalars("loss")]
    assert points == [(1, 0.5), (2, 0.3)]
