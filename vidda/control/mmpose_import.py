"""Import `mmpose.apis` without modules that mmpose 1.3 imports but vidda's models do not use.

- `pkg_resources` is gone from current setuptools; mmengine asks it for versions of packages.
- `mmdet.utils` names a type and a function that only mmpose's one-stage RTMO head uses.
- `mmcv.ops` needs compiled code; only the ED-Pose head uses it, for deformable attention.
- `xtcocotools` needs a compiler to install; pycocotools, of which it is a fork, has the same names,
  and mmpose uses it only to read and score COCO files, never to run a model.
"""

import importlib
import importlib.metadata
import importlib.util
import sys
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

from vidda.errors import ViddaError

REMEDY = "delete .venv and run tools/quickstart.sh again"


class _Unavailable:
    """A stand-in for a class or function that mmpose imports but a top-down model never uses."""

    def __init__(self, *_args: object, **_kwargs: object) -> None:
        raise ViddaError(
            "this mmpose model needs a full build of mmcv and mmdet;"
            " choose a top-down model (RTMPose, HRNet, ResNet, SimCC)"
        )


class _StandIns(MetaPathFinder, Loader):
    """An import finder and loader of stand-in modules. contents: module name to its attributes."""

    def __init__(self, contents: Mapping[str, Mapping[str, Any]]) -> None:
        self.contents = contents
        self.loaded: list[str] = []

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname not in self.contents:
            return None
        is_package = any(name.startswith(fullname + ".") for name in self.contents)
        return importlib.util.spec_from_loader(fullname, self, is_package=is_package)

    def exec_module(self, module: ModuleType) -> None:
        vars(module).update(self.contents[module.__name__])
        self.loaded.append(module.__name__)


@contextmanager
def _importable(contents: Mapping[str, Mapping[str, Any]]) -> Iterator[None]:
    """Make the modules of `contents` importable within the block, hidden from all other code."""
    finder = _StandIns(contents)
    sys.meta_path.insert(0, finder)  # first, because mmcv-lite has an mmcv.ops that cannot load
    try:
        yield
    finally:
        sys.meta_path.remove(finder)
        for name in finder.loaded:
            sys.modules.pop(name, None)


def _distribution(name: str) -> SimpleNamespace:
    """Return a distribution's version and location, as `pkg_resources.get_distribution` does."""
    found = importlib.metadata.distribution(name)
    return SimpleNamespace(version=found.version, location=str(found.locate_file("")))


def _absent_modules() -> dict[str, dict[str, Any]]:
    """Return stand-ins for those modules that are not installed, by name."""
    from pycocotools import coco, cocoeval, mask

    stand_ins: dict[str, dict[str, Any]] = {
        "pkg_resources": {
            "get_distribution": _distribution,
            "DistributionNotFound": importlib.metadata.PackageNotFoundError,
        },
        "mmdet": {},
        "mmdet.utils": {"ConfigType": dict, "reduce_mean": _Unavailable},
        "mmcv.ops": {"MultiScaleDeformableAttention": _Unavailable},
        "xtcocotools": {"mask": mask},
        "xtcocotools.coco": {"COCO": coco.COCO},
        "xtcocotools.cocoeval": {"COCOeval": cocoeval.COCOeval},
        "xtcocotools.mask": {n: f for n, f in vars(mask).items() if not n.startswith("_")},
    }
    # mmcv-lite ships mmcv.ops without the compiled module that it needs.
    proof = {"mmcv": "mmcv._ext"}
    return {
        name: content
        for name, content in stand_ins.items()
        if importlib.util.find_spec(proof.get(top := name.split(".")[0], top)) is None
    }


def import_mmpose_apis() -> ModuleType:
    """Import and return the module `mmpose.apis` (`init_model`, `inference_topdown`, ...).

    Raises ViddaError with the remedy when mmpose or a module that it needs is not installed.
    """
    try:
        with _importable(_absent_modules()), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return importlib.import_module("mmpose.apis")
    except ImportError as error:
        raise ViddaError(f"mmpose cannot be imported: {error}; {REMEDY}") from error


def shipped_config(name: str) -> Any:
    """Return the mmengine `Config` of a model that mmpose ships.

    name: path of the config file below mmpose's folder `configs`.
    """
    import mmpose
    from mmengine import Config

    return Config.fromfile(str(Path(mmpose.__file__).parent / ".mim" / "configs" / name))
