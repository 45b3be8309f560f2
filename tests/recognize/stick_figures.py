"""Small labeled clips of stick figures with sidecars: arms up, down or sideways."""

from pathlib import Path

import numpy as np

from vidda import video
from vidda.control.keypoints import JOINTS
from vidda.data.manifest import save_manifest
from vidda.sidecar import default_sidecar
from vidda.types import ClipRecord, Manifest

CLASSES = ("Down", "Sideways", "Up")
HANDS = {"Down": (0.3, 0.0), "Sideways": (1.2, -1.0), "Up": (0.4, -2.0)}
"""Each class's right-hand side wrist, outward and down from the hips, in torsos."""


def figure(name: str) -> np.ndarray:
    """A person's joints, (17, 2) in torsos from the middle of the hips, y downward."""
    joints = np.zeros((17, 2))
    body = {"nose": (0, -1.4), "eye": (0.05, -1.5), "ear": (0.1, -1.4), "shoulder": (0.35, -1.0)}
    legs = {"hip": (0.2, 0.0), "knee": (0.2, 0.9), "ankle": (0.2, 1.8)}
    out, down = HANDS[name]
    arms = {"elbow": ((0.35 + out) / 2, (down - 1.0) / 2), "wrist": (out, down)}
    for number, joint in enumerate(JOINTS):
        # A person who looks at the camera has the left side at the right of the image.
        side = {"left": 1, "right": -1}.get(joint.split("_")[0], 0)
        x, y = (body | legs | arms)[joint.split("_")[-1]]
        joints[number] = side * x, y
    return joints


def write_figures(
    root: Path, count: int, *, frames: int = 6, seed: int = 0, domain: str = "synthetic"
) -> Manifest:
    """So many clips with their sidecars, at random places and sizes; one frame: photographs."""
    rng = np.random.default_rng(seed)
    clips = []
    for number in range(count):
        name = CLASSES[number % len(CLASSES)]
        suffix = "mp4" if frames > 1 else "png"
        clip = ClipRecord(
            id=f"{name}/{number}",
            path=f"{number}.{suffix}",
            label=number % len(CLASSES),
            domain=domain,
            view="ground",
            meta={} if frames > 1 else {"sidecar": f"sidecar/{number}.npz"},
        )
        images = np.full((frames, 32, 32, 3), 40 + number, np.uint8)
        path = root / clip.path
        path.parent.mkdir(parents=True, exist_ok=True)
        (video.write(path, images, 8.0) if frames > 1 else video.write_png(path, images))
        flat = figure(name) + rng.normal(0, 0.03, (frames, 17, 2))
        world = np.stack([-flat[..., 0], 0 * flat[..., 0], 1.8 - flat[..., 1]], axis=2) / 2
        keypoints = np.full((frames, 17, 3), 2, np.float32)
        keypoints[..., :2] = rng.uniform(3, 6) * flat + rng.uniform(10, 20, 2)
        sidecar = root / clip.meta.get("sidecar", default_sidecar(clip.path))
        sidecar.parent.mkdir(parents=True, exist_ok=True)
        np.savez(sidecar, keypoints=keypoints, keypoints_3d=world.astype(np.float32))
        clips.append(clip)
    manifest = Manifest(root.absolute(), CLASSES, tuple(clips))
    save_manifest(manifest, root / "manifest.csv")
    return manifest
