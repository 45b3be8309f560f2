"""Every packet of a video, without decoding: how many frames, where, and which reader is right.

Decord's random access is right only for some containers and codecs; on the others it gives wrong
frames without a word. A file is taken for a good one by what its packets say, not by its suffix.
"""

from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

import numpy as np
from av.container import InputContainer
from av.packet import Packet
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from vidda.video import still
from vidda.video.container import opened
from vidda.video.errors import VideoError
from vidda.video.info import VideoInfo
from vidda.video.whole import require_whole

CONTAINERS = {"mov,mp4,m4a,3gp,3g2,mj2": "mp4", "matroska,webm": "matroska"}

# Decord's pixels equal PyAV's in these; from 10-bit ones they were seen to differ by up to 33.
SAME_PIXELS = {"yuv420p", "yuvj420p", "yuv422p", "yuv444p", "gbrp", "gray"}

# An index is some kilobytes; this many of them are remembered in each process.
REMEMBERED = 4096


@dataclass(frozen=True, slots=True)
class Index:
    """The packets of one video.

    pts: (P,) presentation time stamps in decoding order, for P = info.frames packets.
    groups: (P,) the number of the group of pictures that each packet belongs to.
    closed: whether each group can be decoded alone, and each frame told by its time stamp.
    sound: time stamps of frames that PyAV has decoded without fault in this process.
    """

    info: VideoInfo
    pts: np.ndarray
    groups: np.ndarray
    closed: bool
    sound: set[int | None] = field(default_factory=set)


def index_of(path: Path) -> Index:
    """The index of a video file as it is now, remembered while it does not change.

    Raises VideoError where the file is missing, empty, truncated, or no video.
    """
    require_whole(path)
    stat = path.stat()
    return _index(path, stat.st_mtime_ns, stat.st_size)


@lru_cache(maxsize=REMEMBERED)
def _index(path: Path, mtime_ns: int, size: int) -> Index:
    if path.suffix.lower() in still.SUFFIXES:
        return Index(still.info(path), np.zeros(1), np.zeros(1, int), closed=False)
    with opened(path) as (container, stream):
        first = next(container.decode(stream), None)
        if first is None:
            raise VideoError(f"{path}: holds no frame that decodes; fetch it again")
        container.seek(0)
        name = container.format.name
        packets = _Packets(path, CONTAINERS.get(name, name), stream)
        for packet in container.demux(stream):
            if packet.size:
                packets.add(packet)
        return packets.index(container, stream, first)


