"""Depth Anything: against transformers as its documentation uses it."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from transformers import AutoImageProcessor, AutoModelForDepthEstimation

from tests.clips import moving
from tests.tiny_transformers import write_depth
from vidda.control.depth import DepthAnythingConfig
from vidda.weights import Folder


@pytest.mark.parametrize("metric", [False, True])
@pytest.mark.parametrize(("height", "width"), [(45, 61), (90, 33)])
def test_depth_and_inputs_are_those_of_the_library(
    metric: bool, height: int, width: int, tmp_path: Path
) -> None:
    frames = moving(5, height, width)
    write_depth(tmp_path, metric)
    processor = AutoImageProcessor.from_pretrained(tmp_path)
    model = AutoModelForDepthEstimation.from_pretrained(tmp_path).eval()
    inputs, depths = [], []
    for frame in frames:
        one = processor(images=Image.fromarray(frame), return_tensors="pt")
        with torch.no_grad():
            outputs = model(**one)
        (found,) = processor.post_process_depth_estimation(outputs, target_sizes=[(height, width)])
        inputs.append(one["pixel_values"][0])
        depths.append(found["predicted_depth"].numpy())
    assert np.ptp(depths) > 0.1
    for batch in (1, 2, 8):
        config = DepthAnythingConfig(weights=Folder(path=tmp_path), batch=batch, device="cpu")
        source = config.build()
        seen: list[torch.Tensor] = []
        source._loaded.model.register_forward_pre_hook(
            lambda _, args, given, seen=seen: seen.append(given["pixel_values"]), with_kwargs=True
        )
        done: list[int] = []
        depth = source.estimate(frames, done.append)
        assert depth.dtype == np.float32
        np.testing.assert_allclose(depth, depths, atol=1e-3 * np.ptp(depths))
        assert torch.equal(torch.cat(seen), torch.stack(inputs))
        assert sum(done) == 5 and len(done) == -(-5 // batch)
        assert source.metric == metric
