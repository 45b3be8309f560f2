"""Recognize poses by their nearest neighbors among training poses: a baseline without training.

    python tools/nearest_poses.py TRAIN TEST [--neighbors 15] [--weights FOLDER] [--out FILE]

TRAIN and TEST are manifests of labeled clips with poses in sidecars, such as train.csv and test.csv
of a task. With --weights FOLDER, where BlazePose's networks are (`vidda weights blazepose`), the
training poses are those that BlazePose finds in frames of the training clips. Printed is a row of a
table: the baseline, its accuracy with the interval, and the mean accuracy of the classes. FILE is
of the predictions, which `vidda evaluate predictions=FILE` measures in detail.

A pose is the 17 joints of the main person in one frame, centered between the hips and scaled by the
torso, as recognizers of poses see it; unknown joints are at the center. Some frames of each clip
are taken. The neighbors of a test clip's frames vote on its class.
"""

import argparse
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy.spatial import cKDTree

from vidda import video
from vidda.control.blazepose import BlazePoseConfig
from vidda.control.keypoints import JOINTS, THRESHOLD, known_joints
from vidda.control.sidecar_poses import SidecarPosesConfig
from vidda.data.frame_sampling import UniformSampling, clip_rng
from vidda.data.manifest import load_manifest
from vidda.data.saved_predictions import SavedPredictions, save_predictions
from vidda.errors import ViddaError
from vidda.evaluate.labeled_predictions import join_labels, require_labels, require_same_classes
from vidda.evaluate.summary import Intervals, summarize
from vidda.files import inside
from vidda.progress import track
from vidda.recognize.pose_normalization import normalize_pose
from vidda.recognize.pose_tracks import PoseReader
from vidda.types import ClipRecord, Manifest, Predictions

SAMPLING = UniformSampling(frames=4, jitter=False)
"""Picks the frames of a clip whose poses are compared."""


@dataclass(frozen=True, slots=True)
class ClipPoses:
    """The poses of a manifest's clips, (N, 34), and the number of the clip of each, (N,)."""

    points: np.ndarray
    clips: np.ndarray


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the row and return 0; on a mistake print one line and return 2."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("train", type=Path, help="manifest of labeled clips")
    parser.add_argument("test", type=Path, help="manifest of labeled clips")
    parser.add_argument("--neighbors", type=int, default=15, help="poses that vote on a pose")
    parser.add_argument("--weights", type=Path, help="of BlazePose, for the training poses")
    parser.add_argument("--out", type=Path, help="file of predictions to write, .npz")
    options = parser.parse_args(arguments)
    try:
        train, test = load_manifest(options.train), load_manifest(options.test)
        require_labels(train, str(options.train))
        require_same_classes(test.classes, str(options.test), train.classes, str(options.train))
        known = read_poses(train, options.weights)
        found = predict(train, known, test, read_poses(test, None), options.neighbors)
        saved = SavedPredictions("nearest poses", found, train.classes)
        saved = join_labels(saved, test, str(options.test))
        if options.out:
            save_predictions(options.out, saved.predictions, saved.classes, saved.columns)
    except ViddaError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    source = "BlazePose's" if options.weights else "true"
    print(table_row(f"{options.neighbors} nearest of {len(known.clips)} {source} poses", saved))
    return 0


def read_poses(manifest: Manifest, weights: Path | None) -> ClipPoses:
    """Return the poses of some frames of each clip, of the sidecars, or BlazePose's by `weights`.

    Frames in which nobody is found are left out, and counted in a line.
    """
    source = BlazePoseConfig(weights=weights) if weights else SidecarPosesConfig()
    reader = PoseReader(source, None, THRESHOLD)
    points, clips, frames = [], [], 0
    bar = track(manifest.clips, label=f"poses by {source.name}", total=len(manifest), unit="clips")
    for number, clip in enumerate(bar):
        keypoints, scores = _some_frames(reader, clip, manifest.root, estimate=bool(weights))
        known = known_joints(scores, THRESHOLD)
        frames += len(known)
        for one in np.flatnonzero(known.any(1)):
            # A photograph is one frame, so every frame is normalized by itself.
            points.append(normalize_pose(keypoints[one, None], known[one, None]).ravel())
            clips.append(number)
    if len(points) < frames:
        left_out = frames - len(points)
        print(f"note: nobody is found in {left_out} of {frames} frames", file=sys.stderr)
    return ClipPoses(np.reshape(points, (-1, 2 * len(JOINTS))), np.array(clips, int))


def _some_frames(
    reader: PoseReader, clip: ClipRecord, root: Path, *, estimate: bool
) -> tuple[np.ndarray, np.ndarray]:
    """Return the joints (T, 17, 2) and the scores (T, 17) of the frames that `SAMPLING` picks."""
    if not estimate:
        whole = reader.read(clip, root)
        picked = _pick(clip, len(whole.scores))
        return whole.keypoints[picked], whole.scores[picked]
    frames = video.read(inside(root, clip.path))
    picked = _pick(clip, len(frames))
    # One by one, so that a person is found anew in each, as in a photograph.
    found = [reader.of_frames(frames[number, None], clip.id) for number in picked]
    return np.concatenate([t.keypoints for t in found]), np.concatenate([t.scores for t in found])


def _pick(clip: ClipRecord, frames: int) -> np.ndarray:
    return np.unique(SAMPLING.pick(frames, clip_rng(0, 0, clip.id, "frames")))


def predict(
    train: Manifest, known: ClipPoses, test: Manifest, asked: ClipPoses, neighbors: int
) -> Predictions:
    """Return the log shares of the nearest neighbors' votes for each test clip, (N, K).

    known, asked: poses of `train` and `test`. neighbors: that vote on each pose; of classes with
    equal votes, the one whose poses are nearer wins. Another vote is spread over all classes, so
    that no share is 0; it is the only one of clips without poses. Raises ViddaError unless there
    are as many training poses.
    """
    if not 1 <= neighbors <= len(known.clips):
        raise ViddaError(
            f"--neighbors {neighbors} of {len(known.clips)} training poses; give at least 1, and"
            " no more than there are"
        )
    classes = len(train.classes)
    labels = np.array([clip.label for clip in train.clips])[known.clips]
    votes = np.zeros((len(test), classes))
    if len(asked.clips):
        _, nearest = cKDTree(known.points).query(asked.points, np.arange(1, neighbors + 1))
        # By far less than a vote in total, nearer neighbors count more.
        weights = 1 + np.arange(neighbors, 0, -1) / (neighbors + 1) ** 2
        np.add.at(votes, (asked.clips[:, None], labels[nearest]), weights)
    shares = (votes + 1 / classes) / (votes.sum(1, keepdims=True) + 1)
    return Predictions(tuple(clip.id for clip in test.clips), np.log(shares).astype(np.float32))


def table_row(name: str, saved: SavedPredictions) -> str:
    """Return the row of a table: the name, accuracy with interval, and mean class accuracy."""
    summary = summarize(saved, Intervals())
    interval = summary.bootstrap or summary.wilson
    ends = f"[{100 * interval.low:.1f}, {100 * interval.high:.1f}]"
    shown = f"{100 * summary.accuracy:.1f} {ends}", f"{100 * summary.mean_class_accuracy:.1f}"
    return f"| {name} | {' | '.join(shown)} |"


if __name__ == "__main__":
    sys.exit(main())