class _Packets:
    """Gathers what the index needs to know of each packet."""

    def __init__(self, path: Path, container: str, stream: VideoStream) -> None:
        self.path = path
        self.container = container
        self.codec = stream.codec_context.name
        extradata = stream.codec_context.extradata or b""
        # avcC, in which its length precedes every NAL unit (ISO/IEC 14496-15, 5.3.3.1).
        self.nal_length = (extradata[4] & 3) + 1 if extradata[:1] == b"\x01" else 0
        self.pts: list[int | None] = []
        self.keys: list[bool] = []
        self.discarded = 0
        self.flaw = ""

    def add(self, packet: Packet) -> None:
        if packet.is_discard:  # cut away by an edit list: decoded, but not shown
            self.discarded += 1
            return
        self.pts.append(packet.pts)
        self.keys.append(packet.is_keyframe)
        self.flaw = self.flaw or self._flaw(packet)

    def _flaw(self, packet: Packet) -> str:
        """Why this packet makes random access unsafe, or nothing."""
        kind = (self.codec, self.container)
        if kind in (("h264", "mp4"), ("h264", "matroska")):
            if packet.is_keyframe and not _has_idr(bytes(packet), self.nal_length):
                return "groups of pictures are open"
        elif kind == ("vp8", "matroska"):
            # RFC 6386 section 9.1: the fifth bit says whether the frame is shown.
            if not bytes(packet)[0] & 0x10:
                return "holds frames that are not shown"
        elif kind == ("mpeg4", "avi"):
            if bytes(packet).count(b"\0\0\1\xb6") != 1:
                return "packets hold other than one frame"
        else:
            return f"decord's seeks are not right for {self.codec} in {self.container}"
        return ""

    def index(self, container: InputContainer, stream: VideoStream, first: VideoFrame) -> Index:
        frames = len(self.pts)
        stamped = [p for p in self.pts if p is not None]
        pts = np.array(stamped if len(stamped) == frames else range(frames), dtype=np.int64)
        self._require_declared(container, stream, pts)
        b_frames = bool((np.diff(pts) < 0).any())
        flaw = self.flaw or self._flaw_as_a_whole(pts, len(stamped), b_frames)
        closed = not flaw
        rotation = -first.rotation % 360
        flaw = flaw or _flaw_of_frames(frames, rotation, first.format.name)
        fps, duration, variable = _timing(np.sort(pts), stream)
        size = (first.height, first.width) if rotation in (90, 270) else (first.width, first.height)
        info = VideoInfo(
            path=self.path,
            container=self.container,
            codec=self.codec,
            pixel_format=first.format.name,
            frames=frames,
            fps=fps,
            width=size[0],
            height=size[1],
            duration_s=duration,
            rotation=rotation,
            variable_frame_rate=variable,
            b_frames=b_frames,
            reader="pyav" if flaw else "decord",
            reason=flaw or f"decord's seeks are right for {self.codec} in {self.container}",
        )
        return Index(info, pts, np.cumsum(self.keys) - 1, closed)

    def _require_declared(
        self, container: InputContainer, stream: VideoStream, pts: np.ndarray
    ) -> None:
        """Raise VideoError where there are fewer frames than the header declares.

        FFmpeg leaves out what follows a damaged block of a Matroska. That has no count of frames,
        only a duration, which is of use where no other stream could be the one that lasts longer.
        """
        found = len(pts) + self.discarded
        what = ""
        if self.container in ("mp4", "avi") and found < stream.frames:
            what = f"{found} frames of the {stream.frames}"
        if self.container == "matroska" and len(container.streams) == 1:
            declared = (container.duration or 0) / 1e6
            tick = float(stream.time_base or 0)
            step = np.diff(np.sort(pts)).max(initial=0) * tick
            if declared - pts.max() * tick > max(0.5, 2 * step):
                what = f"{pts.max() * tick:.2f} s of the {declared:.2f} s"
        if what:
            raise VideoError(f"{self.path}: corrupt: holds {what} it declares; fetch it again")

    def _flaw_as_a_whole(self, pts: np.ndarray, stamped: int, b_frames: bool) -> str:
        if stamped < len(pts) or len(np.unique(pts)) < len(pts):
            return "time stamps are missing or repeat"
        if self.discarded:
            return "an edit list hides frames"
        if not self.keys[0]:
            return "begins within a group of pictures"
        if self.container == "avi" and b_frames:
            return "decord's seeks are not right for B-frames in avi"
        return ""


def _flaw_of_frames(frames: int, rotation: int, pixels: str) -> str:
    """Why decord would give other pixels than PyAV, although it finds the right frames."""
    if rotation:
        return f"turned by {rotation} degrees, which decord does in some containers only"
    if frames == 1:
        return "one frame, which decord refuses in some containers"
    if pixels not in SAME_PIXELS:
        return f"decord's colours are not exact for {pixels}"
    return ""


def _has_idr(data: bytes, nal_length: int) -> bool:
    """Whether a packet of H.264 holds a slice of an IDR picture (NAL unit type 5, table 7-1)."""
    at = 0
    while nal_length and at + nal_length < len(data):
        if data[at + nal_length] & 31 == 5:
            return True
        at += nal_length + int.from_bytes(data[at : at + nal_length], "big")
    return False


def _timing(pts: np.ndarray, stream: VideoStream) -> tuple[float, float, bool]:
    """Frames per second, seconds, and whether the rate varies, of sorted time stamps."""
    tick = float(stream.time_base or 0)
    rate = float(stream.average_rate or 0)
    steps = np.diff(pts)
    if not len(steps) or steps.mean() == 0:
        return rate, 1 / rate if rate else 0.0, False
    spread = steps.max() - steps.min()
    # Rounding to a container's ticks moves a stamp by one; beyond that the rate really varies.
    variable = bool(spread > 2 and spread > 0.1 * steps.mean())
    fps = 1 / (steps.mean() * tick)
    if rate and not variable and abs(fps / rate - 1) < 0.05:
        fps = rate
    return fps, len(pts) / fps, variable
