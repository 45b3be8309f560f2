"""Keys and values of configs that become names of files: none leaves its folder."""

from pathlib import Path

import pytest

from vidda.adapt.adapt_config import AdaptConfig
from vidda.config import Config, ConfigError, load
from vidda.data.prepare import PrepareConfig
from vidda.errors import ViddaError
from vidda.evaluate.job import EvaluateConfig
from vidda.experiment.experiment_config import ExperimentConfig
from vidda.recognize.train_config import TrainConfig
from vidda.sweep.sweep_config import SweepConfig
from vidda.weights import Folder, find_file


@pytest.mark.parametrize("bad", ["..", "../x", "a/../../x", "/x", "..\\x", "C:", ".x", "x" * 201])
@pytest.mark.parametrize(
    ("schema", "override"),
    [
        (TrainConfig, "watch={{'{}': test.csv}}"),
        (AdaptConfig, "watch={{'{}': test.csv}}"),
        (PrepareConfig, "dataset={{name: lists, task: '{}', parts: [{{split: train, path: x}}]}}"),
        (PrepareConfig, "dataset={{name: folders, task: '{}', parts: [{{split: val, path: x}}]}}"),
        (PrepareConfig, "dataset={{name: csv, task: '{}', parts: [{{split: test, path: x}}]}}"),
        (EvaluateConfig, "transfer={{data: x, tasks: ['{}'], rows: [{{name: a, runs: {{}}}}]}}"),
        (EvaluateConfig, "transfer={{data: x, rows: [{{name: '{}', runs: {{}}}}]}}"),
        (ExperimentConfig, "tasks=['{}']"),
        (ExperimentConfig, "arms={{'{}': {{data: [source]}}}}"),
        (ExperimentConfig, "recognizers={{'{}': {{steps: 1}}}}"),
        (SweepConfig, "methods={{'{}': {{}}}}"),
        (SweepConfig, "personalize={{'{}': {{}}}}"),
        (SweepConfig, "captions={{'{}': {{}}}}"),
        (SweepConfig, "variants={{'{}': {{name: randomized}}}}"),
    ],
)
def test_a_name_that_would_leave_its_folder_is_one_line(
    schema: type[Config], override: str, bad: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        load(schema, None, [override.format(bad)])
    key = override.partition("=")[0]
    own = [line for line in caught.value.problems if line.startswith(key)]
    assert any("a folder's name; take letters" in o or "match pattern" in o for o in own)


def test_the_end_of_a_lists_name_is_no_path() -> None:
    with pytest.raises(ConfigError, match=r"dataset\.suffix: .*match pattern"):
        load(PrepareConfig, None, ["root=a", "out=b", "dataset={name: ucf_hmdb, suffix: /../x}"])


def test_a_file_of_weights_lies_in_its_folder(tmp_path: Path) -> None:
    (tmp_path / "x.safetensors").write_bytes(b"")
    (tmp_path / "model").mkdir()
    with pytest.raises(ViddaError, match=r"path '\.\./x\.safetensors' leaves"):
        find_file(Folder(path=tmp_path / "model"), "lora", "../x.safetensors", "x", False)
