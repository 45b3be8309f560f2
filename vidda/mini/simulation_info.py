"""MiniRoCoG's simulation_info: XML in the schema that RoCoG-v2 has for its synthetic videos."""

import math
import xml.etree.ElementTree as ET
from collections.abc import Mapping

from vidda.mini import layout
from vidda.mini.appearance import SUNS_DEG
from vidda.mini.gestures import GESTURES, Style


def gestures_xml(videos: list[layout.SynVideo], styles: list[Style], seconds: float) -> bytes:
    """Return the XML of the gesture videos, UTF-16; the {index} of a synthetic name refers to it.

    styles: timing of each video's gesture. seconds: length of each video. Times are in seconds from
    the clip's start.
    """
    root = ET.Element("GestureVideoPlaylist")
    ET.SubElement(root, "machineName").text = "MiniRoCoG"
    names = ET.SubElement(root, "gestures")
    for gesture in GESTURES:
        ET.SubElement(names, "Gestures").text = gesture
    playlist = ET.SubElement(root, "gestureVideos")
    for video, style in zip(videos, styles, strict=True):
        fields: dict[str, float | str] = {
            "duration": seconds,
            "startTime": style.start_s,
            "endTime": min(style.end_s, seconds),
            "gesture": video.gesture,
            "gestureSpeed": 1.0 / style.period_s,
            "mirrored": str(style.left_handed).lower(),
            "visualRealism": "Mocap" if video.mocap else "Animated",
            "race": video.race,
            "thickness": video.build,
        }
        _append(playlist, "GestureVideo", fields)
    return _encoded(root)


def scenes_xml(view: str) -> bytes:
    """Return the XML of a view's scenes, UTF-16; the {scene} of a synthetic name refers to it."""
    root = ET.Element("SyntheticDataset")
    scenes = ET.SubElement(root, "scenes")
    for number in range(layout.SYN_SCENES):
        camera = layout.syn_viewpoint(view, number)
        scene = _append(
            scenes,
            "SyntheticScene",
            {
                "terrain": layout.syn_terrain(number),
                "target": "FemaleCivilian" if number % 2 else "MaleCivilian",
            },
        )
        elevation, azimuth = SUNS_DEG[layout.syn_sun(number)]
        sun = ET.SubElement(ET.SubElement(scene, "lightingParameters"), "sunEulerAngles")
        for axis, angle in zip("xyz", (elevation, azimuth, 0.0), strict=True):
            ET.SubElement(sun, axis).text = f"{angle:g}"
        pose = {
            "yRotation": math.degrees(camera.azimuth),
            "distanceToTarget": camera.distance_m,
            "height": camera.height_m,
        }
        _append(scene, "cameraParameters", pose)
    return _encoded(root)


def _append(parent: ET.Element, tag: str, fields: Mapping[str, float | str]) -> ET.Element:
    element = ET.SubElement(parent, tag)
    for name, value in fields.items():
        ET.SubElement(element, name).text = value if isinstance(value, str) else f"{value:.6g}"
    return element


def _encoded(root: ET.Element) -> bytes:
    ET.indent(root)
    encoded: bytes = ET.tostring(root, encoding="utf-16", xml_declaration=True)
    return encoded
