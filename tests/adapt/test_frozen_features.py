"""Methods that align features are refused where all features are frozen: they would do nothing."""

from pathlib import Path

import pytest

from tests.adapt.tiny_adapt import adapt, adapt_config, write_clips
from tests.tiny import BICONVLSTM
from vidda.errors import ViddaError
from vidda.recognize.biconvlstm import BiConvLstmConfig


def below_head() -> list[str]:
    """Patterns of all parameters but the last layer's."""
    model = BiConvLstmConfig.model_validate(BICONVLSTM).build(3)
    names = [name for name, _ in model.named_parameters()]
    last = names[-1].rpartition(".")[0]
    return [name for name in names if not name.startswith(last)]


@pytest.mark.parametrize("method", ["dan", "coral", "dann", "feature_similarity"])
def test_aligning_frozen_features_is_refused(tmp_path: Path, method: str) -> None:
    data, frozen = write_clips(tmp_path), below_head()
    file = adapt_config(data, tmp_path / "run", method, model=BICONVLSTM, freeze=frozen)
    with pytest.raises(ViddaError, match=f"method.name {method} aligns features, but freeze"):
        adapt(file, dry_run=True)
    some = adapt_config(data, tmp_path / "run", method, model=BICONVLSTM, freeze=frozen[:1])
    assert adapt(some, dry_run=True) == 0


def test_methods_of_the_predictions_are_not(tmp_path: Path) -> None:
    data = write_clips(tmp_path)
    file = adapt_config(data, tmp_path / "run", "mcc", model=BICONVLSTM, freeze=below_head())
    assert adapt(file, dry_run=True) == 0
