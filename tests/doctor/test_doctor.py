"""The doctor finds out by using each part, and survives what it examines."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from vidda.doctor import job, model_checks
from vidda.doctor.checks import GROUPS, Check
from vidda.doctor.findings import Finding, MissingPart
from vidda.doctor.job import DoctorConfig, run, run_checks
from vidda.errors import ViddaError
from vidda.translate.stable_diffusion.model_files import find_model_files
from vidda.translate.stable_diffusion.weights_config import WeightsConfig


def well() -> str:
    print("noise of a library")
    os.write(2, b"noise of a library in C\n")
    return "fine [really]"


def absent() -> str:
    raise MissingPart("not there")


def not_installed() -> str:
    import vidda_needs_no_such_library  # type: ignore[import-not-found]

    return str(vidda_needs_no_such_library)


def wrong() -> str:
    raise ValueError("two\nlines")


def crash() -> str:
    os.abort()


def hang() -> str:
    time.sleep(60)
    return "too late"


@pytest.fixture(autouse=True)
def importable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parent))


def checks(*functions: object) -> list[Check]:
    return [Check(f.__name__, f, remedy="mend it") for f in functions]  # type: ignore


def test_what_a_check_raises_becomes_its_state() -> None:
    assert run_checks(checks(well, absent, not_installed, wrong, well)) == [
        Finding("ok", "fine [really]"),
        Finding("missing", "not there; mend it"),
        Finding("missing", "No module named 'vidda_needs_no_such_library'; mend it"),
        Finding("broken", "ValueError: two lines; mend it"),
        Finding("ok", "fine [really]"),
    ]


def test_a_crash_or_a_hang_takes_nothing_with_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(job, "TIMEOUT_S", 4.0)
    states = run_checks(checks(well, crash, crash, well, hang, well))
    assert [s.state for s in states] == ["ok", "broken", "broken", "ok", "broken", "ok"]
    assert states[1].detail == "killed by signal 6; mend it"
    assert states[4].detail == "no answer within 4 s; mend it"


def test_the_table_and_the_exit_status(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    fine, needed = checks(well, wrong)
    optional = Check("optional", wrong, required=False)
    monkeypatch.setattr(job, "GROUPS", {"a": (fine, optional)})
    assert run(DoctorConfig(), dry_run=False, resume=False) == 0
    shown = capfd.readouterr()
    assert "fine [really]" in shown.out and "all required parts work" in shown.out
    assert "noise" not in shown.out + shown.err
    monkeypatch.setattr(job, "GROUPS", {"a": (fine, optional), "b": (needed,)})
    assert run(DoctorConfig(), dry_run=False, resume=False) == 1
    assert "required, but not working: wrong" in capfd.readouterr().out


def test_a_dry_run_only_names_the_checks(capfd: pytest.CaptureFixture[str]) -> None:
    assert run(DoctorConfig(), dry_run=True, resume=False) == 0
    assert "decord" in capfd.readouterr().out


@pytest.mark.slow
def test_this_installation_is_well() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "vidda.cli", "doctor"],
        capture_output=True,
        text=True,
        env=os.environ | {"COLUMNS": "300", "HF_HUB_OFFLINE": "1"},
    )
    assert done.returncode == 0, done.stdout
    assert done.stderr == ""
    for group in GROUPS.values():
        for check in group:
            row = next(line for line in done.stdout.splitlines() if f"│ {check.part} " in line)
            assert not check.required or " ok " in row


def test_weights_are_told_as_the_commands_tell_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(MissingPart) as raised:
        model_checks.check_weights()
    with pytest.raises(ViddaError) as refused:
        find_model_files(WeightsConfig())
    text = str(raised.value)
    for line in str(refused.value).splitlines():
        assert "backbone.weights.download=true fetches it" in line and line in text
    assert "captioner.source: " in text and "model.start.download=true fetches it" in text
