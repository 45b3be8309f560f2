"""The controls that a config leaves out, in words, with the keys that add them."""

from collections.abc import Iterator

from vidda.control.control_config import ControlConfig


def absent_controls(config: ControlConfig, *, flow_on_sheets: bool) -> Iterator[str]:
    """Yield a line for each kind of control that is not made: why, and the key that adds it.

    flow_on_sheets: whether optical flow is made for the frames on contact sheets alone, although
    other files are written.
    """
    if config.pose is None:
        yield (
            "no poses: pose is null; pose.name=sidecar, mmpose, onnx, blazepose or vitpose adds"
            " them"
        )
    if config.edges is None:
        yield "no edges: edges is null"
    if config.depth is None:
        yield "no depth: depth is null; depth.name=sidecar or depth_anything adds it"
    if config.segmentation is None:
        yield (
            "no segmentation: segmentation is null; segmentation.name=sidecar or segmenter adds it"
        )
    if config.mask is None and config.pose is None:
        yield (
            "no masks but those in sidecars: mask is null; mask.name=blazepose, mask_rcnn or"
            " segmenter adds them"
        )
    if config.flow is None:
        yield "no optical flow: flow is null"
    elif flow_on_sheets:
        yield "optical flow only on sheets; flow.name=dis or raft gives every frame's"
