"""Write photographs as a camera farther away would have taken them, at several distances.

    python tools/shrink_photographs.py MANIFEST OUT --sides 80 40 20

OUT/SIDE/manifest.csv  the clips of one frame, without sidecars: shrunk so that their shorter side
                       has SIDE pixels, and enlarged again, so that only detail is lost

`vidda evaluate model=RUN manifest=OUT/SIDE/manifest.csv` then tells from which size on a recognizer
fails; one of poses estimates the joints anew (poses.name=blazepose).
"""

import argparse
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np

from vidda import video
from vidda.data.choose_clips import select_clips
from vidda.data.manifest import load_manifest, save_manifest
from vidda.errors import ViddaError
from vidda.files import inside
from vidda.progress import track
from vidda.types import Manifest


def main(arguments: Sequence[str] | None = None) -> int:
    """Write OUT and return 0; on a mistake print one line and return 2."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("manifest", type=Path, help="clips of one frame")
    parser.add_argument("out", type=Path, help="folder to write")
    parser.add_argument("--sides", type=int, nargs="+", default=[80, 40, 20], help="pixels")
    parser.add_argument("--limit", type=int, help="most clips, evenly spaced; all by default")
    options = parser.parse_args(arguments)
    try:
        chosen = select_clips(load_manifest(options.manifest), (), options.limit)
        for side in options.sides:
            write_shrunk(chosen, side, options.out / str(side))
    except ViddaError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


def write_shrunk(manifest: Manifest, side: int, out: Path) -> None:
    """Write the clips of a manifest as OUT/<path>.png, and OUT/manifest.csv.

    side: shorter side in pixels to which frames are shrunk. Raises ViddaError where a clip cannot
    be read or has several frames.
    """
    clips = []
    for clip in track(manifest.clips, label=f"{side} pixels", total=len(manifest), unit="clips"):
        frames = video.read(inside(manifest.root, clip.path))
        if len(frames) > 1:
            raise ViddaError(f"clip {clip.id!r}: has {len(frames)} frames; name clips of one frame")
        path = f"{clip.path}.png"
        inside(out, path).parent.mkdir(parents=True, exist_ok=True)
        video.write_png(inside(out, path), shrink(frames[0], side)[None])
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


if __name__ == "__main__":
    sys.exit(main())
