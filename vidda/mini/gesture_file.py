"""Files of gestures: the key poses of a person's arms, as data.

An arm is two directions, of the upper arm and of the forearm, in the person's own axes: outward
(away from the body on the arm's side), forward, up. Outward makes left and right alike, so the same
poses serve both arms. docs/add_a_gesture.md explains the format by an example.
"""

from itertools import combinations, pairwise
from pathlib import Path
from typing import Annotated, Self

import numpy as np
from pydantic import AfterValidator, Field, model_validator

from vidda.config import Config, FileName, load
from vidda.errors import ViddaError

BUILT_IN = ("rocog", "drone13")
"""Names of the files of gestures that vidda ships."""
FOLDER = Path(__file__).parents[1] / "assets" / "gestures"
WIDEST_DEG = 170.0
"""Farther apart than this, there is no telling on which way an arm moves between two poses."""


def _check_direction(vector: tuple[float, float, float]) -> tuple[float, float, float]:
    if not any(vector):
        raise ValueError("0, 0, 0 is no direction; give outward, forward, up")
    return vector


Direction = Annotated[tuple[float, float, float], AfterValidator(_check_direction)]
"""Outward, forward and up; only a circle depends on the length."""


class ArmPose(Config):
    """The pose of one arm."""

    upper: Direction = Field(description="direction of the upper arm: outward, forward, up")
    forearm: Direction | None = Field(
        default=None,
        description="direction of the forearm; by default the upper arm's, a straight arm",
    )

    @property
    def directions(self) -> np.ndarray:
        """The directions (2, 3) of upper arm and forearm, as they are in the file."""
        return np.array([self.upper, self.forearm or self.upper], dtype=float)


class KeyPose(ArmPose):
    """A pose that an arm is in at a time of the cycle."""

    at: float = Field(
        default=0.0, ge=0, lt=1, description="time, as a share of the cycle; the first is 0"
    )
    small: ArmPose | None = Field(
        default=None,
        description="the pose of someone who barely makes the gesture, amplitude 0; without any in"
        " a cycle, such a person stays near its first pose",
    )


class Circle(Config):
    """Horizontal circles of an arm, one a cycle: what is added to its directions at most."""

    upper: float = Field(gt=0, description="radius, relative to the direction of the upper arm")
    forearm: float = Field(gt=0, description="radius, relative to the direction of the forearm")


class Movement(Config):
    """The movement of one arm: a pose that is held, perhaps in circles, or a cycle of poses."""

    hold: tuple[KeyPose, ...] = Field(
        default=(),
        description="a pose that is held; of several, each performance takes one between them",
    )
    repeat: tuple[KeyPose, ...] = Field(
        default=(), description="poses of a cycle, the last before the first"
    )
    circle: Circle | None = Field(default=None, description="circles around the one pose of hold")

    @model_validator(mode="after")
    def _check_poses(self) -> Self:
        if bool(self.hold) == bool(self.repeat):
            raise ValueError("give either hold or repeat, a list of poses")
        if self.circle and len(self.hold) != 1:
            raise ValueError("circle: goes with one pose of hold")
        if any(pose.at for pose in self.hold):
            raise ValueError("hold: has no times; take out at, or list the poses in repeat")
        if len(self.hold) > 1 and any(pose.small for pose in self.hold):
            raise ValueError("hold: small goes with one pose; list it as a pose of its own")
        times = [pose.at for pose in self.repeat]
        if len(times) == 1:
            raise ValueError("repeat: has one pose; give two or more, or list it in hold")
        if times and (times[0] != 0 or any(b <= a for a, b in pairwise(times))):
            shown = ", ".join(f"{time:g}" for time in times)
            raise ValueError(f"repeat: times (at) are {shown}; start at 0 and go up, below 1")
        neighbors = (
            combinations(range(len(self.hold)), 2)
            if self.hold
            else ((n, (n + 1) % len(times)) for n in range(len(times)))
        )
        poses = self.hold or self.repeat
        for first, second in neighbors:
            if _largest_angle(poses[first], poses[second]) > WIDEST_DEG:
                raise ValueError(
                    f"poses {first} and {second} are opposite, so that the way between them is"
                    " not known; put one between them"
                )
        return self


def _largest_angle(first: ArmPose, second: ArmPose) -> float:
    """Return the larger of the angles between two poses' directions, in degrees."""
    a, b = (unit(pose.directions) for pose in (first, second))
    return float(np.degrees(np.arccos(np.clip((a * b).sum(-1), -1.0, 1.0))).max())


class Gesture(Config):
    """A gesture: the movement of one arm or of both; an arm without one hangs."""

    means: str = Field("", description="what the person does, for readers of the file")
    one_arm: Movement | None = Field(
        default=None, description="of the hand that the person uses, mostly the right one"
    )
    both_arms: Movement | None = Field(default=None, description="of both arms, mirrored")
    right_arm: Movement | None = Field(default=None, description="of the person's own right arm")
    left_arm: Movement | None = Field(default=None, description="of the person's own left arm")

    @model_validator(mode="after")
    def _check_arms(self) -> Self:
        sided = self.right_arm or self.left_arm
        if sum(map(bool, (self.one_arm, self.both_arms, sided))) != 1:
            raise ValueError("give one_arm, or both_arms, or right_arm and left_arm or one of them")
        return self

    @property
    def movements(self) -> tuple[Movement | None, Movement | None]:
        """The movements of the right arm and of the left one, for a right-handed person."""
        return (
            self.right_arm or self.both_arms or self.one_arm,
            self.left_arm or self.both_arms,
        )


class GestureFile(Config):
    """A file of gestures, by class name."""

    gestures: dict[FileName, Gesture] = Field(
        min_length=2, description="the gestures, by the names of their classes"
    )


def gesture_path(name: str) -> Path:
    """Return the file of a built-in set of gestures, or of the path `name`.

    Raises ViddaError where there is no such set or file.
    """
    path = FOLDER / f"{name}.yaml" if name in BUILT_IN else Path(name).expanduser()
    if not path.is_file():
        raise ViddaError(
            f"gestures: {name!r} is neither a file nor one of {', '.join(BUILT_IN)}; see"
            " docs/add_a_gesture.md"
        )
    return path


def load_gestures(name: str) -> dict[str, Gesture]:
    """Return the gestures of a set, by class name, in the file's order.

    name: one of `BUILT_IN`, or the path of a file. Raises ViddaError for no such file, and
    ConfigError with a line for each mistake in it.
    """
    return dict(load(GestureFile, gesture_path(name)).gestures)


def unit(vector: np.ndarray) -> np.ndarray:
    """Return vectors (..., 3) at length 1."""
    scaled: np.ndarray = vector / np.linalg.norm(vector, axis=-1, keepdims=True)
    return scaled
