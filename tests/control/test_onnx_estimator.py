"""RTMPose in ONNX: against where a dot is, and against mmpose with the same weights."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("onnxruntime")

import onnx
from onnx import TensorProto, helper
from pydantic import ValidationError

from tests.sidecars import rendered
from vidda.control.onnx_estimator import CPU, CUDA, RtmposeOnnxConfig, execution_providers
from vidda.errors import ViddaError
from vidda.mini.clip import RenderedClip
from vidda.types import ClipRecord

CLIP = ClipRecord("one", "one.mp4", 0, "real", "ground")


@pytest.fixture(scope="module")
def clip() -> RenderedClip:
    return rendered(frames=4)


def write_dot_finder(
    path: Path, joints: int = 17, batch: int | str = "n", size: tuple[int, int] = (128, 96)
) -> RtmposeOnnxConfig:
    """A model whose every joint is the brightest pixel of its crop, each pixel being two bins."""
    height, width = size

    def maximum(axes: list[int], name: str) -> list[onnx.NodeProto]:
        return [
            helper.make_node("ReduceMax", ["input", f"{name}_axes"], [f"{name}_max"], keepdims=0),
            helper.make_node("Unsqueeze", [f"{name}_max", "one"], [f"{name}_row"]),
            helper.make_node("Resize", [f"{name}_row", "", "twice"], [f"{name}_bins"]),
            helper.make_node("Tile", [f"{name}_bins", "joints"], [name]),
        ]

    constants = {
        "simcc_x_axes": np.array([1, 2]),
        "simcc_y_axes": np.array([1, 3]),
        "one": np.array([1]),
        "twice": np.array([1, 1, 2], np.float32),
        "joints": np.array([1, joints, 1]),
    }
    graph = helper.make_graph(
        maximum([1, 2], "simcc_x") + maximum([1, 3], "simcc_y"),
        "dot",
        [helper.make_tensor_value_info("input", TensorProto.FLOAT, [batch, 3, height, width])],
        [
            helper.make_tensor_value_info("simcc_x", TensorProto.FLOAT, [batch, joints, 2 * width]),
            helper.make_tensor_value_info(
                "simcc_y", TensorProto.FLOAT, [batch, joints, 2 * height]
            ),
        ],
        [onnx.numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    onnx.save(model, path)
    return RtmposeOnnxConfig(model=path, device="cpu")


def dots(places: np.ndarray) -> np.ndarray:
    """Black frames (T, 64, 64, 3) with a soft white dot at each of (T, P, 2) places."""
    y, x = np.mgrid[:64, :64]
    apart = np.square(np.stack([x, y], axis=2) - places[:, :, None, None]).sum(axis=4)
    bright = 255 * np.exp(-apart / 4.0).max(axis=1)
    return np.repeat(bright[..., None], 3, axis=3).round().astype(np.uint8)


@pytest.mark.parametrize("batch", ["n", 1, 3])
def test_a_joint_is_found_where_it_is(clip: RenderedClip, tmp_path: Path, batch: int | str) -> None:
    """The true nose and ankle of MiniRoCoG's person, as dots, in boxes around each."""
    places = np.rint(clip.keypoints[:, [0, 15], :2])  # (T, 2, 2)
    radius = np.array([9.0, 6.0])
    boxes = np.concatenate([places - radius, places + radius + 2], axis=2)
    boxes[2, 1] = np.nan
    source = write_dot_finder(tmp_path / "m.onnx", batch=batch).build()
    pose = source.estimate(dots(places), boxes, CLIP, tmp_path)
    there = np.isfinite(boxes).all(axis=2)
    error = np.abs(pose.keypoints - places[:, :, None])[there]
    assert error.max() < 0.2
    assert (pose.scores[there] == 1.0).all()  # its maxima are above 1
    assert not pose.scores[2, 1].any()


def test_the_whole_frame_is_the_box_where_none_is_given(clip: RenderedClip, tmp_path: Path) -> None:
    places = np.rint(clip.keypoints[:, [9], :2])
    source = write_dot_finder(tmp_path / "m.onnx").build()
    pose = source.estimate(dots(places), None, CLIP, tmp_path)
    assert np.abs(pose.keypoints - places[:, :, None]).max() < 0.75  # a pixel of this crop


def test_more_key_points_begin_with_cocos_and_other_sets_are_refused(tmp_path: Path) -> None:
    frames = np.zeros((1, 64, 64, 3), np.uint8)
    for joints in (26, 133):
        source = write_dot_finder(tmp_path / f"{joints}.onnx", joints).build()
        assert source.estimate(frames, None, CLIP, tmp_path).scores.shape == (1, 1, 17)
    source = write_dot_finder(tmp_path / "14.onnx", joints=14).build()
    with pytest.raises(ViddaError, match="gives 14 keypoints; name an RTMPose of COCO"):
        source.estimate(frames, None, CLIP, tmp_path)


