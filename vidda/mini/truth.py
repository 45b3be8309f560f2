"""The ground truth of a rendered clip: joints, box, mask and depth in the images."""

import numpy as np

from vidda.mini.cameras import Camera
from vidda.mini.capture import Lens, to_image, warp_labels
from vidda.mini.raster import Layers
from vidda.sidecar import COCO_17

DEPTH_UNIT_M = 0.001


def find_truth(
    layers: Layers,
    world: np.ndarray,
    cameras: list[Camera],
    lens: Lens,
    margin: int,
    size: int,
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return keypoints, boxes, masks and depths in a shaken camera's images, as `RenderedClip` has.

    layers: the person on T canvases. world: (T, 17, 3) joints in meters. cameras: T, of the
    canvases. lens: the shaken camera. margin: pixels of a canvas around the image. size: pixels a
    side of the image.
    """
    count = len(world)
    keypoints = np.zeros((count, len(COCO_17), 3), np.float32)
    box = np.zeros((count, 4), np.float32)
    mask = np.zeros((count, size, size), np.uint8)
    depth = np.zeros((count, size, size), np.uint16)
    for t in range(count):
        map_ = to_image(lens.path[t], margin, size)
        mask[t] = warp_labels(layers.region[t], map_, size, 0)
        meters = np.where(np.isinf(layers.depth[t]), np.float32(65.535), layers.depth[t])
        near = warp_labels(meters, map_, size, 65.535)
        depth[t] = np.rint(np.minimum(near, 65.535) / DEPTH_UNIT_M)
        at, distance = project_joints(world[t], cameras[t], map_)
        keypoints[t, :, :2] = at
        keypoints[t, :, 2] = _visible(at, distance, near)
        rows, columns = np.nonzero(mask[t])
        if len(rows):
            box[t] = columns.min(), rows.min(), columns.max() + 1, rows.max() + 1
    return keypoints, box, mask, depth


def project_joints(
    world: np.ndarray, camera: Camera, map_: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return the pixels (17, 2) in an image of joints (17, 3) in meters, and depths (17,).

    camera: of the canvas. map_: (2, 3) affine map from the canvas to the image, from `to_image`.
    """
    pixels, distance = camera.project(world)
    return pixels @ map_[:, :2].T + map_[:, 2], distance


def _visible(at: np.ndarray, distance: np.ndarray, near: np.ndarray) -> np.ndarray:
    """Return, for each joint, 2 where nothing else is in front of it, 1 where hidden, 0 outside."""
    size = len(near)
    column, row = np.rint(at).astype(int).T
    outside = (column < 0) | (row < 0) | (column >= size) | (row >= size)
    front = near[row.clip(0, size - 1), column.clip(0, size - 1)]
    flesh_m = 0.16
    return np.where(outside, 0, np.where(distance < front + flesh_m, 2, 1))
