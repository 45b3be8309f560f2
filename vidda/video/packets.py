"""What the packets of a video say: how many frames, whether to believe it, which reader is right.

Decord's random access is right only for some containers and codecs; on the others it gives wrong
frames without a word. A file is taken for a good one by what its packets say, not by its suffix.
"""

from collections.abc import Sequence
from pathlib import Path

import av
import numpy as np
from av.container import InputContainer
from av.packet import Packet
from av.video.stream import VideoStream

from vidda.video import bitstream, sps
from vidda.video.completeness import avi_chunks
from vidda.video.container import open_video
from vidda.video.video_error import VideoError

CONTAINERS = {"mov,mp4,m4a,3gp,3g2,mj2": "mp4", "matroska,webm": "matroska"}

BEGINS_WITHIN = "begins within a group of pictures"
EDITED = "an edit list hides frames"
GAP = "packets between others are missing"
CUT = "its last packet is cut"

# Doubts that decoding may turn out to be unfounded.
DECODABLE_DOUBTS = {bitstream.TOO_SMALL, GAP}

# Containers that say nowhere how much they hold.
WITHOUT_LENGTH = {"mpegts", "mpeg", "mpegvideo"}

# The decoders that leave out a B-frame whose neighbors they were not given.
DROP_B_FRAMES = {"hevc", "mpeg4", "mpeg1video", "mpeg2video"}