@pytest.mark.slow
def test_the_same_weights_find_the_same_joints_as_in_mmpose(
    clip: RenderedClip, tmp_path: Path
) -> None:
    pytest.importorskip("mmengine")
    import torch

    from tests.tiny_mmpose import CODEC_SIZE, write_tiny
    from vidda.control.mmpose_estimator import MMPoseConfig

    class Deployed(torch.nn.Module):
        """mmpose's model without its decoding."""

        def __init__(self, model: Any) -> None:
            super().__init__()
            self.model = model

        def forward(self, image: torch.Tensor) -> Any:
            return self.model(image, None, mode="tensor")

    tiny = write_tiny(tmp_path)
    width, height = CODEC_SIZE
    program = torch.onnx.export(
        Deployed(tiny.theirs).eval(),
        (torch.zeros(2, 3, height, width),),
        input_names=["input"],
        output_names=["simcc_x", "simcc_y"],
        dynamic_shapes=({0: torch.export.Dim("batch")},),
        dynamo=True,
        optimize=False,
        verbose=False,
    )
    assert program is not None
    program.save(tmp_path / "tiny.onnx", external_data=False)
    boxes = np.stack([clip.box, clip.box * 0.75 + 4], axis=1)
    sources = (
        MMPoseConfig(model=tiny.config, weights=tiny.weights, device="cpu"),
        RtmposeOnnxConfig(model=tmp_path / "tiny.onnx", device="cpu"),
    )
    wanted, found = (
        source.build().estimate(clip.frames, boxes, CLIP, tmp_path) for source in sources
    )
    np.testing.assert_allclose(found.keypoints, wanted.keypoints, atol=1e-3)
    np.testing.assert_allclose(found.scores, wanted.scores, atol=1e-4)
    assert np.ptp(wanted.keypoints[:, 0], axis=0).max() > 1.0
    # The order of the colors matters to this model, so the agreement covers it.
    other = sources[1].build().estimate(clip.frames[..., ::-1], boxes, CLIP, tmp_path)
    assert np.abs(other.keypoints - wanted.keypoints).max() > 1.0


def test_what_cannot_be_used_is_refused_in_a_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(text: str, config: RtmposeOnnxConfig) -> None:
        with pytest.raises(ViddaError, match=text) as error:
            config.build()
        assert "\n" not in str(error.value)

    good = write_dot_finder(tmp_path / "m.onnx")
    fails("no such file; correct pose.model", RtmposeOnnxConfig(model=tmp_path / "none.onnx"))
    (tmp_path / "bad.onnx").write_bytes(b"no model at all")
    fails("cannot be read as ONNX", RtmposeOnnxConfig(model=tmp_path / "bad.onnx"))
    entry = helper.make_tensor_value_info("input", TensorProto.FLOAT, ["n", 3, "h", "w"])
    left = helper.make_tensor_value_info("heatmaps", TensorProto.FLOAT, ["n", 3, "h", "w"])
    node = helper.make_node("Identity", ["input"], ["heatmaps"])
    for name, height in (("dynamic.onnx", None), ("other.onnx", 64)):
        if height:
            shape = ["n", 3, height, height]
            entry = helper.make_tensor_value_info("input", TensorProto.FLOAT, shape)
        graph = helper.make_graph([node], "g", [entry], [left])
        opset = [helper.make_opsetid("", 18)]
        onnx.save(helper.make_model(graph, opset_imports=opset, ir_version=9), tmp_path / name)
    fails("of a fixed size; export RTMPose", RtmposeOnnxConfig(model=tmp_path / "dynamic.onnx"))
    fails(
        "returns heatmaps, not simcc_x and simcc_y",
        RtmposeOnnxConfig(model=tmp_path / "other.onnx"),
    )
    for device in ("cuda", "cuda:1"):
        fails(f"'{device}': this .* cannot use", good.model_copy(update={"device": device}))
    monkeypatch.setitem(__import__("sys").modules, "onnxruntime", None)
    fails("onnxruntime is not installed; pip install onnxruntime", good)


def test_every_worker_has_the_gpu_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    there = ["TensorrtExecutionProvider", CUDA, CPU]
    assert execution_providers("cuda:3", there) == [(CUDA, {"device_id": 3}), CPU]
    assert execution_providers("cpu", there) == execution_providers("auto", [CPU]) == [CPU]
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    monkeypatch.setattr("torch.cuda.current_device", lambda: 2)
    for device in ("auto", "cuda"):
        assert execution_providers(device, there) == [(CUDA, {"device_id": 2}), CPU]
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    assert execution_providers("auto", there) == [(CUDA, {"device_id": 0}), CPU]
    with pytest.raises(ValidationError, match="'gpu' is not a device; use auto, cpu, cuda"):
        RtmposeOnnxConfig(model=Path("m.onnx"), device="gpu")


def test_a_crop_keeps_the_shape_that_the_model_wants() -> None:
    from vidda.control.onnx_estimator import crop_regions

    center, size = crop_regions(
        np.array([[0, 0, 30, 80], [10, 20, 90, 40]], np.float32), 0.75, 1.25
    )
    np.testing.assert_allclose(center, [[15, 40], [50, 30]])
    np.testing.assert_allclose(size, [[75, 100], [100, 400 / 3]])


def test_cv2_and_the_crop_agree_on_where_a_pixel_is(tmp_path: Path) -> None:
    """A frame that is shown as it is, pixel for pixel, gives back the pixel's own place."""
    frames = np.zeros((1, 64, 48, 3), np.uint8)
    frames[0, 20, 30] = 255
    config = write_dot_finder(tmp_path / "m.onnx", size=(64, 48))
    source = config.model_copy(update={"padding": 1.0}).build()
    pose = source.estimate(frames, None, CLIP, tmp_path)
    np.testing.assert_allclose(pose.keypoints[0, 0], np.tile([30.0, 20.0], (17, 1)))
