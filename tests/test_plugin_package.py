"""A package of one plugin of each kind, installed by pip, from preparing to predicting."""

import json
import os
import subprocess
import sys
from pathlib import Path
from textwrap import dedent

import pytest

from tests.installed import commands
from tests.tiny import train_config
from tests.trained import clip_files
from tests.translate.test_other_backbone import PLUGIN

pytestmark = pytest.mark.slow

PACKAGE = {
    "method": '''
        """A method of a package: the mean features of both domains drawn together."""

        from typing import Literal

        from vidda.adapt.joint import Joint, MethodConfig
        from vidda.recognize.method import Terms


        class MeansConfig(MethodConfig):
            """Draw the mean features of both domains together."""

            name: Literal["means"] = "means"
            weight: float = 0.5

            def build(self, model, supervised, settings):
                return Means(self, supervised)


        class Means(Joint):
            def __init__(self, config, supervised):
                super().__init__(supervised)
                self.config = config

            def adapt(self, source, target):
                apart = (source.features.mean(0) - target.features.mean(0)).square().sum()
                return Terms({"means": self.config.weight * apart}, {})
    ''',
    "recognizer": '''
        """A recognizer of a package: one convolution, averaged."""

        from typing import Literal

        from torch import nn

        from vidda.recognize.recognizer import Recognizer, RecognizerConfig


        class OneConfig(RecognizerConfig):
            """One convolution, averaged over the clip."""

            name: Literal["one"] = "one"
            width: int = 4

            def build(self, classes):
                return One(self.width, classes)


        class One(Recognizer):
            stages = ("layer.",)

            def __init__(self, width, classes):
                super().__init__()
                self.layer = nn.Conv3d(3, width, 3)
                self.classifier = nn.Linear(width, classes)

            def features(self, video):
                return self.layer(video).relu().mean((2, 3, 4))
    ''',
    "dataset": '''
        """A dataset of a package: PART/NUMBER.mp4, whose class is the number modulo `classes`."""

        from typing import Literal

        from vidda.data.experiments import plain_experiments
        from vidda.data.listing import DatasetConfig, Listing, is_media
        from vidda.types import ClipRecord


        class NumberedConfig(DatasetConfig):
            """PART/NUMBER.mp4, of classes by turns."""

            name: Literal["numbered"] = "numbered"
            classes: int

            def read(self, root, tree):
                listing = Listing(root, tuple(f"c{n}" for n in range(self.classes)))
                for path in sorted(filter(is_media, tree)):
                    part, _, name = path.partition("/")
                    label = int(name.removesuffix(".mp4")) % self.classes
                    domain = "real" if part in ("target", "test") else "synthetic"
                    listing.add(part, path, ClipRecord(path, path, label, domain, "ground"))
                return listing

            def experiments(self, root):
                lists = ("train", "val", "test", "target")
                return plain_experiments("main", lists, synthetic=True)
    ''',
    "backbone": PLUGIN,
    "broken": "raise RuntimeError('not today')",
    "exits": "raise SystemExit(0)",
    "shadow": '''
        """A method that would be vidda's."""

        from typing import Literal

        from vidda.adapt.joint import MethodConfig


        class CoralConfig(MethodConfig):
            name: Literal["coral"] = "coral"

            def build(self, model, supervised, settings):
                raise AssertionError("vidda's own is taken")
    ''',
}
PROJECT = """
[build-system]
requires = ["setuptools"]
build-backend = "setuptools.build_meta"

[project]
name = "tiny-plugins"
version = "1.0"

[project.entry-points."vidda.methods"]
means = "tiny_plugins.method:MeansConfig"
broken = "tiny_plugins.broken:Config"
exits = "tiny_plugins.exits:Config"
coral = "tiny_plugins.shadow:CoralConfig"

[project.entry-points."vidda.recognizers"]
one = "tiny_plugins.recognizer:OneConfig"

[project.entry-points."vidda.datasets"]
numbered = "tiny_plugins.dataset:NumberedConfig"

[project.entry-points."vidda.backbones"]
blur = "tiny_plugins.backbone:BlurConfig"
empty = "tiny_plugins.dataset:NumberedConfig"
"""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder into which pip has installed a package of one plugin of each kind."""
    folder = tmp_path_factory.mktemp("installed")
    source = folder / "source" / "tiny_plugins"
    source.mkdir(parents=True)
    (source / "__init__.py").touch()
    for name, text in PACKAGE.items():
        (source / f"{name}.py").write_text(dedent(text))
    (source.parent / "pyproject.toml").write_text(PROJECT)
    pip = [sys.executable, "-m", "pip", "install", "--no-index", "--no-build-isolation"]
    more = ["--no-deps", "--quiet", "--target", str(folder / "site"), str(source.parent)]
    environment = {**os.environ, "PIP_DISABLE_PIP_VERSION_CHECK": "1"}
    done = subprocess.run([*pip, *more], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return folder / "site"


def test_a_package_s_plugins_are_used_from_preparing_to_predicting(
    site: Path, tmp_path: Path
) -> None:
    for part in ("train", "val", "target", "test"):
        clip_files(tmp_path / "videos" / part, 6)
    splits = tmp_path / "prepared" / "splits" / "main"
    model = {"name": "one", "width": 6}
    trained, adapted = tmp_path / "trained", tmp_path / "adapted"
    train = train_config(splits / "source_only", trained, model=model, epochs=1)
    adapt = train_config(
        splits / "adapted",
        adapted,
        target=str(splits / "adapted" / "target.csv"),
        model=model,
        start=str(trained),
        method={"name": "means", "weight": 0.25},
        epochs=1,
    )
    prepare = ["prepare", f"root={tmp_path / 'videos'}", f"out={tmp_path / 'prepared'}"]
    switched = ["adapt", str(adapt), f"run={tmp_path / 'coral'}", "method.name=coral"]
    overview, prepared, done, gone_on, coral = commands(
        site,
        ["--help"],
        [*prepare, "dataset.name=numbered", "dataset.classes=3"],
        ["train", str(train)],
        ["adapt", str(adapt)],
        switched,
    )
    for status, said in (overview, prepared, done, gone_on, coral):
        assert status == 0, said
    assert not any("warning: plugin" in said for _, said in (overview, prepared, done))
    lines = [line for line in gone_on[1].splitlines() if line.startswith("warning: plugin")]
    assert [line.split("'")[1] for line in lines] == ["broken", "coral", "exits"]
    assert "(the name 'coral' is vidda's own" in lines[1] and "SystemExit: 0" in lines[2]
    assert "means: one, " in gone_on[1] and "coral: one, " in coral[1]
    metrics = json.loads((adapted / "metrics.jsonl").read_text().splitlines()[0])
    assert any("means" in key for key in metrics), metrics
    # In a process of its own, from what is on disk.
    manifest = f"manifest={splits / 'source_only' / 'test.csv'}"
    predicted, measured = commands(
        site,
        ["predict", str(adapted), str(tmp_path / "videos" / "test" / "0.mp4"), "device=cpu"],
        ["evaluate", f"model={adapted}", manifest, "device=cpu"],
    )
    assert predicted[0] == 0 and "c0" in predicted[1], predicted[1]
    assert measured[0] == 0, measured[1]
    # Without the package it is one line.
    ((status, said),) = commands(None, ["predict", str(trained), str(tmp_path / "videos")])
    assert status == 2 and len(said.splitlines()) == 1
    assert "model.yaml: model.name: 'one' is not one of 'biconvlstm', " in said


def test_help_lists_a_package_s_choices(site: Path) -> None:
    helped = commands(site, *([name, "--help-all"] for name in ("prepare", "train", "translate")))
    lines = (
        "PART/NUMBER.mp4, of classes by turns.",
        "One convolution, averaged over the clip.",
        "blur",
    )
    for (status, said), line in zip(helped, lines, strict=True):
        assert status == 0 and line in said
    lacking = "describe_controls, find, flows, folder_problems, keeps_person, problems, settings,"
    assert f"NumberedConfig does not define cost, {lacking}" in helped[-1][1]
