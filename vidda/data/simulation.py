"""RoCoG-v2's simulation_info: parameters of the rendering, by gesture index and by scene."""

import xml.etree.ElementTree as ET
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from vidda.errors import ViddaError


@dataclass(frozen=True, slots=True)
class Simulation:
    """The simulation parameters of one view.

    gestures: for each video index of a scene, (gesture, mocap trigger or "", manifest columns).
    scenes: for each scene the manifest columns; empty where the scene file is absent.
    heights_m: for each scene the camera's height in meters, or None where it is not known.
    """

    gestures: tuple[tuple[str, str, dict[str, str]], ...]
    scenes: tuple[dict[str, str], ...]
    heights_m: tuple[float | None, ...]


def find_simulation(folders: Sequence[Path], names: Sequence[str]) -> Simulation | None:
    """Return the simulation info of one view, from the first folder that has `<name>_gestures.xml`.

    names: those that the view's files may have, such as `rocog_air` and `rocog_hover`. None where
    no folder has such a file. Raises ViddaError when a file is not simulation info.
    """
    for folder in folders:
        for name in names:
            gestures = folder / f"{name}_gestures.xml"
            if gestures.is_file():
                scenes, heights = _scenes(folder / f"{name}.xml")
                return Simulation(_gestures(gestures), scenes, heights)
    return None


def parse_xml(file: Path) -> ET.Element:
    """Return the root element of an XML file, whatever encoding it declares.

    RoCoG-v2's files declare utf-16 and are ASCII. A DOCTYPE is refused, so that no entity can
    expand. Raises ViddaError where the file cannot be read as XML.
    """
    try:
        data = file.read_bytes()
        wide = data[:2] in (b"\xff\xfe", b"\xfe\xff")
        text = data.decode("utf-16" if wide else "utf-8-sig")
        if "<!DOCTYPE" in text or "<!ENTITY" in text:
            raise ViddaError(f"{file}: holds a DOCTYPE, as no simulation file does; not read")
        start = text.find("?>") + 2 if text.startswith("<?xml") else 0
        return ET.fromstring(text[start:])
    except (OSError, UnicodeDecodeError, ET.ParseError) as error:
        raise ViddaError(f"{file}: cannot be read as XML: {error}") from None


def _gestures(file: Path) -> tuple[tuple[str, str, dict[str, str]], ...]:
    found = []
    for video in parse_xml(file).iterfind("gestureVideos/GestureVideo"):
        body = f"{_text(video, 'race')} {_text(video, 'thickness')}".strip()
        columns = {
            "gesture_start": _text(video, "startTime"),
            "gesture_end": _text(video, "endTime"),
            "speed": _text(video, "gestureSpeed"),
            "realism": _text(video, "visualRealism").lower(),
            "body": body,
        }
        found.append((_text(video, "gesture"), _text(video, "mocapAnimationTrigger"), columns))
    if not found:
        raise ViddaError(f"{file}: has no gestureVideos/GestureVideo")
    return tuple(found)


def _scenes(file: Path) -> tuple[tuple[dict[str, str], ...], tuple[float | None, ...]]:
    if not file.is_file():
        return (), ()
    scenes, heights = [], []
    for scene in parse_xml(file).iterfind("scenes/SyntheticScene"):
        height = _text(scene, "cameraParameters/height")
        try:
            heights.append(float(height) if height else None)
        except ValueError:
            raise ViddaError(f"{file}: camera height {height!r} is not a number") from None
        scenes.append(
            {
                "terrain": _text(scene, "terrain"),
                "person": _text(scene, "target"),
                "camera_yaw": _text(scene, "cameraParameters/yRotation"),
                "distance_m": _text(scene, "cameraParameters/distanceToTarget"),
            }
        )
    return tuple(scenes), tuple(heights)


def _text(element: ET.Element, path: str) -> str:
    return (element.findtext(path) or "").strip()
