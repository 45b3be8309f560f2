"""Write photographs as worse cameras would have taken them: from farther away, blurred, occluded.

    python tools/degrade_photographs.py MANIFEST OUT --sides 80 40 20 --blurs 2 4 --occlusions 0.2

OUT/side_80/manifest.csv        the clips of one frame, without sidecars: shrunk so that their
                                shorter side has 80 pixels, and enlarged again, so that only detail
                                is lost
OUT/blur_2/manifest.csv         blurred by a Gaussian of a deviation of 2 pixels
OUT/occlusion_0.2/manifest.csv  a gray square, 0.2 times as large as the shorter side, around a
                                random joint of the person in the sidecar

`vidda evaluate model=RUN manifest=OUT/side_80/manifest.csv` then tells from which size on a
recognizer fails, and tools/degradation_curves.py draws all levels of several recognizers. One of
poses estimates the joints anew (poses.name=blazepose).
"""

import argparse
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np

from vidda import video
from vidda.control.sidecar_poses import SidecarPoses
from vidda.data.choose_clips import select_clips
from vidda.data.frame_sampling import clip_rng
from vidda.data.manifest import load_manifest, save_manifest
from vidda.errors import ViddaError
from vidda.files import inside
from vidda.progress import track
from vidda.sidecar import COCO_17
from vidda.types import ClipRecord, Manifest

GRAY = 128
"""Color of what occludes a person, in each channel."""
OCCLUDED = [n for n, name in enumerate(COCO_17) if not name.endswith(("_eye", "_ear"))]
"""Joints around which a person is occluded; with eyes and ears, most would be in the face."""

Degrade = Callable[[np.ndarray, ClipRecord, Path], np.ndarray]
"""Returns an image (H, W, 3) uint8 degraded, given its clip and the root of its manifest."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Write OUT and return 0; on a mistake print one line and return 2."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("manifest", type=Path, help="clips of one frame")
    parser.add_argument("out", type=Path, help="folder to write")
    parser.add_argument("--sides", type=int, nargs="+", default=[], help="pixels")
    parser.add_argument("--blurs", type=float, nargs="+", default=[], help="deviations, in pixels")
    parser.add_argument(
        "--occlusions", type=float, nargs="+", default=[], help="shares of the shorter side"
    )
    parser.add_argument("--seed", type=int, default=0, help="of the places of occlusions")
    parser.add_argument("--limit", type=int, help="most clips, evenly spaced; all by default")
    options = parser.parse_args(arguments)
    levels: dict[str, Degrade] = {
        **{f"side_{side}": _shrinking(side) for side in options.sides},
        **{f"blur_{sigma:g}": _blurring(sigma) for sigma in options.blurs},
        **{f"occlusion_{s:g}": _occluding(s, options.seed) for s in options.occlusions},
    }
    try:
        if not levels:
            raise ViddaError("nothing to do; give --sides, --blurs or --occlusions")
        chosen = select_clips(load_manifest(options.manifest), (), options.limit)
        for name, degrade in levels.items():
            write_degraded(chosen, degrade, options.out / name)
    except ViddaError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


def write_degraded(manifest: Manifest, degrade: Degrade, out: Path) -> None:
    """Write the clips of a manifest as OUT/<path>.png, and OUT/manifest.csv.

    Raises ViddaError where a clip cannot be read or has several frames.
    """
    clips = []
    for clip in track(manifest.clips, label=out.name, total=len(manifest), unit="clips"):
        frames = video.read(inside(manifest.root, clip.path))
        if len(frames) > 1:
            raise ViddaError(f"clip {clip.id!r}: has {len(frames)} frames; name clips of one frame")
        path = f"{clip.path}.png"
        inside(out, path).parent.mkdir(parents=True, exist_ok=True)
        video.write_png(inside(out, path), degrade(frames[0], clip, manifest.root)[None])
        meta = {key: value for key, value in clip.meta.items() if key != "sidecar"}
        clips.append(replace(clip, path=path, meta=meta))
    save_manifest(Manifest(out, manifest.classes, tuple(clips)), out / "manifest.csv")
    print(f"written: {out / 'manifest.csv'}")


def shrink(image: np.ndarray, side: int) -> np.ndarray:
    """Return an image (H, W, 3) uint8 with no more detail than `side` pixels a side can hold."""
    height, width = image.shape[:2]
    factor = side / min(height, width)
    small = (max(1, round(width * factor)), max(1, round(height * factor)))
    shrunk = cv2.resize(image, small, interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.resize(shrunk, (width, height), interpolation=cv2.INTER_CUBIC))


def blur(image: np.ndarray, sigma: float) -> np.ndarray:
    """Return an image (H, W, 3) uint8 blurred by a Gaussian of this deviation in pixels, from 0."""
    return image if sigma == 0 else np.asarray(cv2.GaussianBlur(image, (0, 0), sigma))


def occlude(image: np.ndarray, center: np.ndarray, share: float) -> np.ndarray:
    """Return an image (H, W, 3) uint8 with a gray square in it.

    center: (2,) x and y in pixels. share: side of the square relative to the image's shorter side.
    """
    height, width = image.shape[:2]
    side = round(share * min(height, width))
    left, top = np.rint(center - (side - 1) / 2).astype(int)
    # A square that begins outside must not be counted from the other edge.
    covered = image.copy()
    covered[max(0, top) : max(0, top + side), max(0, left) : max(0, left + side)] = GRAY
    return covered


def _shrinking(side: int) -> Degrade:
    return lambda image, clip, root: shrink(image, side)


def _blurring(sigma: float) -> Degrade:
    return lambda image, clip, root: blur(image, sigma)


def _occluding(share: float, seed: int) -> Degrade:
    """Return a function that occludes a joint, which is the same one for every share."""

    def degrade(image: np.ndarray, clip: ClipRecord, root: Path) -> np.ndarray:
        pose = SidecarPoses().estimate(image[None], None, clip, root)
        inner = [joint for joint in OCCLUDED if pose.scores[0, 0, joint] > 0]
        if not inner:
            raise ViddaError(f"clip {clip.id!r}: has no joint to occlude; leave the clip out")
        joint = clip_rng(seed, 0, clip.id, "occlusion").choice(inner)
        return occlude(image, pose.keypoints[0, 0, joint], share)

    return degrade


if __name__ == "__main__":
    sys.exit(main())
