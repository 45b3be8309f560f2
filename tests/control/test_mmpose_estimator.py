"""mmpose's models over whole clips: mmpose's own answer for each frame is the truth."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

pytest.importorskip("mmengine")

from tests.sidecars import rendered, write_clip
from tests.tiny_mmpose import CROWDPOSE, HALPE, HEATMAP, RTMPOSE, TinyModel, write_tiny
from vidda.control.boxes import SidecarBox
from vidda.control.mmpose_estimator import MMPoseConfig
from vidda.control.mmpose_import import import_mmpose_apis
from vidda.errors import ViddaError
from vidda.mini.clip import RenderedClip
from vidda.types import ClipRecord

CLIP = ClipRecord("one", "one.mp4", 0, "real", "ground")


@pytest.fixture(scope="module")
def clip() -> RenderedClip:
    return rendered(frames=4)


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> TinyModel:
    return write_tiny(tmp_path_factory.mktemp("rtmpose"))


def config(tiny: TinyModel, **more: Any) -> MMPoseConfig:
    return MMPoseConfig(model=tiny.config, weights=tiny.weights, device="cpu", **more)


def two_people(clip: RenderedClip) -> np.ndarray:
    """(T, 2, 4): the true box and a part of it; the second person is absent from frame 1."""
    boxes = np.stack([clip.box, clip.box * 0.75 + 4], axis=1)
    boxes[1, 1] = np.nan
    return boxes


def theirs(model: Any, frame: np.ndarray, box: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """What mmpose itself finds in one box of one RGB frame."""
    bgr = np.ascontiguousarray(frame[..., ::-1])
    found = import_mmpose_apis().inference_topdown(model, bgr, box[None])[0].pred_instances
    return found.keypoints[0], found.keypoint_scores[0]


@pytest.mark.parametrize(
    ("name", "flip"),
    [(RTMPOSE, False), (RTMPOSE, True), (HEATMAP, True), (HALPE, False)],
    ids=["rtmpose", "rtmpose_flip", "resnet_heatmap_flip", "halpe26"],
)
def test_a_clip_gives_what_mmpose_gives_frame_by_frame(
    clip: RenderedClip, tmp_path: Path, name: str, flip: bool
) -> None:
    tiny = write_tiny(tmp_path, name, flip=flip)
    boxes = two_people(clip)
    pose = config(tiny).build().estimate(clip.frames, boxes, CLIP, tmp_path)
    assert pose.keypoints.shape == (4, 2, 17, 2)
    for t, p in np.ndindex(4, 2):
        if np.isnan(boxes[t, p]).any():
            assert not pose.scores[t, p].any()
            continue
        wanted, scores = theirs(tiny.theirs, clip.frames[t], boxes[t, p])
        np.testing.assert_allclose(pose.keypoints[t, p], wanted[:17], atol=1e-3)
        np.testing.assert_allclose(pose.scores[t, p], np.clip(scores[:17], 0, 1), atol=1e-5)
    # The answers depend on the pictures, so that agreement says something.
    assert np.ptp(pose.keypoints[:, 0], axis=0).max() > 1.0


def test_people_of_all_frames_go_through_the_model_together(
    clip: RenderedClip, tiny: TinyModel
) -> None:
    boxes = two_people(clip)
    sizes: list[int] = []
    found = {}
    for batch in (64, 3):
        estimator = config(tiny, batch=batch).build()
        estimator._model.backbone.register_forward_hook(
            lambda _module, inputs, _output: sizes.append(len(inputs[0]))
        )
        found[batch] = estimator.estimate(clip.frames, boxes, CLIP, Path())
    assert sizes == [7, 3, 3, 1]
    np.testing.assert_allclose(found[64].keypoints, found[3].keypoints, atol=1e-3)


def test_boxes_come_from_the_config_where_none_are_given(
    clip: RenderedClip, tiny: TinyModel, tmp_path: Path
) -> None:
    record = write_clip(tmp_path, clip)
    whole, truth = (
        config(tiny, **more).build().estimate(clip.frames, None, record, tmp_path)
        for more in ({}, {"boxes": SidecarBox()})
    )
    wanted, _ = theirs(tiny.theirs, clip.frames[2], clip.box[2])
    np.testing.assert_allclose(truth.keypoints[2, 0], wanted, atol=1e-3)
    wanted, _ = theirs(tiny.theirs, clip.frames[2], np.array([0.0, 0.0, 64.0, 64.0]))
    np.testing.assert_allclose(whole.keypoints[2, 0], wanted, atol=1e-3)


def test_flip_test_can_be_chosen(clip: RenderedClip, tiny: TinyModel, tmp_path: Path) -> None:
    flipping = write_tiny(tmp_path, flip=True)
    assert torch.equal(
        flipping.theirs.head.cls_x.weight, tiny.theirs.head.cls_x.weight
    )  # the same model but for this
    off, on = (
        config(flipping, flip_test=choice).build().estimate(clip.frames, None, CLIP, tmp_path)
        for choice in (False, None)
    )
    plain = config(tiny).build().estimate(clip.frames, None, CLIP, tmp_path)
    np.testing.assert_array_equal(off.scores, plain.scores)
    assert not np.array_equal(on.scores, plain.scores)


def test_weights_may_be_a_state_dict_that_torch_has_saved(
    clip: RenderedClip, tiny: TinyModel, tmp_path: Path
) -> None:
    file = tmp_path / "w.pth"
    torch.save({"state_dict": tiny.theirs.state_dict(), "meta": {"epoch": 1}}, file)
    ours = config(tiny).model_copy(update={"weights": file}).build()
    pose = ours.estimate(clip.frames[:1], None, CLIP, tmp_path)
    plain = config(tiny).build().estimate(clip.frames[:1], None, CLIP, tmp_path)
    np.testing.assert_array_equal(pose.keypoints, plain.keypoints)


def test_what_cannot_be_used_is_refused_in_a_line(tiny: TinyModel, tmp_path: Path) -> None:
    def fails(text: str, **changes: Any) -> None:
        with pytest.raises(ViddaError, match=text) as error:
            config(tiny).model_copy(update=changes).build()
        assert "\n" not in str(error.value)

    fails("mmpose ships no such config; correct pose.model", model=Path("body_2d_keypoint/none.py"))
    (tmp_path / "bad.py").write_text("model = dict(type=")
    fails("cannot be read as a config of mmpose", model=tmp_path / "bad.py")
    (tmp_path / "empty.json").write_text("{}")
    fails("lacks model or test_dataloader", model=tmp_path / "empty.json")
    crowd = write_tiny(tmp_path, CROWDPOSE)
    fails("its 14 keypoints lack nose, left_eye, .* choose a model of COCO", model=crowd.config)
    one_stage = write_tiny(tmp_path, type="BottomupPoseEstimator")
    fails("BottomupPoseEstimator, which is not top-down", model=one_stage.config)
    no_such = tmp_path / "no_such.json"
    no_such.write_text(tiny.config.read_text().replace("CSPNeXt", "EasyNet"))
    fails("mmpose cannot build it .*EasyNet", model=no_such)
    halpe = write_tiny(tmp_path, HALPE)
    fails("not the weights of this model: .* of another shape", weights=halpe.weights)
    fails("no such file; correct pose.weights", weights=tmp_path / "none.pth")
    torch.save({"state_dict": {}, "meta": np.zeros(2)}, tmp_path / "more.pth")
    fails("more than plain tensors", weights=tmp_path / "more.pth")
    fails("pose.device 'mps:9' is not on this machine", device="mps:9")