class Packets:
    """Gathers what the index needs to know of each packet of a video, in decoding order.

    pts: presentation time stamps, None where a packet has none. keys: which are key frames.
    b_frames: whether they are shown in another order than decoded.
    fields: whether it is H.264 that may code fields, of which a packet may hold one.
    notes: what is odd about the file as a whole.
    odd: why its packets may not be counted for frames, or nothing: then only decoding can tell.
    flaw: why random access is unsafe, or nothing.
    """

    def __init__(self, path: Path, container: InputContainer, stream: VideoStream) -> None:
        self.path = path
        self.name = CONTAINERS.get(container.format.name, container.format.name)
        self.codec = stream.codec_context.name
        extradata = stream.codec_context.extradata or b""
        self.nal_length = bitstream.nal_length_size(self.codec, extradata)
        self.fields = self.codec == "h264" and sps.extradata_codes_fields(extradata)
        self.pts: list[int | None] = []
        self.keys: list[bool] = []
        self.notes: list[str] = []
        self.vary = f"packets of {self.codec} are not known to hold one frame each"
        self.odd = "" if self.codec in bitstream.ONE_FRAME_PER_PACKET else self.vary
        self.flaw = ""
        self.others = 0  # hidden by an edit list, or empty
        self.b_frames = False
        self.end = 0  # of the last packet, in ticks
        self.last_groups: tuple[list[Packet], list[Packet]] = ([], [])

    def add(self, packet: Packet) -> None:
        """Take account of a packet; that which ends every stream is none."""
        if not packet.size and packet.pts is None:
            return
        if packet.is_discard or not packet.size:
            self.others += 1
            self.odd = self.odd or (EDITED if packet.is_discard else "holds empty packets")
            return
        self.pts.append(packet.pts)
        self.keys.append(packet.is_keyframe)
        self.end = max(self.end, (packet.pts or 0) + (packet.duration or 0))
        self.flaw = self.flaw or self._flaw(packet)
        self.odd = self.odd or self._odd(packet)
        if self.name in WITHOUT_LENGTH:
            if packet.is_keyframe:
                self.last_groups = (self.last_groups[1], [])
            self.last_groups[1].append(packet)

    def _flaw(self, packet: Packet) -> str:
        kind = (self.codec, self.name)
        if kind in (("h264", "mp4"), ("h264", "matroska")):
            if packet.is_keyframe:
                return self._flaw_of_group(bytes(packet))
        elif kind not in (("vp8", "matroska"), ("mpeg4", "avi")):
            return f"decord's seeks are not right for {self.codec} in {self.name}"
        return ""

    def _flaw_of_group(self, data: bytes) -> str:
        if not (self.nal_length and bitstream.has_idr(data, self.nal_length)):
            return "groups of pictures are open"
        self.fields = self.fields or sps.codes_fields(data, self.nal_length)
        return ""

    def _odd(self, packet: Packet) -> str:
        if len(self.pts) == 1 and not self._starts(packet):
            return BEGINS_WITHIN
        if self.codec not in bitstream.INSPECTED:
            return ""
        return bitstream.count_doubt(self.codec, bytes(packet), self.nal_length)

    def _starts(self, packet: Packet) -> bool:
        """Return whether decoding can begin here; H.264 has key frames that only start a repair."""
        idr = self.codec != "h264" or bitstream.has_idr(bytes(packet), self.nal_length)
        return packet.is_keyframe and idr

    def close(self, container: InputContainer, stream: VideoStream) -> None:
        """Judge the packets as a whole, after the last.

        Raises VideoError where there are fewer of them than the header declares.
        """
        known = [p for p in self.pts if p is not None]
        if len(set(known)) < len(self.pts):
            whole = "time stamps are missing or repeat"
        elif self.keys and (not self.keys[0] or min(known) < known[self.keys.index(True)]):
            whole = BEGINS_WITHIN
        else:
            whole = ""
        self.b_frames = known != sorted(known)
        self.odd = self.odd or whole or self._gap(known) or self._cut(stream)
        if self.name == "mp4" and stream.frames not in (0, len(self.pts) + self.others):
            if self._samples(stream.frames) != len(self.pts) + self.others:
                self.odd = self.odd or EDITED
        elif self.name == "avi" and len(self.pts) + self.others < stream.frames:
            self._require_all_chunks(stream.index)
        elif self.name == "matroska" and len(container.streams) == 1 and known:
            self._require_duration((container.duration or 0) / 1e6, float(stream.time_base or 0))
        self.flaw = self.flaw or ("" if self.odd in DECODABLE_DOUBTS else self.odd)
        if self.name == "avi" and self.b_frames:
            self.flaw = self.flaw or "decord's seeks are not right for B-frames in avi"

    def compare(self, shown: Sequence[int | None]) -> None:
        """Note how the frames that decoding gave, by their time stamps, differ from the packets."""
        reason = self.odd or "interlaced"
        if list(shown) != sorted(self.pts, key=lambda p: p or 0):
            self.flaw = self.flaw or reason
        if len(shown) != len(self.pts):
            self.notes.append(f"{reason}: {len(self.pts)} packets give {len(shown)} frames")
        elif self.odd not in ("", self.vary, *DECODABLE_DOUBTS):
            self.notes.append(reason)

    def _gap(self, known: Sequence[int]) -> str:
        """Return that packets are missing before some B-frame, or nothing."""
        steps = np.diff(np.sort(known))
        wide = (
            self.b_frames and self.codec in DROP_B_FRAMES and steps.max() > 1.5 * np.median(steps)
        )
        return GAP if wide else ""

    def _cut(self, stream: VideoStream) -> str:
        """Return that a stream ends with a packet that gives no frame, or nothing."""
        if self.name not in WITHOUT_LENGTH:
            return ""
        codec = stream.codec_context
        codec.flush_buffers()
        found: set[int | None] = set()
        try:
            for packet in (*self.last_groups[0], *self.last_groups[1], None):
                found.update(frame.pts for frame in codec.decode(packet))
        except av.FFmpegError:  # which reading will tell
            return ""
        return "" if found.issuperset(packet.pts for packet in self.last_groups[1]) else CUT

    def _samples(self, declared: int) -> int:
        """Count the frames of an MP4 regardless of its edit lists, or refuse it: some are lost."""
        with open_video(self.path, edit_lists=False) as (container, stream):
            found = sum(packet.pts is not None for packet in container.demux(stream))
        if found < declared:
            self._refuse(f"{found} frames of the {declared}")
        return found

    def _require_all_chunks(self, track: int) -> None:
        """Refuse an AVI that lost a frame; one that was recorded with gaps holds empty chunks."""
        filled, empty = avi_chunks(self.path, track)
        found = len(self.pts) + self.others
        if found < filled:
            self._refuse(f"{found} frames of the {filled}")
        if empty:
            self.notes.append(f"{empty} of its frames were dropped before it was written")

    def _require_duration(self, declared: float, tick: float) -> None:
        """Refuse a Matroska that ends early.

        FFmpeg leaves out what follows a damaged block. There is no count of frames, only a
        duration, which is of use where no other stream could be the one that lasts longer.
        """
        step = np.diff(np.sort([p for p in self.pts if p is not None])).max(initial=0) * tick
        if declared - self.end * tick > max(0.5, 2 * step):
            self._refuse(f"{self.end * tick:.2f} s of the {declared:.2f} s")

    def _refuse(self, what: str) -> None:
        raise VideoError(f"{self.path}: corrupt: holds {what} it declares; fetch it again")
